"""What is known of the sessions of this machine? Run folders and processes, brought together.

All of it blocks (files, /proc): the backend calls it in threads.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spawners.backend import EndCause, Handle, Usage
from spawners.local.processes import (
    RUN_VARIABLE,
    boot_id,
    environment,
    of_launch,
    pids,
    start_time,
)
from spawners.local.runfolder import RunFolder, read_json, write_json
from spawners.plan import LaunchId
from spawners.session.environment import LAUNCH_VARIABLE

_SENTENCES = {
    EndCause.STOPPED: "The session was stopped.",
    EndCause.EXITED: "The session's server ended by itself.",
    EndCause.OUT_OF_MEMORY: "The session needed more memory than it had.",
    EndCause.TIME_LIMIT: "The session reached the end of its time.",
    EndCause.LOST: "The session's supervisor is gone without a word.",
}


@dataclass(frozen=True, slots=True)
class Supervised:
    """Whether a session's supervisor lives, and who it is; pid 0 while it has not said so yet."""

    is_running: bool
    pid: int = 0
    start_time: int = 0


class Records:
    """The folders ``run`` and ``logs`` of the backend's state."""

    def __init__(self, state: Path) -> None:
        self._run = state / "run"
        self._logs = state / "logs"

    def make(self) -> None:
        """Make the folders, for the service's account alone."""
        for folder in (self._run, self._logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)

    def folder(self, launch_id: LaunchId) -> RunFolder:
        """Run folder of a launch."""
        if not launch_id.isalnum():
            raise ValueError(f"not a launch id: {launch_id!r}")
        return RunFolder(self._run / launch_id)

    def log_path(self, launch_id: LaunchId) -> Path:
        """Log of a launch; it outlives the run folder."""
        return self._logs / f"{self.folder(launch_id).path.name}.log"

    # --- processes ----------------------------------------------------------------------------

    def supervised(self, launch_id: LaunchId, handle: Handle) -> Supervised:
        """Look after the supervisor that a handle names."""
        known: Handle | dict[str, Any] = handle
        if not handle.get("pid"):
            # Found before it had said who it is: by now it has, or it never got that far.
            written = read_json(self.folder(launch_id).supervisor)
            if written is None:
                return Supervised(is_running=bool(of_launch(launch_id)))
            known = written
        pid, started = int(known["pid"]), int(known["start_time"])
        is_same = known["boot_id"] == boot_id() and start_time(pid) == started
        return Supervised(is_same, pid, started) if is_same else Supervised(is_running=False)

    def find(self) -> dict[LaunchId, Handle]:
        """Handles of all launches with a supervisor, now or before; see `Backend.find`."""
        self.make()
        # Processes first: a folder seen without a supervisor then has none.
        starting = set(self._starting())
        found: dict[LaunchId, Handle] = {}
        for path in self._run.iterdir():
            launch_id = LaunchId(path.name)
            supervisor = read_json(RunFolder(path).supervisor)
            if supervisor is not None:
                names = {key: supervisor[key] for key in ("pid", "start_time", "boot_id")}
                found[launch_id] = {**names, "run": str(path)}
            elif launch_id in starting:
                found[launch_id] = {"pid": 0, "start_time": 0, "boot_id": boot_id(), "run": str(path)}
        return found

    def _starting(self) -> Iterator[LaunchId]:
        """Launches that have a supervisor's process with our run folder in its environment."""
        for pid in pids():
            variables = environment(pid)
            if Path(variables.get(RUN_VARIABLE, "/")).parent == self._run:
                yield LaunchId(variables.get(LAUNCH_VARIABLE, ""))

    def clear_unstarted(self, launch_id: LaunchId) -> None:
        """Remove what an engine left that was killed before it started the launch's supervisor."""
        run = self.folder(launch_id)
        if read_json(run.supervisor) is None and not of_launch(launch_id):
            shutil.rmtree(run.path, ignore_errors=True)

    def live(self) -> Iterator[dict[str, Any]]:
        """What each running session was given (``session.json``)."""
        for launch_id, handle in self.find().items():
            given = read_json(self.folder(launch_id).session)
            if given is not None and self.supervised(launch_id, handle).is_running:
                yield given

    # --- ends ---------------------------------------------------------------------------------

    def usage(self, launch_id: LaunchId) -> Usage | None:
        """What a session whose supervisor is gone has used; None if it is not known here."""
        run = self.folder(launch_id)
        given, ended = read_json(run.session), self._end(run)
        if given is None or ended is None:
            return None
        started_at, ended_at = float(ended["started_at"]), float(ended["ended_at"])
        return Usage(
            started_at=datetime.fromtimestamp(started_at, UTC),
            ended_at=datetime.fromtimestamp(ended_at, UTC),
            elapsed_seconds=math.ceil(max(0.0, ended_at - started_at)),
            cpus=given["cpus"],
            memory_mib=given["memory_mib"],
            gpus=given["gpus"],
            cause=EndCause(ended["cause"]),
            exit_code=ended["exit_code"],
        )

    def end_sentence(self, launch_id: LaunchId) -> str:
        """Why a session ended, for a person."""
        ended = self._end(self.folder(launch_id))
        return _SENTENCES[EndCause(ended["cause"])] if ended else ""

    def _end(self, run: RunFolder) -> dict[str, Any] | None:
        """How a session ended: by its supervisor's word, or by when that was last alive."""
        written = read_json(run.exit)
        if written is not None:
            return written
        supervisor = read_json(run.supervisor)
        if supervisor is None:
            return _end_unstarted(run)
        started_at = float(supervisor["started_at"])
        try:
            last = run.alive.stat().st_mtime
        except OSError:
            last = started_at
        return {
            "cause": EndCause.LOST,
            "exit_code": None,
            "started_at": started_at,
            "ended_at": max(started_at, last),
        }

    def record_stop(self, launch_id: LaunchId) -> None:
        """Write the end of a session whose supervisor had to be killed."""
        run = self.folder(launch_id)
        supervisor = read_json(run.supervisor)
        if supervisor is None or run.exit.exists():
            return
        ended = self._end(run)
        if ended is not None:
            write_json(run.exit, {**ended, "cause": EndCause.STOPPED})

    def set_deadline(self, launch_id: LaunchId, deadline: datetime) -> None:
        """Write until when a session may run; OSError if it is not known here."""
        self.folder(launch_id).write_deadline(deadline.timestamp())

    def forget(self, launch_id: LaunchId, handle: Handle, *, keep_logs_days: int) -> None:
        """Remove the run folder of a session that is gone, and logs that are old."""
        if not self.supervised(launch_id, handle).is_running:
            shutil.rmtree(self.folder(launch_id).path, ignore_errors=True)
        oldest = time.time() - keep_logs_days * 86400
        for path in self._logs.glob("*.log*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _end_unstarted(run: RunFolder) -> dict[str, Any] | None:
    """End of a session whose supervisor died before it wrote who it is: nothing ran."""
    try:
        at = run.session.stat().st_mtime
    except OSError:
        return None
    return {"cause": EndCause.LOST, "exit_code": None, "started_at": at, "ended_at": at}
