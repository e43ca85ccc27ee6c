"""One batch system with its records and the last answers about its jobs; its places share it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spawners.backend import Handle, State
from spawners.batchspawner.driver import Driver, Found
from spawners.batchspawner.looks import Looks
from spawners.batchspawner.records import Record, Records, job_name, record_of
from spawners.batchspawner.settings import BatchSystemSettings
from spawners.plan import LaunchId

_NEVER_SUBMITTED = timedelta(days=1)
"""A record without a job that no list has ever shown is not kept for longer."""


def utcnow() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


class BatchSystem:
    """A batch system.

    Parameters
    ----------
    name
        As places call it.
    folder
        Of its records; made when first needed.

    Raises
    ------
    BatchspawnerError
        If the settings cannot be used.
    """

    def __init__(self, name: str, settings: BatchSystemSettings, folder: Path) -> None:
        self.name = name
        self.settings = settings
        self.driver = Driver(name, settings)
        self.looks = Looks(poll_s=settings.poll_s, poll_idle_s=settings.poll_idle_s)
        self.submitting: set[LaunchId] = set()
        self._records = Records(folder)
        self._known: dict[str, Record] | None = None
        self._loading = asyncio.Lock()
        self._answered = time.monotonic()

    @property
    def silent_s(self) -> float:
        """For how long there was no answer about any job, although questions were asked."""
        return time.monotonic() - self._answered if self._is_silent else 0.0

    _is_silent = False

    async def records(self) -> Mapping[str, Record]:
        """All records by launch."""
        async with self._loading:
            if self._known is None:
                self._known = {r.launch: r for r in await asyncio.to_thread(self._records.every)}
            return self._known

    async def record(self, launch_id: LaunchId, handle: Handle) -> Record | None:
        """Record of a handle; None for a job of another system."""
        found = (await self.records()).get(launch_id)
        if found is not None and found.job == handle.get("job"):
            return found
        made = record_of(launch_id, handle, self.name)
        if made is not None and found is None:
            await self.save(made)
        return made

    async def save(self, record: Record) -> None:
        """Keep a record."""
        await self.records()
        assert self._known is not None
        self._known[record.launch] = record
        await asyncio.to_thread(self._records.write, record)

    async def forget(self, launch_id: LaunchId, job: str) -> None:
        """Keep nothing of a job."""
        await self.records()
        assert self._known is not None
        self._known.pop(launch_id, None)
        self.looks.forget(job)
        await asyncio.to_thread(self._records.remove, launch_id)

    async def look(
        self, record: Record, *, wait_s: float, is_due: bool = False
    ) -> tuple[Record, State | None]:
        """What is known of a job now; None: nothing yet."""
        if record.ended_at is not None:
            return record, State.GONE

        async def ask() -> Found:
            found = await self.driver.query(record.user, record.job)
            self._is_silent = found.state is State.UNKNOWN
            if not self._is_silent:
                self._answered = time.monotonic()
            return found

        found = await self.looks.state(record.job, ask, wait_s=wait_s, is_due=is_due)
        if found is None:
            return record, None
        known = (await self.records()).get(record.launch, record)
        seen = known.seen(found, utcnow())
        if seen != known:
            await self.save(seen)
        return seen, found.state

    async def submitted(self, queue: str) -> Mapping[LaunchId, Record]:
        """Records of a queue with a job, those found by its name among them.

        Raises
        ------
        NoAnswerError
            If jobs that were submitted just before a crash cannot be listed.
        """
        records = [r for r in (await self.records()).values() if r.queue == queue]
        found = {LaunchId(r.launch): r for r in records if r.job}
        lost = [r for r in records if not r.job and r.launch not in self.submitting]
        if not self.driver.can_list:
            return found
        for user in {r.user for r in lost}:
            jobs = await self.driver.listed(user)
            for record in (r for r in lost if r.user == user):
                if (job := jobs.get(job_name(record.launch))) is not None:
                    found[LaunchId(record.launch)] = known = replace(record, job=job)
                    await self.save(known)
                elif utcnow() - record.submitted_at > _NEVER_SUBMITTED:
                    await self.forget(LaunchId(record.launch), "")
        return found

    async def aclose(self) -> None:
        """End questions that are under way; jobs go on."""
        await self.looks.aclose()
