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

from spawners.local.bubblewrap import NAMESPACES, Shown
from spawners.plan import Account, LaunchPlan, MountMode

SESSION_CODE = PurePosixPath("/opt/panhub/session")
SHARED = PurePosixPath("/opt/panhub/run")
"""Where a session with a view of its own finds our code and its deadline."""

_ROOT = PurePosixPath("/")


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Where the parts of one session are on the machine."""

    home: Path
    session_code: Path
    shared: Path
    etc: Path
    tmp: Path
    links: Path


@dataclass(frozen=True, slots=True)
class View:
    """Where a session sees things. ``arguments`` are bubblewrap's; None for a view of links."""

    home: PurePosixPath
    session_code: PurePosixPath
    shared: PurePosixPath
    data: PurePosixPath
    arguments: tuple[str, ...] | None
    links: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()

    def shown(self, target: PurePosixPath) -> PurePosixPath:
        """Where the session finds the target of a mount."""
        return self.data / target.relative_to(_ROOT)


def bubblewrap_view(
    plan: LaunchPlan, host: HostPaths, *, system: Iterable[Shown], software: Iterable[Shown]
) -> View:
    """A view of its own: only what is listed here is visible."""
    home = PurePosixPath("/home") / plan.account.name
    account = plan.account
    arguments = [
        *NAMESPACES,
        *("--unshare-cgroup-try", "--die-with-parent", "--as-pid-1"),
        *("--uid", str(account.uid), "--gid", str(account.gid), "--cap-drop", "ALL"),
        *_shown(system),
        *("--ro-bind", str(host.etc / "passwd"), "/etc/passwd"),
        *("--ro-bind", str(host.etc / "group"), "/etc/group"),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--bind", str(host.tmp), "/tmp", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"),  # noqa: S108 - in the view
        *("--bind", str(host.home), str(home)),
        *_shown(software),
        *("--ro-bind", str(host.session_code), str(SESSION_CODE)),
        *("--ro-bind", str(host.shared), str(SHARED)),
    ]
    for mount in sorted(plan.mounts, key=lambda item: len(item.target.parts)):
        option = "--bind" if mount.mode is MountMode.READ_WRITE else "--ro-bind"
        arguments += [option, str(mount.source), str(mount.target)]
    arguments += ["--remount-ro", "/", "--chdir", str(home)]
    return View(home, SESSION_CODE, SHARED, _ROOT, tuple(arguments))


def links_view(plan: LaunchPlan, host: HostPaths) -> View:
    """A folder of links; nothing is kept apart."""
    root = PurePosixPath(host.links)
    view = View(
        home=PurePosixPath(host.home),
        session_code=PurePosixPath(host.session_code),
        shared=PurePosixPath(host.shared),
        data=root,
        arguments=None,
    )
    links = tuple((view.shown(mount.target), mount.source) for mount in plan.mounts)
    return replace(view, links=links)


def _shown(parts: Iterable[Shown]) -> list[str]:
    arguments: list[str] = []
    for part in parts:
        path = str(part.path)
        arguments += ["--ro-bind", path, path] if part.link_to is None else ["--symlink", part.link_to, path]
    return arguments


def data_folder(plan: LaunchPlan, view: View) -> PurePosixPath | None:
    """What ``data_link`` leads to: the visit's folder, in which the first mount's area lies."""
    return view.shown(plan.mounts[0].target.parent) if plan.mounts else None


def passwd(account: Account) -> str:
    """An /etc/passwd (passwd(5)) with root, the account and nobody."""
    own = f"{account.name}:x:{account.uid}:{account.gid}:{account.name}:/home/{account.name}:/bin/bash"
    rows = ["root:x:0:0:root:/root:/usr/sbin/nologin", own]
    return "\n".join([*rows, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin", ""])


def group(account: Account) -> str:
    """An /etc/group (group(5)) with the account's own group."""
    return "\n".join(["root:x:0:", f"{account.name}:x:{account.gid}:", "nogroup:x:65534:", ""])
