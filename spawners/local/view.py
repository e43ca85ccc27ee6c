"""What does a session see? From a plan to the arguments of bubblewrap, or to links.

Pure: nothing here touches a file. With bubblewrap a session sees the system read-only, its
environment, its home as ``/home/<name>``, its own /tmp, and of the data exactly the mounts of its
plan at their targets, as the account of its plan; the state of the service, other homes and other
proposals are not there at all.

Without it there is a folder of links: the target ``/data/visitor/x`` is found at
``<run folder>/view/data/visitor/x``. PANHUB_DATA names what stands before a target: ``/`` in a
view of its own, that folder otherwise. Nothing is kept apart then: the session can read and write
whatever the account of the service can.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from spawners.plan import LaunchPlan, MountMode
from spawners.session.machine import Shown
from spawners.session.view import Bind, bubblewrap_arguments

SESSION_CODE = PurePosixPath("/opt/panhub/session")
SHARED = PurePosixPath("/opt/panhub/run")
JUPYTER = PurePosixPath("/opt/panhub/jupyter")
"""Where a session with a view of its own finds our code, its deadline, and the person's own kernels."""

_ROOT = PurePosixPath("/")
_FIRST_PERSON = 1000
"""Number of the first person of a machine (Debian Policy 9.2.2)."""


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Where the parts of one session are on the machine."""

    home: Path
    session_code: Path
    shared: Path
    jupyter: Path
    etc: Path
    tmp: Path
    links: Path


@dataclass(frozen=True, slots=True)
class View:
    """Where a session sees things. ``arguments`` are bubblewrap's; None for a view of links."""

    home: PurePosixPath
    session_code: PurePosixPath
    shared: PurePosixPath
    jupyter: PurePosixPath
    data: PurePosixPath
    arguments: tuple[str, ...] | None
    links: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()

    def shown(self, target: PurePosixPath) -> PurePosixPath:
        """Where the session finds the target of a mount."""
        return self.data / target.relative_to(_ROOT)


def shown_id(number: int) -> int:
    """Number of an account or group as its session sees it: nobody is root there, even if the service is.

    Programs that think they are root fail at what only root may do (xterm at setgroups(2)).
    """
    return number or _FIRST_PERSON


def bubblewrap_view(
    plan: LaunchPlan, host: HostPaths, *, system: Iterable[Shown], software: Iterable[Shown]
) -> View:
    """A view of its own: only what is listed here is visible."""
    account = plan.account
    home = PurePosixPath("/home") / account.name
    own = [
        Bind(str(host.etc / "passwd"), "/etc/passwd"),
        Bind(str(host.etc / "group"), "/etc/group"),
        Bind(str(host.tmp), "/tmp", is_writable=True),  # noqa: S108 - in the view
        Bind(str(host.home), str(home), is_writable=True),
    ]
    code = [
        Bind(str(host.session_code), str(SESSION_CODE)),
        Bind(str(host.shared), str(SHARED)),
        Bind(str(host.jupyter), str(JUPYTER), is_writable=True),
    ]
    mounts = [
        Bind(str(m.source), str(m.target), is_writable=m.mode is MountMode.READ_WRITE) for m in plan.mounts
    ]
    arguments = bubblewrap_arguments(
        uid=shown_id(account.uid),
        gid=shown_id(account.gid),
        folder=str(home),
        system=system,
        own=own,
        software=software,
        code=code,
        mounts=mounts,
    )
    return View(home, SESSION_CODE, SHARED, JUPYTER, _ROOT, tuple(arguments))


def links_view(plan: LaunchPlan, host: HostPaths) -> View:
    """A folder of links; nothing is kept apart."""
    root = PurePosixPath(host.links)
    view = View(
        home=PurePosixPath(host.home),
        session_code=PurePosixPath(host.session_code),
        shared=PurePosixPath(host.shared),
        jupyter=PurePosixPath(host.jupyter),
        data=root,
        arguments=None,
    )
    links = tuple((view.shown(mount.target), mount.source) for mount in plan.mounts)
    return replace(view, links=links)


def data_folder(plan: LaunchPlan, view: View) -> PurePosixPath | None:
    """What ``data_link`` leads to: the visit's folder, in which the first mount's area lies."""
    return view.shown(plan.mounts[0].target.parent) if plan.mounts else None
