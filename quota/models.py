"""Words of the ledger.

An *allocation* gives an account an amount of a resource, for ever or per window. A *hold*
reserves for one launch, a *charge* is measured use, a *release* returns the rest, an
*adjustment* corrects. Amounts are whole numbers: CPU-seconds, GPU-seconds, sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AccountKind(StrEnum):
    """Whose account it is."""

    PERSON = "person"
    PROPOSAL = "proposal"


class Resource(StrEnum):
    """What is counted. ``sessions`` is a number of live sessions, the others are used up."""

    CPU_SECONDS = "cpu_seconds"
    GPU_SECONDS = "gpu_seconds"
    SESSIONS = "sessions"


class Enforcement(StrEnum):
    """Whether a limit refuses, or is only counted and shown."""

    OBSERVED = "observed"
    ENFORCED = "enforced"


@dataclass(frozen=True, slots=True, order=True)
class AccountRef:
    """One account: ``key`` is a hub username or a proposal name."""

    kind: AccountKind
    key: str


@dataclass(frozen=True, slots=True)
class HoldLine:
    """What one launch needs of one account. A launch holds all its lines or none."""

    account: AccountRef
    resource: Resource
    amount: int


@dataclass(frozen=True, slots=True)
class Meter:
    """State of one allocation. ``limit`` None: nothing is given, only counted.

    ``resets_at`` is when the window ends and used amounts count from zero again.
    """

    account: AccountRef
    resource: Resource
    limit: int | None
    used: int
    held: int
    enforcement: Enforcement
    window: str
    resets_at: datetime | None

    @property
    def left(self) -> int | None:
        """Amount that a new hold may take; None where nothing limits it."""
        return None if self.limit is None else self.limit - self.used - self.held


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
