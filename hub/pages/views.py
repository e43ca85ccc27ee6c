"""What does each page show?

One frozen dataclass per thing on a page. They hold domain values (aware UTC times, durations,
whole ledger amounts), never text that was formatted: that is `hub.pages.format`. Handlers build
them, `hub.pages.render` turns them into HTML, and the tests fill them with samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hub.desktop.models import Role
from hub.launch.states import EndReason, LaunchState
from hub.pages.placeviews import NO_DETAIL, Detail, ExpectedStart, JobLine, PlaceCard
from hub.problems import Problem
from quota.models import Enforcement, Resource
from spawners.plan import Interface, MountMode


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at the page."""

    display_name: str
    username: str
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """A button made by the server: a link (GET) or a form with XSRF (POST).

    ``path`` are the segments below the service's prefix; ``fields`` the query of a link or the
    fields of a form. ``href`` overrides ``path`` for a link that leaves the service (a session).
    """

    label: str
    path: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    method: str = "get"
    icon: str = ""
    is_primary: bool = False
    href: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Whether something may be done; if not, ``why`` is shown beside the disabled button."""

    ok: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of the ledger: seconds, or a number of sessions."""

    resource: Resource
    value: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Data that a session sees, and why it may: ``reason`` is words, as `team member`.

    ``path`` is empty for several areas shown together.
    """

    proposal: str
    title: str
    path: str
    mode: MountMode
    reason: str
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """One allocation. ``title`` is who pays; ``limit`` None: only counted.

    ``window`` is words, as `per week`; at ``resets_at`` it begins anew, or ends if ``ends_then``.
    ``forecast`` is when it runs out at the pace of the last days, None: not before that.
    """

    title: str
    resource: Resource
    limit: int | None
    used: int
    held: int
    enforcement: Enforcement = Enforcement.ENFORCED
    window: str = ""
    resets_at: datetime | None = None
    ends_then: bool = False
    forecast: datetime | None = None

    @property
    def left(self) -> int | None:
        """What a new hold may take; None where nothing limits it."""
        return None if self.limit is None else max(0, self.limit - self.used - self.held)


@dataclass(frozen=True, slots=True)
class SessionUse:
    """A session of one's own that uses up what a refusal is about; it can be stopped there."""

    launch_id: str
    title: str
    amount: Amount
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something does not start, and the way out.

    ``problem`` is the engine's; ``meter`` and ``asked`` say how much where quota is the cause,
    ``using`` which sessions use it, ``actions`` are next steps (smaller size, shorter).
    """

    problem: Problem
    meter: Meter | None = None
    asked: Amount | None = None
    using: tuple[SessionUse, ...] = ()
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """A size as people compare it."""

    title: str
    cpus: int
    memory_mib: int
    gpus: int = 0
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class SessionCard:
    """A live session on the home page.

    ``step`` is its progress in plain words while it is not running. ``is_unknown``: its backend
    does not answer (``step`` says since when). ``is_queued``: it waits for room at its place.
    ``open_url`` is absolute within the site. ``extend_by`` are the offered extensions; empty ones
    are explained by ``can_extend``. ``jobs`` were submitted from inside it, ``job`` names its own at
    the scheduler. ``idle_ends_at``: nobody uses it, and it ends then unless somebody does.
    """

    launch_id: str
    title: str
    state: LaunchState
    interface: Interface
    environment: str
    place: str
    resources: Resources
    walltime: timedelta
    requested_at: datetime
    template: str = ""
    grants: tuple[Grant, ...] = ()
    started_at: datetime | None = None
    ends_at: datetime | None = None
    expected_start: datetime | None = None
    step: str = ""
    charges: tuple[Amount, ...] = ()
    payer: str = ""
    open_url: str = ""
    extend_by: tuple[timedelta, ...] = ()
    can_extend: Allowed = Allowed()
    is_unknown: bool = False
    is_queued: bool = False
    jobs: tuple[JobLine, ...] = ()
    job: str = ""
    idle_ends_at: datetime | None = None
    can_share: bool = False
    with_people: tuple[str, ...] = ()
    asking: int = 0
    thumbnail: str = ""

    @property
    def has_desktop(self) -> bool:
        """Whether it opens as a desktop; JupyterLab is there too."""
        return self.interface is Interface.DESKTOP


@dataclass(frozen=True, slots=True)
class ComingStation:
    """A workstation that a coming beamtime of the person's opens to them."""

    title: str
    proposal: str
    opens_at: datetime


@dataclass(frozen=True, slots=True)
class SharedCard:
    """A session of somebody else, or a workstation, that the person may see.

    ``owner`` is empty for a workstation, ``lab_url`` for those who may not open its JupyterLab.
    """

    desktop: str
    title: str
    owner: str
    role: Role
    has_picture: bool
    is_running: bool = True
    lab_url: str = ""
    until: datetime | None = None
    with_people: tuple[str, ...] = ()
    thumbnail: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A launch that failed or was refused and that the person has not yet put away."""

    launch_id: str
    title: str
    at: datetime
    refusal: Refusal
    charges: tuple[Amount, ...] = ()
    log_tail: tuple[str, ...] = ()
    is_failure: bool = False


@dataclass(frozen=True, slots=True)
class RecentRow:
    """A launch that is over. ``recorded`` is all that it used, memory too, for the table to download."""

    launch_id: str
    title: str
    proposal: str
    data: str
    state: LaunchState
    at: datetime
    ran: timedelta
    end_reason: EndReason | None = None
    charges: tuple[Amount, ...] = ()
    recorded: tuple[Amount, ...] = ()
    payer: str = ""
    can_relaunch: Allowed = Allowed()


@dataclass(frozen=True, slots=True)
class HomeView:
    """The home page. ``stale`` says what does not answer, or is empty."""

    cards: tuple[SessionCard, ...] = ()
    notices: tuple[Notice, ...] = ()
    recent: tuple[RecentRow, ...] = ()
    meters: tuple[Meter, ...] = ()
    query: str = ""
    stale: str = ""
    shared: tuple[SharedCard, ...] = ()
    coming: tuple[ComingStation, ...] = ()

    @property
    def is_first_visit(self) -> bool:
        """Nothing was ever started."""
        return not (self.cards or self.notices or self.recent or self.query or self.shared or self.coming)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a start takes from an account until it is settled. ``meter`` is as it is before."""

    amount: Amount
    meter: Meter


@dataclass(frozen=True, slots=True)
class Summary:
    """What the engine's dry run says: what will start, or why not.

    ``start`` None: at once, as where there is no queue. ``waiting`` says why not now, ``scheduling``
    what the scheduler is told (name, value). ``is_decided``: the rest is known, too; otherwise the
    refusal is all there is to say.
    """

    interface: str
    environment: str
    place: str
    resources: Resources
    walltime: timedelta
    payer: str
    template: str = ""
    grants: tuple[Grant, ...] = ()
    holds: tuple[Hold, ...] = ()
    start: ExpectedStart | None = None
    is_soonest: bool = False
    scheduling: tuple[tuple[str, str], ...] = ()
    waiting: str = ""
    refusal: Refusal | None = None
    is_decided: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values of a form field.

    ``why`` explains the verdict or why it is not allowed, ``warning`` what to know before taking it,
    ``facts`` are small print. A size says what it is in ``resources``.
    """

    value: str
    title: str
    why: str = ""
    is_chosen: bool = False
    is_allowed: bool = True
    detail: str = ""
    warning: str = ""
    facts: str = ""
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A data set that may be chosen; ``value`` is `dataset:<pid>`."""

    value: str
    name: str
    why: str
    technique: str = ""
    frames: int | None = None
    size_bytes: int | None = None
    created: datetime | None = None
    is_open: bool = False
    proposal: str = ""
    description: str = ""
    doi: str = ""


@dataclass(frozen=True, slots=True)
class InvestigationGroup:
    """Data sets of one investigation."""

    id: str
    title: str
    instrument: str
    start: datetime
    datasets: tuple[DatasetChoice, ...]
    total: int
    released: date | None = None


@dataclass(frozen=True, slots=True)
class ProposalGroup:
    """Investigations of one proposal."""

    name: str
    why: str
    investigations: tuple[InvestigationGroup, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class DataChoices:
    """What a search in the data one may read found. ``more`` counts what is not shown."""

    groups: tuple[ProposalGroup, ...]
    query: str = ""
    more: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the chosen template. ``kind`` is text, integer, number, boolean or choice.

    A parameter the data set fills is shown with ``filled_from`` and cannot be edited.
    """

    name: str
    title: str
    kind: str
    value: str = ""
    default: str = ""
    help: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    filled_from: str = ""


@dataclass(frozen=True, slots=True)
class FormView:
    """The form for a new session, complete: Start works at once. ``chosen`` None: no data.

    ``own_size`` is the chosen size of one's own in words, empty where it is one of ``sizes``.
    """

    chosen: DatasetChoice | None
    data: DataChoices
    templates: tuple[Choice, ...]
    interfaces: tuple[Choice, ...]
    profiles: tuple[Choice, ...]
    sizes: tuple[Choice, ...]
    durations: tuple[Choice, ...]
    payers: tuple[Choice, ...]
    summary: Summary
    parameters: tuple[Parameter, ...] = ()
    display_name: str = ""
    max_walltime: timedelta = timedelta(hours=8)
    places: tuple[PlaceCard, ...] = ()
    detail: Detail = NO_DETAIL
    own_size: str = ""


@dataclass(frozen=True, slots=True)
class LaunchView:
    """Confirmation of a launch link. ``fields`` are those of `POST launches`, hidden in its form."""

    summary: Summary
    fields: tuple[tuple[str, str], ...]
    portal: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a start; ``at`` None: not reached. ``is_current`` marks the one under way."""

    title: str
    at: datetime | None = None
    detail: str = ""
    is_current: bool = False
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a launch's progress."""

    seq: int
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class ProgressView:
    """A launch from request to end: progress, then result.

    While it starts ``steps`` move; when it runs ``card.open_url`` is set; when it is over
    ``refusal`` says why it failed, or is None for one that ended well, and ``ran`` is what it was
    charged for, which begins before its server answers.
    """

    card: SessionCard
    steps: tuple[Step, ...]
    events: tuple[Event, ...] = ()
    refusal: Refusal | None = None
    log_tail: tuple[str, ...] = ()
    end_reason: EndReason | None = None
    ended_at: datetime | None = None
    ran: timedelta | None = None
    actions: tuple[Action, ...] = ()
    returns_to: str = ""
    log_path: str = ""


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A template of the catalogue."""

    id: str
    version: str
    title: str
    summary: str
    when: str
    inputs: str
    technique: str
    authors: tuple[str, ...]
    reviewed_by: str = ""
    reviewed_on: date | None = None
    environment: str = ""


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


@dataclass(frozen=True, slots=True)
class DesktopPageView:
    """The page of a desktop: the same for everybody, whether there is such a desktop or not.

    ``launch`` is its launch id where it is a session, else empty; ``service`` the path of the tunnel.
    """

    desktop: str
    launch: str
    service: str
