"""How is a data view written down? Arguments of bubblewrap and of apptainer, passwd and group.

Pure, and used by every place: this machine (`spawners.local.view`) and nodes (`spawners.session.node`).
Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spawners.session.machine import NAMESPACES, Shown


class Bind(NamedTuple):
    """A path of the machine shown at a path of the view. Device files need ``is_device``."""

    source: str
    target: str
    is_writable: bool = False
    is_device: bool = False


def bubblewrap_arguments(
    *,
    uid: int,
    gid: int,
    folder: str,
    system: Iterable[Shown],
    own: Iterable[Bind],
    software: Iterable[Shown],
    code: Iterable[Bind],
    mounts: Iterable[Bind],
) -> list[str]:
    """Arguments of bubblewrap for a view in which only what is listed here is visible.

    Parameters
    ----------
    folder
        Where the first process starts, as the view sees it.
    system, own, software, code, mounts
        Parts in the order in which they are laid over each other: the system; /etc files, /tmp, the home
        and the like; environments and other software; what is ours; the data, outer targets first.
    """
    return [
        *NAMESPACES,
        *("--unshare-cgroup-try", "--die-with-parent", "--as-pid-1"),
        *("--uid", str(uid), "--gid", str(gid), "--cap-drop", "ALL"),
        *_shown(system),
        *("--proc", "/proc", "--dev", "/dev", "--dir", "/var", "--symlink", "/tmp", "/var/tmp"),  # noqa: S108 - in the view
        *_bound(own),
        *_shown(software),
        *_bound(code),
        *_bound(outer_first(mounts)),
        *("--remount-ro", "/", "--chdir", folder),
    ]


def outer_first(mounts: Iterable[Bind]) -> list[Bind]:
    """Mounts in an order in which none hides another."""
    return sorted(mounts, key=lambda mount: mount.target.count("/"))


def _shown(parts: Iterable[Shown]) -> list[str]:
    arguments: list[str] = []
    for part in parts:
        path = str(part.path)
        arguments += ["--ro-bind", path, path] if part.link_to is None else ["--symlink", part.link_to, path]
    return arguments


def _bound(binds: Iterable[Bind]) -> list[str]:
    arguments: list[str] = []
    for bind in binds:
        option = "--dev-bind" if bind.is_device else "--bind" if bind.is_writable else "--ro-bind"
        arguments += [option, bind.source, bind.target]
    return arguments


def apptainer_arguments(
    *, image: str, folder: str, home: str, binds: Iterable[Bind], mounts: Iterable[Bind], has_gpus: bool
) -> list[str]:
    """Arguments of apptainer 1.1 or newer for the same view, the system being the image's.

    ``--containall`` keeps out the machine's home, /tmp, processes and environment, ``--no-mount`` what
    its apptainer.conf shows in every container; all that is shown is named by ``--mount``, whose text is
    one row of CSV (apptainer.org/docs, "Bind Paths and Mounts").
    """
    arguments = ["--quiet", "exec", "--containall", "--no-mount", "bind-paths,hostfs"]
    arguments += ["--home", home, "--pwd", folder]
    if has_gpus:
        arguments.append("--nv")
    for bind in [*binds, *outer_first(mounts)]:
        fields = ["type=bind", f"source={bind.source}", f"destination={bind.target}"]
        if not bind.is_writable:
            fields.append("ro")
        arguments += ["--mount", ",".join(_csv(field) for field in fields)]
    return [*arguments, image]


def _csv(field: str) -> str:
    """A field of a CSV row (RFC 4180)."""
    return '"{}"'.format(field.replace('"', '""')) if set(field) & set(',"\n') else field


def passwd(name: str, uid: int, gid: int, home: str, *, system: Sequence[tuple[str, int, int]] = ()) -> str:
    """An /etc/passwd (passwd(5)) with root, the person, nobody, and ``system`` accounts (name, uid, gid)."""
    rows = ["root:x:0:0:root:/root:/usr/sbin/nologin", f"{name}:x:{uid}:{gid}:{name}:{home}:/bin/bash"]
    rows += [f"{user}:x:{u}:{g}:{user}:/nonexistent:/usr/sbin/nologin" for user, u, g in system]
    return "\n".join([*rows, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin", ""])


def group(name: str, gid: int) -> str:
    """An /etc/group (group(5)) with the person's own group, called as the person."""
    return "\n".join(["root:x:0:", f"{name}:x:{gid}:", "nogroup:x:65534:", ""])
