"""Backends that start nothing, each with one way to fail, and the place where their sessions "run".

A `Place` outlives the engine: a test that throws an engine away and makes another one on the same
database and place has done what kill -9 does. Usage is by a clock that the test moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from spawners.backend import (
    Ask,
    Availability,
    BackendError,
    BackendUnavailableError,
    EndCause,
    Forecast,
    Handle,
    InnerJob,
    Started,
    State,
    Status,
    SubmitError,
    Unscheduled,
    Usage,
    View,
)
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan

START = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)


@dataclass
class Running:
    """One session at a place."""

    plan: LaunchPlan
    secret: str
    number: int
    started_at: datetime
    deadline: datetime | None = None
    ended_at: datetime | None = None
    cause: EndCause = EndCause.EXITED
    exit_code: int | None = 0
    detail: str = ""


@dataclass
class Place:
    """Where sessions run; it knows nothing of engines."""

    sessions: dict[str, Running] = field(default_factory=dict)
    now: datetime = START
    submitted: list[str] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)
    answering: set[str] = field(default_factory=set)
    waiting: dict[str, Status] = field(default_factory=dict)

    def submit(self, plan: LaunchPlan, credentials: Credentials) -> Running:
        """Start a session; a second one of the same launch must never be asked for."""
        self.submitted.append(plan.launch_id)
        assert plan.launch_id not in self.sessions, "submitted twice"
        self.environments.append(credentials.environment)
        running = Running(plan, credentials.report_secret, len(self.submitted), self.now)
        self.sessions[plan.launch_id] = running
        return running

    def queue(self, launch_id: str, reason: str = "", expected_start: datetime | None = None) -> None:
        """Let a session wait, for another reason than before."""
        self.waiting[launch_id] = Status(State.PENDING, reason, expected_start=expected_start)

    def begin(self, launch_id: str) -> None:
        """Start a session that waits."""
        del self.waiting[launch_id]
        self.sessions[launch_id].started_at = self.now

    def end(
        self,
        launch_id: str,
        cause: EndCause = EndCause.EXITED,
        exit_code: int | None = 0,
        detail: str = "",
    ) -> None:
        """End a session that runs or waits."""
        session = self.sessions[launch_id]
        if session.ended_at is None:
            session.ended_at, session.cause, session.exit_code = self.now, cause, exit_code
            session.detail = detail or session.detail
            if self.waiting.pop(launch_id, None) is not None:
                session.started_at = self.now

    def running(self) -> set[str]:
        """Launch ids of all that runs."""
        return {key for key, session in self.sessions.items() if session.ended_at is None}

    def later(self, **delta: float) -> None:
        """Move the place's clock."""
        self.now += timedelta(**delta)


class FakeBackend(Unscheduled):
    """A backend over a `Place` that does what it is asked at once."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.finds = 0

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Start at once."""
        running = self.place.submit(plan, credentials)
        yield Started({"job": running.number}, "It is starting.")

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """Running until it is ended."""
        running = self.place.running()
        return {key: Status(State.RUNNING if key in running else State.GONE) for key in handles}

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """As seen from outside."""
        return View(root=PurePosixPath("/"), home=account.home)

    async def find(self) -> Mapping[LaunchId, Handle]:
        """All that was not forgotten."""
        self.finds += 1
        return {LaunchId(key): {"job": one.number} for key, one in self.place.sessions.items()}

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """End it."""
        if launch_id in self.place.sessions:
            self.place.end(launch_id, EndCause.STOPPED, None)

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Remember it."""
        self.place.sessions[launch_id].deadline = deadline

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """By the place's clock."""
        one = self.place.sessions.get(launch_id)
        if one is None or one.ended_at is None:
            return None
        return Usage(
            started_at=one.started_at,
            ended_at=one.ended_at,
            elapsed_seconds=int((one.ended_at - one.started_at).total_seconds()),
            cpus=one.plan.size.cpus,
            memory_mib=one.plan.size.memory_mib,
            gpus=one.plan.size.gpus,
            cause=one.cause,
            exit_code=one.exit_code,
            detail=one.detail,
        )

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Forget one that has ended."""
        if launch_id not in self.place.running():
            self.place.sessions.pop(launch_id, None)

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """One line."""
        return [f"the log of {launch_id}"]

    async def availability(self) -> Availability:
        """Always there."""
        return Availability(is_reachable=True)

    async def aclose(self) -> None:
        """Nothing to release."""


class BackendSlowToStart(FakeBackend):
    """Starts when the test says so: ``before`` the submit, or ``after`` it but before its handle is told."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.before, self.after, self.reached = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Wait twice."""
        self.reached.set()
        await self.before.wait()
        running = self.place.submit(plan, credentials)
        await self.after.wait()
        yield Started({"job": running.number}, "It is starting.")


class BackendFailsDuringStart(FakeBackend):
    """Refuses every start."""

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Refuse."""
        raise SubmitError("The partition is closed.")
        yield  # pragma: no cover - makes it a generator


class BackendRefusesAfterItsHandle(FakeBackend):
    """Gives a handle, then says that nothing runs after all."""

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Refuse late."""
        yield Started({"job": 1}, "It was submitted.")
        raise SubmitError("The job was refused.")


class BackendAnswersNothing(FakeBackend):
    """May have started a session (``does_start``) or not, and does not say."""

    does_start = True

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Start, or not, without a word."""
        if self.does_start:
            self.place.submit(plan, credentials)
        raise BackendUnavailableError("The scheduler does not answer.")
        yield  # pragma: no cover - makes it a generator


class BackendUnknown(FakeBackend):
    """Knows nothing of its sessions while ``is_down``."""

    is_down = True

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """Unknown."""
        if self.is_down:
            return {key: Status(State.UNKNOWN) for key in handles}
        return await super().status(handles)

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """What it knows in any case: where they run."""
        return replace((await self.status({launch_id: handle}))[launch_id], host="127.0.0.1")

    async def find(self) -> Mapping[LaunchId, Handle]:
        """No answer."""
        if self.is_down:
            raise BackendUnavailableError("no answer")
        return await super().find()

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """No answer, and it does not end."""
        if self.is_down:
            raise BackendUnavailableError("no answer")
        await super().stop(launch_id, handle)

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """No answer."""
        if self.is_down:
            raise BackendUnavailableError("no answer")
        await super().set_deadline(launch_id, handle, deadline)


class BackendWithoutUsageYet(FakeBackend):
    """Ends sessions, but says what they used only when ``is_accounted``."""

    is_accounted = False

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """Not yet."""
        return await super().usage(launch_id, handle) if self.is_accounted else None


class BackendBroken(FakeBackend):
    """Has a fault of its own in every question about one session."""

    broken: str = ""

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """Fail for one."""
        if launch_id == self.broken:
            raise RuntimeError("a fault")
        return await super().usage(launch_id, handle)


class BackendRefusesDeadlines(FakeBackend):
    """Does not move the end of a session while ``is_refusing``: by ``error``, no answer or a refusal."""

    is_refusing = True
    error: type[BackendError] = BackendUnavailableError

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Refuse."""
        if self.is_refusing:
            raise self.error("The end cannot be moved.")
        await super().set_deadline(launch_id, handle, deadline)


class BackendWithQueue(FakeBackend):
    """A scheduler: sessions wait until the test lets them begin, and end when it says.

    ``inner`` are jobs from inside its sessions, ``expected`` and ``refusal`` its answers before a start.
    Without ``tells_end`` it knows of a session that runs since when, but not until when.
    """

    tells_end = True

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.inner: dict[str, list[InnerJob]] = {}
        self.expected: Forecast = Forecast(None)
        self.refusal: BackendError | None = None
        self.forecast_s = 0.0
        self.admitted: list[LaunchPlan] = []

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Put it into the queue."""
        running = self.place.submit(plan, credentials)
        self.place.queue(plan.launch_id, "Other jobs come first.")
        yield Started({"job": running.number}, "Handed to the scheduler.")

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """Waiting, then running with its times."""
        return {key: self._status(key) for key in handles}

    def _status(self, launch_id: LaunchId) -> Status:
        if launch_id in self.place.waiting:
            return self.place.waiting[launch_id]
        if launch_id not in self.place.running():
            return Status(State.GONE)
        one = self.place.sessions[launch_id]
        ends_at = one.deadline or one.started_at + one.plan.walltime
        return Status(
            State.RUNNING,
            host="node1",
            started_at=one.started_at,
            ends_at=ends_at if self.tells_end else None,
        )

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """As the test has set them."""
        return {key: self.inner[key] for key in handles if key in self.inner}

    async def forecast(self, ask: Ask) -> Forecast:
        """As the test has set it, after as long as it says."""
        await asyncio.sleep(self.forecast_s)
        return self.expected

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse if the test says so."""
        if self.refusal is not None:
            raise self.refusal
        self.admitted.append(plan)
