"""What is shown on more than one page: who looks, buttons, amounts, meters, refusals?

One frozen dataclass per thing on a page, here and in `sessionviews`, `startviews`, `placeviews` and
`usageviews`. They hold domain values (aware UTC times, durations, whole ledger amounts), never text
that was formatted: that is `hub.pages.format`. Handlers build them, `hub.pages.render` turns them into
HTML, and the tests fill them with samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hub.problems import Problem
from quota.models import Enforcement, Resource
from spawners.plan import MountMode


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


ALLOWED = Allowed()


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
