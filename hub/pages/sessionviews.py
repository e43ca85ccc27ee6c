"""What do the pages show of sessions: their cards, the home page, the progress of a start, a desktop?

Frozen dataclasses like those of `hub.pages.views`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.desktop.models import Role
from hub.launch.states import EndReason, LaunchState
from hub.pages.placeviews import JobLine
from hub.pages.views import ALLOWED, Action, Allowed, Amount, Grant, Meter, Refusal, Resources
from spawners.plan import Interface


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
    can_extend: Allowed = ALLOWED
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
    can_relaunch: Allowed = ALLOWED


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
class DesktopPageView:
    """The page of a desktop: the same for everybody, whether there is such a desktop or not.

    ``launch`` is its launch id where it is a session, else empty; ``service`` the path of the tunnel.
    """

    desktop: str
    launch: str
    service: str
