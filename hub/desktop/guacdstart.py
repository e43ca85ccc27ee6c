"""Run as a program: become what guacd's sandbox is started by, then bubblewrap itself.

``guacdstart.py <uid or -> <root or -> <command> …``. With a uid (as root only) the process gives up being
root before bubblewrap starts, so that outside of the sandbox, too, guacd is nobody. The root folder may lie
where that nobody cannot go (root's own cache), so it is shown at `SHOWN_ROOT` first, in a mount namespace of
this process. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

SHOWN_ROOT = "/tmp"  # noqa: S108 - hidden from this process only, by the mount
"""Where a root is shown when the starter gives up being root; any folder that exists will do."""

_NEW_MOUNTS = 0x00020000
_BIND, _RECURSIVE, _PRIVATE = 1 << 12, 1 << 14, 1 << 18
_MEMORY = 4 << 30
"""Address space of one guacd process, in bytes: several of the largest screens, no more."""

_OPEN_FILES = 4096


def main(words: list[str]) -> int:
    """Give up what is not needed and become the command."""
    uid, root, *command = words
    for what, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, _MEMORY)):
        resource.setrlimit(what, (value, value))
    most = min(_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib doubles the start's time
        file.write("500")
    os.umask(0o077)
    if uid != "-":
        if root != "-":
            _show(root)
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    os.chdir("/")
    os.execv(command[0], command)  # noqa: S606


def _show(root: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    check(libc.unshare(_NEW_MOUNTS), "unshare")
    check(
        libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None), "mount --make-rprivate /"
    )
    check(libc.mount(root.encode(), SHOWN_ROOT.encode(), None, ctypes.c_ulong(_BIND), None), f"mount {root}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"guacd cannot be started: {error}")
