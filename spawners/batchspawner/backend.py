"""Where does a session run? As a job of a batch system that one of batchspawner's classes talks to.

The launch path, the start of a session on its node and its view are those of Slurm; only the scheduler is
asked by the class's commands, one job at a time. What follows from that:

- There is no field for a launch id. A record is written before each submit and completed with the job's id;
  what was submitted just before a crash is found by the name of the job, where jobs can be listed.
- There is no accounting: a session is charged by our clock, from the first look that saw it run until
  the first that saw it gone, and never more than its time limit (`Record.usage`).
- There is no list of what is free, no expected start and no limits but those of the settings.
- An answer that is not known is *unknown*; only one that says so ends a session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from spawners.backend import (
    Ask,
    Availability,
    BackendError,
    BackendUnavailableError,
    EndCause,
    Forecast,
    Handle,
    InnerJob,
    PlaceOffer,
    Started,
    State,
    Status,
    SubmitError,
    Usage,
    View,
)
from spawners.batchspawner.admission import check, offer
from spawners.batchspawner.driver import NoAnswerError, RefusedError
from spawners.batchspawner.jobs import make_job, view
from spawners.batchspawner.records import Record, handle_of
from spawners.batchspawner.system import BatchSystem, utcnow
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan

log = logging.getLogger(__name__)

_WAIT_S = 2.0
"""What a question about all sessions waits for answers that are under way."""

_SILENT_S = 60.0
_JUST_SUBMITTED = timedelta(minutes=1)
_STOP_S = 90.0
"""Schedulers give a job up to a minute between SIGTERM and SIGKILL."""

_CANCEL_AGAIN_S = 15.0

_SILENT = Status(State.UNKNOWN, "The batch system does not answer; the session goes on meanwhile.")
_ELSEWHERE = Status(State.UNKNOWN, "Its batch system is not one that this service knows.")
_QUEUED = Status(State.PENDING, "Waiting in the queue.")
_HANDED_OVER = Status(State.PENDING, "Handed to the batch system.")

_ENDS = {
    EndCause.STOPPED: "The session was stopped.",
    EndCause.TIME_LIMIT: "The session reached the end of its time.",
    EndCause.EXITED: "The session's job has ended.",
}


class BatchspawnerBackend:
    """Sessions in one queue; implements `spawners.backend.Backend`. ``queue`` None: the default one."""

    def __init__(self, system: BatchSystem, queue: str | None = None) -> None:
        self._system = system
        self._queue = queue or ""

    # --- start --------------------------------------------------------------------------------

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Submit the session's job; see `Backend.start`."""
        system = self._system
        job = make_job(system.driver, self._queue, plan, credentials)
        record = Record.of(plan, self._queue, utcnow())
        system.submitting.add(plan.launch_id)
        try:
            await system.save(record)
            made = system.driver.spawner(record.user, **job.requests)
            try:
                number = await system.driver.submit(made, job.script, job.environment)
            except RefusedError as error:
                await system.forget(plan.launch_id, "")
                raise SubmitError(f"The batch system refused the session: {error}") from error
            except NoAnswerError as error:
                raise BackendUnavailableError(f"The batch system does not answer: {error}") from error
            record = replace(record, job=number)
            await system.save(record)
        finally:
            system.submitting.discard(plan.launch_id)
        where = f" in queue {self._queue}" if self._queue else ""
        yield Started(handle_of(record, system.name), f"Handed to the batch system as job {number}{where}.")

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """Where the session would see its files; see `Backend.view`."""
        return view(self._system.settings, launch_id, account)

    # --- questions ----------------------------------------------------------------------------

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """State of all given sessions, each asked about when it is time; see `Backend.status`."""
        answers = await asyncio.gather(*(self._status(*item, wait_s=_WAIT_S) for item in handles.items()))
        return dict(zip(handles, answers, strict=True))

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """Status by a look taken now; see `Backend.locate`."""
        return await self._status(launch_id, handle, wait_s=self._system.settings.timeout_s, is_due=True)

    async def _status(
        self, launch_id: LaunchId, handle: Handle, *, wait_s: float, is_due: bool = False
    ) -> Status:
        try:
            record = await self._system.record(launch_id, handle)
            if record is None:
                return _ELSEWHERE
            record, state = await self._system.look(record, wait_s=wait_s, is_due=is_due)
        except Exception:
            log.exception("The state of %s cannot be told", launch_id)
            return _SILENT
        return _status(record, state)

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Every recorded job of this place, also those submitted just before a crash; see `Backend.find`."""
        try:
            found = await self._system.submitted(self._queue)
        except NoAnswerError as error:
            raise BackendUnavailableError(f"The batch system does not list jobs: {error}") from error
        return {launch_id: handle_of(record, self._system.name) for launch_id, record in found.items()}

    async def find_ended(self, missing: Mapping[LaunchId, str]) -> Mapping[LaunchId, Handle]:
        """None beside those of `find`: records stay until they are forgotten."""
        return {}

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """What an ended session used by our clock; see `Backend.usage`."""
        record = await self._system.record(launch_id, handle)
        return record.usage() if record is not None else None

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """Nothing: a node sends the end of its log to the engine itself."""
        return ()

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """None: nothing tells from which session a job was submitted."""
        return {}

    # --- what could be started ----------------------------------------------------------------

    async def availability(self) -> Availability:
        """Whether the batch system answers; it does not say what is free."""
        is_isolated = self._system.settings.view in ("bubblewrap", "apptainer")
        if self._system.silent_s > _SILENT_S:
            return Availability(is_reachable=False, note=_SILENT.reason, is_isolated=is_isolated)
        return Availability(is_reachable=True, is_isolated=is_isolated)

    async def offer(self, account: Account) -> PlaceOffer:
        """What the settings let everybody use; see `Backend.offer`."""
        return offer(self._system.settings)

    async def forecast(self, ask: Ask) -> Forecast:
        """Unknown."""
        return Forecast(None)

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse what is over the settings' limits; see `Backend.admit`."""
        check(self._system.settings, self._system.driver.known, plan)

    # --- changes ------------------------------------------------------------------------------

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """Cancel the session's job and return when it is over; see `Backend.stop`."""
        record = await self._system.record(launch_id, handle)
        if record is None:
            raise BackendUnavailableError(_ELSEWHERE.reason)
        timeout_s = self._system.settings.timeout_s
        record, state = await self._system.look(record, wait_s=timeout_s, is_due=True)
        if state is State.GONE:
            return
        await self._system.save(replace(record, was_stopped=True))
        deadline, cancelled, pause = time.monotonic() + _STOP_S, 0.0, 0.2
        while time.monotonic() < deadline:
            if time.monotonic() - cancelled >= _CANCEL_AGAIN_S or not cancelled:
                await self._cancel(record)
                cancelled = time.monotonic()
            if (await self._system.look(record, wait_s=timeout_s, is_due=True))[1] is State.GONE:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 3.0)
        raise BackendUnavailableError("The job does not end; trying again later.")

    async def _cancel(self, record: Record) -> None:
        try:
            await self._system.driver.cancel(record.user, record.job)
        except NoAnswerError as error:
            raise BackendUnavailableError(f"The batch system does not cancel the job: {error}") from error

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Set the job's time limit, where the settings have a command for it; see `Backend.set_deadline`."""
        record = await self._system.record(launch_id, handle)
        if record is None or record.started_at is None:
            raise BackendError("The session has not started yet; its time can be changed once it runs.")
        seconds = -int((record.started_at - deadline).total_seconds())
        if seconds <= record.walltime_s:
            return  # the service itself ends a session that is to end sooner
        try:
            await self._system.driver.extend(record.user, record.job, seconds)
        except RefusedError as error:
            raise BackendError(f"The batch system does not change the session's time: {error}") from error
        except NoAnswerError as error:
            raise BackendUnavailableError(f"The batch system does not answer: {error}") from error
        await self._system.save(replace(record, walltime_s=seconds))

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Remove the record of a settled session."""
        await self._system.forget(launch_id, str(handle.get("job", "")))

    async def aclose(self) -> None:
        """End questions that are under way; sessions go on."""
        await self._system.aclose()


def _status(record: Record, state: State | None) -> Status:
    if state is State.RUNNING:
        return Status(
            State.RUNNING, host=record.host or None, started_at=record.started_at, ends_at=record.ends_at
        )
    if state is State.PENDING:
        return _QUEUED
    if state is State.GONE:
        usage = record.usage()
        return Status(State.GONE, _ENDS[usage.cause] if usage is not None else "")
    if state is None and record.started_at is None and utcnow() - record.submitted_at < _JUST_SUBMITTED:
        return _HANDED_OVER
    return _SILENT
