"""The life of a launch: its states and the steps between them.

``state`` is what is, ``target`` what is wanted; the engine moves one to the other and every
step is a compare-and-set on the row, so two who move the same launch cannot both win.

    requested ─▶ planned ─▶ held ─▶ submitted ─▶ running ─▶ ending ─▶ ended
        └──────────┴────────▶ refused              └──────────────────▶ ended
"""

from __future__ import annotations

from enum import StrEnum


class LaunchState(StrEnum):
    """Where a launch is.

    ``requested``: registered by our pages or API, the hub was asked to start it.
    ``planned``: the hub came for it; access, profile and template were decided.
    ``held``: quota is held; the backend may have been asked.
    ``submitted``: the backend has it, its handle is stored.
    ``running``: the session answers. ``ending``: it is being stopped, or its use is not known yet.
    ``ended`` and ``refused`` are final.
    """

    REQUESTED = "requested"
    PLANNED = "planned"
    HELD = "held"
    SUBMITTED = "submitted"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"
    REFUSED = "refused"


class Target(StrEnum):
    """What is wanted of a launch."""

    RUN = "run"
    STOP = "stop"


class EndReason(StrEnum):
    """Why a session ended, for people and reports."""

    STOPPED_BY_USER = "stopped_by_user"
    STOPPED_BY_OPERATOR = "stopped_by_operator"
    CANCELLED = "cancelled"
    TIME_LIMIT = "time_limit"
    EXITED = "exited"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    EVICTED = "evicted"
    CANCELLED_BY_SCHEDULER = "cancelled_by_scheduler"
    LOST = "lost"
    START_FAILED = "start_failed"
    START_TIMEOUT = "start_timeout"
    NOT_HANDED_OVER = "not_handed_over"
    ACCESS_LOST = "access_lost"
    SERVICE_STOPPED = "service_stopped"
    IDLE = "idle"


LIVE = frozenset(
    {
        LaunchState.REQUESTED,
        LaunchState.PLANNED,
        LaunchState.HELD,
        LaunchState.SUBMITTED,
        LaunchState.RUNNING,
        LaunchState.ENDING,
    }
)
"""States that occupy a server name."""

OVER = frozenset({LaunchState.ENDED, LaunchState.REFUSED})
"""Final states."""

BEFORE_HOLD = frozenset({LaunchState.REQUESTED, LaunchState.PLANNED})
"""States in which nothing is held and nothing was started."""

MAY_RUN = frozenset({LaunchState.HELD, LaunchState.SUBMITTED, LaunchState.RUNNING, LaunchState.ENDING})
"""States in which something may run at the backend."""

STEPS: dict[LaunchState, frozenset[LaunchState]] = {
    LaunchState.REQUESTED: frozenset({LaunchState.PLANNED, LaunchState.REFUSED, LaunchState.ENDED}),
    LaunchState.PLANNED: frozenset({LaunchState.HELD, LaunchState.REFUSED, LaunchState.ENDED}),
    LaunchState.HELD: frozenset({LaunchState.SUBMITTED, LaunchState.ENDING, LaunchState.ENDED}),
    LaunchState.SUBMITTED: frozenset({LaunchState.RUNNING, LaunchState.ENDING, LaunchState.ENDED}),
    LaunchState.RUNNING: frozenset({LaunchState.ENDING, LaunchState.ENDED}),
    LaunchState.ENDING: frozenset({LaunchState.ENDED}),
    LaunchState.ENDED: frozenset(),
    LaunchState.REFUSED: frozenset(),
}
"""Allowed steps; anything else is a programming error."""
