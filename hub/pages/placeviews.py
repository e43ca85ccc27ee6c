"""What do the form and the cards show of places, sizes of one's own, and jobs?

Frozen dataclasses like those of `hub.pages.views`, for what a place with a scheduler adds: cards of
places with what is free now, when a session would start, and the detail of the form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PlaceState(StrEnum):
    """Whether a place takes sessions of this person now.

    ``open``: yes. ``unfit``: not with these choices. ``closed``: not for this person. ``down``: it does
    not answer, or takes nothing at the moment.
    """

    OPEN = "open"
    UNFIT = "unfit"
    CLOSED = "closed"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class ExpectedStart:
    """When a session would start. ``at`` None: nobody can say.

    ``is_estimate``: by our own reckoning from what is free and what ends when, not the scheduler's.
    """

    at: datetime | None
    is_now: bool = False
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class FreeLine:
    """How much of one thing is free now; memory in MiB."""

    what: str
    free: int
    total: int
    is_memory: bool = False


@dataclass(frozen=True, slots=True)
class PlaceCard:
    """A place as it is now. ``value`` is what the form sends.

    ``why`` says why it cannot be taken, ``takes`` which place `soonest` would take, ``warning`` what
    to know before. ``payer`` says who pays there where that is not for the launch to say. Of ``warm_total``
    rooms that are kept ready ``warm_free`` are free. ``as_of`` is when it was looked at, None for just
    now; ``is_old``: so long ago that it may no longer hold.
    """

    value: str
    title: str
    state: PlaceState = PlaceState.OPEN
    note: str = ""
    description: str = ""
    why: str = ""
    warning: str = ""
    takes: str = ""
    is_soonest: bool = False
    is_chosen: bool = False
    start: ExpectedStart | None = None
    free: tuple[FreeLine, ...] = ()
    nodes_free: int | None = None
    nodes_total: int | None = None
    jobs_pending: int | None = None
    sessions_pending: int | None = None
    warm_free: int | None = None
    warm_total: int | None = None
    payer: str = ""
    as_of: datetime | None = None
    is_old: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a node in CPUs, and the memory that goes with it [GiB]."""

    cpus: int
    title: str
    memory_gib: int
    is_chosen: bool = False
    is_allowed: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number that a person may type: what it is (empty: not said) and the most it may be."""

    value: str = ""
    most: int | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One of a person's own accounts, QOS or reservations. ``value`` empty: left to the scheduler.

    ``starts_at`` and ``ends_at`` are those of a reservation; ``is_open``: it has begun.
    """

    value: str
    title: str
    is_chosen: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """A type of GPU; ``value`` empty for any. ``free`` and ``total`` are those of the place now."""

    value: str
    title: str
    most: int
    free: int | None = None
    total: int | None = None
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """The form's second side. What a place or a person does not have is empty and not shown.

    ``gpu_counts`` are the numbers offered, ``is_open``: something of it is set.
    """

    has_own_size: bool = False
    shares: tuple[Share, ...] = ()
    cpus: NumberField = NumberField()
    memory: NumberField = NumberField()
    gpu_counts: tuple[tuple[int, bool], ...] = ()
    gpu_types: tuple[GpuChoice, ...] = ()
    reservations: tuple[Option, ...] = ()
    accounts: tuple[Option, ...] = ()
    qos: tuple[Option, ...] = ()
    is_open: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """What is in it, for its heading."""
        named = (
            ("CPUs and memory", self.has_own_size),
            ("GPUs", bool(self.gpu_counts)),
            ("reservation", bool(self.reservations)),
            ("account", bool(self.accounts)),
            ("QOS", bool(self.qos)),
        )
        return ("exact time", *(name for name, is_there in named if is_there))


NO_DETAIL = Detail()
"""Of a place and profile that leave nothing to say."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job that was submitted from inside a session. ``state`` is in words, ``tone`` as of a chip."""

    id: str
    name: str
    state: str
    tone: str
    icon: str
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
