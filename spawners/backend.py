"""The protocol between the launch path and a place where sessions run.

Local, Slurm and Kubernetes answer the same five questions. A *handle* is a small JSON object
that names the running thing (pid and start time, job id, pod uid); it is stored as soon as the
backend yields it, before anybody waits for the session. Status has four values, and *unknown*
(scheduler down, time-out) never ends or settles a session.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Protocol

from spawners.plan import Account, Credentials, LaunchId, LaunchPlan

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
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Status:
    """One answer about one session.

    ``reason`` is plain text for a person, or empty. ``host`` is where it runs.
    """

    state: State
    reason: str = ""
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What ran, by the backend's own account: the base of the charge.

    ``elapsed_seconds`` is whole seconds of wall time, ``cpus``, ``memory_mib`` and ``gpus``
    what was allocated.
    """

    started_at: datetime
    ended_at: datetime
    elapsed_seconds: int
    cpus: int
    memory_mib: int
    gpus: int
    cause: EndCause
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """What a place has free now. None: the place does not say.

    ``is_isolated``: a session sees nothing but its own data, whatever its processes try.
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

    async def aclose(self) -> None:
        """Release connections and tasks of the engine's side; sessions go on."""
        ...
