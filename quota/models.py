"""Words of the ledger.

An *allocation* gives an account an amount of a resource, for ever or per window. A *hold*
reserves for one launch, a *charge* is measured use, a *release* returns the rest, an
*adjustment* corrects. Amounts are whole numbers: CPU-seconds, GPU-seconds, MiB-seconds, sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AccountKind(StrEnum):
    """Whose account it is: a person's, a proposal's, or one of the facility's own (its cloud's, say)."""

    PERSON = "person"
    PROPOSAL = "proposal"
    FACILITY = "facility"


class Resource(StrEnum):
    """What is counted. ``sessions`` is a number of live sessions, the others are used up.

    ``mib_seconds`` (allocated memory × time) is metered only, see `METERED`.
    """

    CPU_SECONDS = "cpu_seconds"
    GPU_SECONDS = "gpu_seconds"
    MIB_SECONDS = "mib_seconds"
    SESSIONS = "sessions"


METERED = frozenset({Resource.MIB_SECONDS})
"""Recorded for the reports when a launch is settled; never given, held, limited or balanced.

Schedulers charge a session's memory by their own rules; here it is shown beside its CPU-hours.
"""


class Enforcement(StrEnum):
    """Whether a limit refuses, or is only counted and shown."""

    OBSERVED = "observed"
    ENFORCED = "enforced"


class Window(StrEnum):
    """How long used amounts count: for ever, or until the calendar day, week or month is over."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Source(StrEnum):
    """Who gave an allocation: an operator on the page, the site's file, or a role in that file."""

    OPERATOR = "operator"
    SITE = "site"
    ROLE = "role"


class EntryKind(StrEnum):
    """What a line of the ledger says."""

    ALLOCATION = "allocation"
    HOLD = "hold"
    CHARGE = "charge"
    RELEASE = "release"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True, order=True)
class AccountRef:
    """One account: ``key`` is a hub username, a proposal name, or the name of a facility's account."""

    kind: AccountKind
    key: str


@dataclass(frozen=True, slots=True)
class Holder:
    """The person who launches, as the role defaults of the site see them.

    ``groups`` are normalised groups, ``roles`` coarse roles such as ``operator``.
    """

    username: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HoldLine:
    """What one launch needs of one account. A launch holds all its lines or none."""

    account: AccountRef
    resource: Resource
    amount: int


@dataclass(frozen=True, slots=True)
class Holding:
    """All that one launch holds, extensions included."""

    launch_id: str
    username: str
    lines: tuple[HoldLine, ...]
    opened_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class SettledLine:
    """How one line of a hold ended. ``charged`` may exceed ``held``; then nothing was released."""

    account: AccountRef
    resource: Resource
    held: int
    charged: int

    @property
    def released(self) -> int:
        """Amount that was held and not used."""
        return max(0, self.held - self.charged)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a launch's hold ended; the same for every repeated call."""

    launch_id: str
    settled_at: datetime
    lines: tuple[SettledLine, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """One allocation in force. ``until`` is when it lapses, ``reason`` where it comes from, for people."""

    amount: int
    window: Window
    enforcement: Enforcement
    source: Source
    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Meter:
    """State of one allocation. ``limit`` None: nothing is given, only counted.

    ``resets_at`` is when the window ends and used amounts count from zero again; ``until`` is
    when the allocation itself lapses.
    """

    account: AccountRef
    resource: Resource
    limit: int | None
    used: int
    held: int
    enforcement: Enforcement
    window: str
    resets_at: datetime | None
    until: datetime | None = None

    @property
    def left(self) -> int | None:
        """Amount that a new hold may take; None where nothing limits it."""
        return None if self.limit is None else self.limit - self.used - self.held

    def refuses(self, amount: int) -> bool:
        """Whether a hold of ``amount`` more would be refused."""
        is_enforced = self.enforcement is Enforcement.ENFORCED
        return is_enforced and self.left is not None and amount > self.left


@dataclass(frozen=True, slots=True)
class Preview:
    """What a hold would meet: the meter before it, what it asks, and whether it would be refused."""

    meter: Meter
    asked: int
    is_refused: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. ``given``, ``held`` and ``used`` are what it changes, signed."""

    id: int
    account: AccountRef
    resource: Resource
    kind: EntryKind
    given: int
    held: int
    used: int
    launch_id: str | None
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A running balance that differs from its entries. ``counter``: given, held, used or open holds."""

    account: AccountRef
    resource: Resource
    counter: str
    balance: int
    entries: int


class QuotaExceededError(Exception):
    """An enforced allocation cannot take the hold.

    Carries what a person needs to act: the meter as it is now and what was asked.
    """

    def __init__(self, meter: Meter, asked: int) -> None:
        self.meter = meter
        self.asked = asked
        super().__init__(
            f"{meter.account.kind.value} {meter.account.key}: {asked} {meter.resource.value} asked, "
            f"{meter.left} left of {meter.limit}"
        )


class UnknownHoldError(LookupError):
    """The launch never held anything."""

    def __init__(self, launch_id: str) -> None:
        super().__init__(f"launch {launch_id} holds nothing")


class HoldConflictError(Exception):
    """The launch has a hold that this call does not fit: other lines, or settled already."""

    def __init__(self, launch_id: str, why: str) -> None:
        super().__init__(f"launch {launch_id}: {why}")


class ExtensionUndoneError(HoldConflictError):
    """This extension was given back before: its key does nothing any more."""

    def __init__(self, launch_id: str) -> None:
        super().__init__(launch_id, "the extension was given back")
