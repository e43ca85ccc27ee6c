"""What is known of the jobs of one batch system: a file for each, written before its submit.

Schedulers of this kind have no field for a launch id that all of them can be asked for, and no accounting
that we could read: so the engine keeps its own record, and its clock is what a session is charged by.
All of it blocks: the backend calls it in threads.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from spawners.backend import EndCause, State, Usage
from spawners.batchspawner.driver import Found
from spawners.local.runfolder import read_json, write_json
from spawners.plan import LaunchId, LaunchPlan

_LAUNCH = re.compile(r"[0-9a-f]{16}")

NAME_LENGTH = 15
"""A name of a job may have 15 characters (qsub(1B) of Torque)."""

_NEARLY = timedelta(minutes=1)
"""A job that ends so shortly before its time limit has most likely reached it."""


def job_name(launch_id: str) -> str:
    """Name of a session's job, by which it can be listed."""
    return f"p{launch_id}"[:NAME_LENGTH]


@dataclass(frozen=True, slots=True)
class Record:
    """One job. ``job`` is empty until the scheduler has told its id. Times are aware UTC.

    ``started_at`` is when it was first seen running, ``ended_at`` when it was first seen to be gone.
    ``queue`` is that of its place, empty for the scheduler's default.
    """

    launch: str
    user: str
    queue: str
    submitted_at: datetime
    walltime_s: int
    cpus: int
    memory_mib: int
    gpus: int
    job: str = ""
    host: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    was_stopped: bool = False

    @classmethod
    def of(cls, plan: LaunchPlan, queue: str, now: datetime) -> Record:
        """Record of a job that is about to be submitted."""
        return cls(
            launch=plan.launch_id,
            user=plan.account.name,
            queue=queue,
            submitted_at=now,
            walltime_s=int(plan.walltime.total_seconds()),
            cpus=plan.size.cpus,
            memory_mib=plan.size.memory_mib,
            gpus=plan.size.gpus,
        )

    @property
    def ends_at(self) -> datetime | None:
        """Until when it may run."""
        return self.started_at + timedelta(seconds=self.walltime_s) if self.started_at else None

    def seen(self, found: Found, now: datetime) -> Record:
        """With what the scheduler has just said."""
        if found.state is State.RUNNING:
            return replace(self, host=found.host or self.host, started_at=self.started_at or now)
        if found.state is State.GONE and self.ended_at is None:
            return replace(self, ended_at=now)
        return self

    def usage(self) -> Usage | None:
        """Use by our clock: from the first look that saw it run until the first that saw it gone.

        It is at most what its time limit allows, and nothing if no look saw it run: short of the truth by
        up to a period between two looks, at either end.
        """
        if self.ended_at is None:
            return None
        started_at = self.started_at or self.ended_at
        limit = started_at + timedelta(seconds=self.walltime_s)
        ended_at = min(self.ended_at, limit)
        return Usage(
            started_at=started_at,
            ended_at=ended_at,
            elapsed_seconds=int((ended_at - started_at).total_seconds()),
            cpus=self.cpus,
            memory_mib=self.memory_mib,
            gpus=self.gpus,
            cause=self._cause(limit),
        )

    def _cause(self, limit: datetime) -> EndCause:
        assert self.ended_at is not None
        if self.was_stopped:
            return EndCause.STOPPED
        return EndCause.TIME_LIMIT if self.ended_at >= limit - _NEARLY else EndCause.EXITED

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Record:
        """Rebuild a record."""
        times = ("submitted_at", "started_at", "ended_at")
        moments = {
            key: datetime.fromisoformat(raw[key]).astimezone(UTC) if raw[key] else None for key in times
        }
        return cls(**{**raw, **moments})


class Records:
    """The folder of one batch system's records."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make the folder, for the service's account alone."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, record: Record) -> None:
        """Keep a record, over what there was."""
        self.make()
        write_json(self._path(record.launch), record.to_json())

    def read(self, launch: str) -> Record | None:
        """Record of a launch; None if there is none, or none that can be read."""
        raw = read_json(self._path(launch))
        if raw is None:
            return None
        try:
            return Record.from_json(raw)
        except (KeyError, TypeError, ValueError):
            return None

    def every(self) -> tuple[Record, ...]:
        """All records."""
        names = sorted(path.stem for path in self._folder.glob("*.json") if _LAUNCH.fullmatch(path.stem))
        return tuple(record for name in names if (record := self.read(name)) is not None)

    def remove(self, launch: str) -> None:
        """Keep a record no longer."""
        with contextlib.suppress(FileNotFoundError):
            self._path(launch).unlink()

    def _path(self, launch: str) -> Path:
        if not _LAUNCH.fullmatch(launch):
            raise ValueError(f"{launch!r} is no launch id.")
        return self._folder / f"{launch}.json"


_IN_HANDLE = ("job", "user", "queue", "walltime_s", "cpus", "memory_mib", "gpus")


def handle_of(record: Record, cluster: str) -> dict[str, Any]:
    """JSON by which the launch table names the job; a record can be made of it again."""
    found = {key: value for key, value in record.to_json().items() if key in _IN_HANDLE}
    return {"cluster": cluster, "submitted_at": record.submitted_at.isoformat(), **found}


def record_of(launch_id: LaunchId, handle: Mapping[str, Any], cluster: str) -> Record | None:
    """Record that a handle stands for, where the file is lost; None for one of another cluster."""
    if handle.get("cluster") != cluster or not handle.get("job"):
        return None
    try:
        times: dict[str, None] = {"started_at": None, "ended_at": None}
        fields = {key: handle[key] for key in (*_IN_HANDLE, "submitted_at")}
        return Record.from_json({"launch": launch_id, **fields, **times})
    except (KeyError, TypeError, ValueError):
        return None
