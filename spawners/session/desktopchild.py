"""How does a session get its desktop? What ``start.py`` is told of it, and how it starts it.

Standard library only: nodes and sessions use it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

SIZE = (1600, 900)
"""First size of a screen [pixels]; the page sets another as soon as it is there."""

_GRACE_S = 3.0
_PR_SET_PDEATHSIG = 1
_MOST_PATH = 90
"""Bytes of a folder in which sockets and their siblings have names (unix(7): 107)."""


def desktop_specification(
    home: str, jupyter: str, mounts: Iterable[tuple[str, bool]], workdir: str
) -> dict[str, Any]:
    """The key ``desktop`` of a start specification.

    Parameters
    ----------
    home, jupyter
        Home, and the folder that this server alone may write, as the session sees them.
    mounts
        Where the session sees its data, each with whether it may write there.
    workdir
        Working folder below the home, in which programs start.
    """
    shown = [("Home", home, True), *_titled(list(mounts))]
    return {
        "width": SIZE[0],
        "height": SIZE[1],
        "folder": f"{jupyter}/desktop",
        "workdir": str(PurePosixPath(home) / workdir),
        "places": [{"title": title, "path": path, "is_writable": may} for title, path, may in shown],
    }


def _titled(mounts: Sequence[tuple[str, bool]]) -> list[tuple[str, str, bool]]:
    """Mounts with the shortest end of their paths that is none of the others'."""
    paths = [PurePosixPath(path).parts[1:] for path, _ in mounts]
    found = []
    for (path, may), parts in zip(mounts, paths):  # noqa: B905 - nodes have Python 3.9
        for length in range(1, len(parts) + 1):
            end = parts[-length:]
            if sum(other[-length:] == end for other in paths) == 1 and end != ("Home",):
                break
        found.append((" – ".join(parts[-length:]), path, may))
    return found


class DesktopChild:
    """The supervisor of the desktop (``desktop.py``) as a child of ``start.py``."""

    def __init__(self, desktop: Mapping[str, Any], *, prefix: Path, dies_with_parent: bool) -> None:
        self._desktop = desktop
        self._prefix = prefix
        self._dies_with_parent = dies_with_parent
        self._pid = 0
        self.folder = str(desktop["folder"])
        self._is_temporary = len(os.fsencode(self.folder)) > _MOST_PATH
        if self._is_temporary:
            self.folder = f"/tmp/panhub-desktop-{os.urandom(8).hex()}"  # noqa: S108 - made with mode 0700

    def variables(self) -> dict[str, str]:
        """What the notebook server is told of it, for its relay."""
        return {
            "PANHUB_DESKTOP_FOLDER": self.folder,
            "PANHUB_DESKTOP_SIZE": f"{self._desktop['width']}x{self._desktop['height']}",
            "PANHUB_DESKTOP_PLACES": json.dumps(self._desktop["places"]),
        }

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it; programs in it get this environment, without what is the notebook server's own."""
        places = self._desktop["places"]
        spec = {
            "folder": self.folder,
            "width": self._desktop["width"],
            "height": self._desktop["height"],
            "environment": dict(environment),
            "workdir": self._desktop["workdir"],
            "prefix": str(self._prefix),
            "data": [*places[1:], *places[:1]],
            "dies_with_parent": self._dies_with_parent,
        }
        stdin = os.memfd_create("panhub")
        os.write(stdin, json.dumps(spec).encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        program = str(Path(__file__).resolve().with_name("desktop.py"))
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            os.close(stdin)
            return
        try:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            if self._dies_with_parent:
                _tie_to(parent)
            os.dup2(stdin, 0)
            python = str(self._prefix / "bin" / "python")
            os.execve(python, [python, "-I", "-S", program], dict(environment))  # noqa: S606 - no shell
        except OSError as error:
            print(f"The desktop could not be started: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)

    def end(self) -> None:
        """End it; it takes its folder with it."""
        if not self._pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE_S
        with contextlib.suppress(ChildProcessError):
            while not os.waitpid(self._pid, os.WNOHANG)[0] and time.monotonic() < until:
                time.sleep(0.01)
        self._pid = 0


def _tie_to(parent: int) -> None:
    """Let the kernel kill this process when its parent ends (prctl(2))."""
    import ctypes  # only views without a process namespace need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
