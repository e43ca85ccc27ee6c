"""What do the pages of use and of operators show?

Frozen dataclasses like those of `hub.pages.views`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from hub.launch.states import LaunchState
from hub.pages.sessionviews import RecentRow
from hub.pages.views import Amount, Meter, Resources
from quota.models import Resource


@dataclass(frozen=True, slots=True)
class DayUse:
    """Charge of one day for one proposal (or one's own allocation)."""

    on: date
    payer: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class UsageView:
    """One's own use in a range of days. ``resource`` is the one plotted, of ``resources`` with any use."""

    meters: tuple[Meter, ...]
    days: tuple[DayUse, ...]
    sessions: tuple[RecentRow, ...]
    since: date
    until: date
    resource: Resource = Resource.CPU_SECONDS
    resources: tuple[Resource, ...] = (Resource.CPU_SECONDS,)
    ranges: tuple[int, ...] = (7, 30, 90)
    chosen_range: int = 30


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A live session of anybody, for operators."""

    launch_id: str
    person: str
    username: str
    title: str
    state: LaunchState
    proposal: str
    place: str
    resources: Resources
    requested_at: datetime
    ends_at: datetime | None = None
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class ProposalUse:
    """Use by one proposal or person in the range."""

    payer: str
    amount: Amount
    sessions: int
    people: int


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often one reason refused in the range; ``last`` is when."""

    code: str
    title: str
    count: int
    people: int
    last: datetime


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """An allocation an operator may edit. ``key`` names it in addresses.

    ``value`` is the limit in the unit people type (hours or sessions), empty where nothing limits.
    """

    key: str
    account: str
    kind: str
    meter: Meter
    source: str = ""


@dataclass(frozen=True, slots=True)
class AllocationEdit:
    """The edit form of an allocation with its preview. ``new_limit`` None: nothing typed yet.

    ``effects`` say in words what changes; ``error`` what is wrong with the fields.
    """

    row: AllocationRow
    limit_text: str = ""
    reason: str = ""
    new_limit: int | None = None
    effects: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A change an operator made."""

    at: datetime
    by: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class OperateView:
    """The operators' page. ``place`` notes what a backend says of itself."""

    running: tuple[RunningRow, ...]
    use: tuple[ProposalUse, ...]
    refusals: tuple[RefusalCount, ...]
    allocations: tuple[AllocationRow, ...]
    audit: tuple[AuditRow, ...]
    places: tuple[tuple[str, str], ...] = ()
    days: int = 30
    edit: AllocationEdit | None = None
