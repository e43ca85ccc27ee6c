"""What of a machine's system does a data view need, and does bubblewrap work on it?

All of this looks at the machine (and so blocks). Standard library only: nodes use it too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_PROBE_TIMEOUT_S = 10

NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts")
"""The network is shared: the proxy reaches the session by it."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_ETC = (
    "X11/app-defaults",
    "X11/fonts",
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "profile",
    "profile.d",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
)
"""What programs need of /etc: names, certificates, fonts, the linker. No keys, no other accounts."""

_LINKS_AT_MOST = 40
"""As in the kernel (path_resolution(7))."""


class Shown(NamedTuple):
    """Part of the machine that a view shows: a path as it is, read-only, or a link to ``link_to``."""

    path: Path
    link_to: str | None = None


def why_not_bubblewrap() -> str:
    """Why bubblewrap does not work here, in plain words; empty if it does. Blocking: runs it."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap (bwrap) is not installed"
    command = [program, *NAMESPACES, "--uid", "1000", "--gid", "1000", "--die-with-parent", "--as-pid-1"]
    command += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run here: {error}"
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return f"bubblewrap does not work here: {why[0]}"
    return ""


def system_paths() -> tuple[Shown, ...]:
    """System folders and the few files of /etc that programs need. Blocking."""
    shown = []
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            shown.append(Shown(path, os.readlink(path)))  # noqa: PTH115 - the text of the link, as it is
        elif path.is_dir():
            shown.append(Shown(path))
    shown.extend(Shown(Path("/etc") / name) for name in _ETC if (Path("/etc") / name).exists())
    return tuple(shown)


def interpreter_paths(prefix: Path) -> tuple[Shown, ...]:
    """What the Python of an environment needs beside the system: prefix, links and base. Blocking.

    ``bin/python`` of a virtual environment leads, link by link, to the interpreter it was made
    with. The links are shown as links and the interpreter's own prefix as a folder, so that a
    link in ``~/.local/bin`` does not show the rest of ``~/.local``.
    """
    shown = _without_links(prefix)
    path = prefix / "bin" / "python"
    # The prefix may be a link itself (``current``): what is in it is shown with the folder it leads to.
    links = _without_links(path, below=prefix.resolve())
    shown += [link for link in links if link.link_to is not None]
    base = path.resolve().parent.parent
    if base != prefix.resolve():
        shown.append(Shown(base))
    for home in _homes(prefix):
        shown += [item for item in _without_links(home) if item.link_to is not None]
    unique = dict.fromkeys(shown)
    return tuple(item for item in unique if not is_system(item.path))


def _without_links(path: Path, *, below: Path | None = None) -> list[Shown]:
    """The links on the way to a path, and at the end the path that is no link.

    Links inside ``below`` are left out: that folder is shown as a whole.
    """
    found: list[Shown] = []
    todo = list(path.absolute().parts[1:])
    here = Path("/")
    while todo and len(found) < _LINKS_AT_MOST:
        part = todo.pop(0)
        if part == "..":
            here = here.parent
            continue
        step = here / part
        if not step.is_symlink():
            here = step
            continue
        target = os.readlink(step)  # noqa: PTH115 - the text of the link, as it is
        if below is None or not step.is_relative_to(below):
            found.append(Shown(step, target))
        parts = Path(target).parts
        if Path(target).is_absolute():
            here, parts = Path("/"), parts[1:]
        todo = [*parts, *todo]
    return [*found, Shown(here)]


def _homes(prefix: Path) -> list[Path]:
    """The ``home`` of a virtual environment, by which Python finds its standard library."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [
        Path(value.strip()) for key, _, value in (x.partition("=") for x in lines) if key.strip() == "home"
    ]


def is_system(path: Path) -> bool:
    """Whether a path lies in what every view shows of the system."""
    return any(path.is_relative_to(folder) for folder in _SYSTEM)
