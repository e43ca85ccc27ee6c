"""The protocol between the launch path and a place where sessions run.

Local, Slurm and Kubernetes answer the same five questions. A *handle* is a small JSON object
that names the running thing (pid and start time, job id, pod uid); it is stored as soon as the
backend yields it, before anybody waits for the session. Status has four values, and *unknown*
(scheduler down, time-out) never ends or settles a session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from spawners.plan import (
    DEFAULT_SCHEDULING,
    Account,
    Credentials,
    LaunchId,
    LaunchPlan,
    Scheduling,
    Size,
)

Handle = Mapping[str, Any]
"""JSON object by which a backend finds its session again."""


class State(StrEnum):
    """What a backend says of a session."""

    PENDING = "pending"
    RUNNING = "running"
    GONE = "gone"
    UNKNOWN = "unknown"


class EndCause(StrEnum):
    """Why a session that is gone ended, as far as its backend knows."""

    STOPPED = "stopped"
    EXITED = "exited"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    EVICTED = "evicted"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Status:
    """One answer about one session.

    ``reason`` is plain text for a person, or empty. ``host`` is the address where it runs, ``node`` the
    name by which people know it, if that is another.
    ``expected_start`` is the scheduler's guess while pending; ``started_at`` and ``ends_at`` are when
    it began and until when the scheduler lets it run (all aware UTC, None: not known).
    """

    state: State
    reason: str = ""
    host: str | None = None
    expected_start: datetime | None = None
    started_at: datetime | None = None
    ends_at: datetime | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What ran, by the backend's own account: the base of the charge.

    ``elapsed_seconds`` is whole seconds of wall time, ``cpus``, ``memory_mib`` and ``gpus``
    what was allocated. ``detail`` is the scheduler's own word of the end for a person, or empty.
    """

    started_at: datetime
    ended_at: datetime
    elapsed_seconds: int
    cpus: int
    memory_mib: int
    gpus: int
    cause: EndCause
    exit_code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class GpuCount:
    """Devices of one type at a place; ``type`` is empty where the place names none."""

    type: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Availability:
    """What a place has free now. None: the place does not say.

    ``is_isolated``: a session sees nothing but its own data, whatever its processes try. ``gpus``
    counts by type what ``gpus_free`` sums up. ``nodes_free`` are wholly idle nodes. ``warm_free`` of
    ``warm_total`` rooms are kept ready, so that a session starts there at once. ``taken_at`` is
    when the place was looked at (aware UTC), None for just now. ``jobs_pending`` counts everybody's jobs in
    a queue, ``sessions_pending`` our own sessions where nobody else's are to be seen.
    """

    is_reachable: bool
    cpus_free: int | None = None
    cpus_total: int | None = None
    memory_mib_free: int | None = None
    memory_mib_total: int | None = None
    gpus_free: int | None = None
    gpus_total: int | None = None
    note: str = ""
    is_isolated: bool = True
    gpus: tuple[GpuCount, ...] = ()
    nodes_free: int | None = None
    nodes_total: int | None = None
    jobs_pending: int | None = None
    sessions_pending: int | None = None
    taken_at: datetime | None = None
    warm_free: int | None = None
    warm_total: int | None = None


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A kind of node of a place: what the largest session on it can have. ``gpus`` by type."""

    cpus: int
    memory_mib: int
    gpus: Mapping[str, int]
    count: int = 1


@dataclass(frozen=True, slots=True)
class ReservationOffer:
    """A reservation that a person may use (their beamtime's, say). Times are aware UTC."""

    name: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class PlaceOffer:
    """What one person may use of a place, and how much at once.

    ``why_not`` is a sentence where they may use nothing, else None. ``max_walltime`` None: no limit.
    ``shapes`` are the place's kinds of node, largest first; empty where a place has none.
    """

    why_not: str | None = None
    max_cpus: int | None = None
    max_memory_mib: int | None = None
    max_gpus: int | None = None
    max_walltime: timedelta | None = None
    shapes: tuple[NodeShape, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
    reservations: tuple[ReservationOffer, ...] = ()
    default_account: str | None = None
    default_qos: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A start as far as a scheduler has to know it: for a forecast, before there is a plan."""

    account: Account
    size: Size
    walltime: timedelta
    scheduling: Scheduling = DEFAULT_SCHEDULING


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a session would start. ``starts_at`` None: nobody can say.

    ``basis`` is who says so: the ``scheduler`` itself, our ``estimate`` from what is free and what ends
    when, or ``unknown``.
    """

    starts_at: datetime | None
    basis: Literal["scheduler", "estimate", "unknown"] = "unknown"

    def is_now(self, now: datetime) -> bool:
        """Whether it would start at once (within 30 s)."""
        return self.starts_at is not None and self.starts_at <= now + timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class InnerJob:
    """A job that a person submitted from inside a session. ``state`` is the scheduler's own word."""

    id: str
    name: str
    state: str
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A step of a start. The engine saves ``handle`` before it asks for the next step.

    ``message`` tells a person in plain words what was done.
    """

    handle: Handle
    message: str


@dataclass(frozen=True, slots=True)
class View:
    """Where a session sees its files: ``root`` stands before every mount's target.

    A place with a namespace or container of its own shows ``/data/…`` as such (root ``/``); one
    without shows the same tree below a folder. Whoever writes paths into a plan's files asks here.
    """

    root: PurePosixPath
    home: PurePosixPath

    def shown(self, target: PurePosixPath) -> PurePosixPath:
        """Path at which the session sees an absolute target."""
        return self.root / target.relative_to("/")


class BackendError(Exception):
    """The backend said no; the text is fit for a person."""


class SubmitError(BackendError):
    """The session could not be started; nothing runs."""


class NotAdmittedError(BackendError):
    """The place does not take a plan: more than its limits, or what the person may not use.

    ``code`` is stable (``place_limit``, ``place_not_allowed``, ``place_closed``, ``data_not_here``,
    ``account_unknown``, ``qos_unknown``, ``reservation_unknown``); ``hint`` is the next step.
    """

    def __init__(self, code: str, text: str, hint: str) -> None:
        super().__init__(text)
        self.code = code
        self.hint = hint


class BackendUnavailableError(BackendError):
    """No answer: the state is unknown, ask again."""


class Backend(Protocol):
    """A place where sessions run. All methods may be called again after a crash of the caller."""

    def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Start the session, yielding each step that is worth saving.

        Returns (ends the iteration) when the session was handed over, not when it answers.
        The started thing carries ``plan.launch_id`` where `find` can see it, from its first
        moment on.

        Raises
        ------
        SubmitError
            If it was refused; nothing runs.
        BackendUnavailableError
            If it is not known whether it was started: `find` tells later.
        """
        ...

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """State of all given sessions, by as few queries as possible. Never raises."""
        ...

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """Where the session would see its files; asked before the plan is made, no I/O."""
        ...

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Every session of ours that this backend knows of, by launch id.

        Raises
        ------
        BackendUnavailableError
            If it cannot tell.
        """
        ...

    async def find_ended(self, missing: Mapping[LaunchId, str]) -> Mapping[LaunchId, Handle]:
        """Of launches that `find` did not have: those that ran and ended meanwhile, to be settled.

        ``missing`` gives the name of the POSIX account of each.

        Raises
        ------
        BackendUnavailableError
            If it cannot tell: nothing is known of the missing ones then.
        """
        ...

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """Status of one session by a look taken now: it has just been heard of. Never raises."""
        ...

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """End the session; return when it is gone. One that is gone already is no error.

        Raises
        ------
        BackendUnavailableError
            If it is not known whether it ended.
        """
        ...

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Let the session run until ``deadline`` (aware UTC).

        Raises
        ------
        BackendError
            If the backend refuses or cannot tell.
        """
        ...

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """What a session that is gone has used; None while that is not known yet."""
        ...

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Remove what the backend kept of a settled session, its log excepted."""
        ...

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """Last lines of the session's log; empty when there are none."""
        ...

    async def availability(self) -> Availability:
        """What is free now. Never raises."""
        ...

    async def offer(self, account: Account) -> PlaceOffer:
        """What this person may use here, from what is known now (a snapshot, no query of its own).

        Raises
        ------
        BackendUnavailableError
            If the place has not answered yet, or not for too long.
        """
        ...

    async def forecast(self, ask: Ask) -> Forecast:
        """When such a session would start. Never raises; unknown where nobody can say."""
        ...

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse a plan that the place would refuse; asked for every plan, before anything is held.

        Raises
        ------
        NotAdmittedError
            If it is over a limit or names what the person may not use.
        BackendUnavailableError
            If that cannot be told.
        """
        ...

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """Jobs that people submitted from inside their sessions. Never raises."""
        ...

    async def aclose(self) -> None:
        """Release connections and tasks of the engine's side; sessions go on."""
        ...


def refuse_scheduling(plan: LaunchPlan) -> None:
    """Refuse what belongs to a batch scheduler, for a place that is none.

    Raises
    ------
    NotAdmittedError
        If an account, QOS or reservation is named.
    """
    if plan.scheduling != DEFAULT_SCHEDULING:
        raise NotAdmittedError(
            "place_not_allowed",
            "This place has no accounts, QOS or reservations.",
            "Leave them out, or choose another place.",
        )


class Unscheduled:
    """Answers of a place without a scheduler: it starts now, or refuses when it starts.

    A base for backends whose place has no queue, no accounts and no reservations, that look whenever
    they are asked, and find what has ended like what runs.
    """

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """What each backend says itself."""
        raise NotImplementedError

    async def find_ended(self, missing: Mapping[LaunchId, str]) -> Mapping[LaunchId, Handle]:
        """None beside those of `Backend.find`."""
        return {}

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """Its status."""
        answers = await self.status({launch_id: handle})
        return answers.get(launch_id, Status(State.UNKNOWN))

    async def offer(self, account: Account) -> PlaceOffer:
        """No limits but the profile's."""
        return PlaceOffer()

    async def forecast(self, ask: Ask) -> Forecast:
        """Now."""
        return Forecast(datetime.now(UTC), "scheduler")

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse only what belongs to a scheduler.

        Raises
        ------
        NotAdmittedError
            If an account, QOS or reservation is named.
        """
        refuse_scheduling(plan)

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """None: there is nothing to submit to."""
        return {}
