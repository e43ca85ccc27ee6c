"""A desktop of a session: an X server that VNC reaches by a socket in a private folder, and a window manager.

Run by ``start.py`` beside the notebook server, as ``python -I -S desktop.py`` inside the data view, with
its specification as one JSON object on standard input; by hand, for trying it::

    python3 desktop.py --folder /tmp/somewhere/new [--width 1600 --height 900] [--data FOLDER ...]

``folder``
    Private folder (mode 0700, made here) with the socket ``rfb`` of the RFB protocol (RFC 6143), its
    ``password`` (VncAuth, 8 characters), ``Xauthority``, and ``display`` (``:<n>``, written when the
    display can be used, by rename).
``width``, ``height``
    First size of the screen [pixels].
``environment``, ``workdir``
    Environment and folder in which programs start.
``prefix``
    Environment whose programs are in the menu.
``data``
    What the file window shows: ``[{"title": …, "path": …}, …]``.
``dies_with_parent``
    Whether all must be tied to this process (no process namespace does it).

Nothing listens on TCP. The display's number is the X server's own choice (``-displayfd``), so that two on
one node never meet: it takes a number only if it gets the abstract socket too, and abstract names are one
for all who share a network namespace. Holding that name matters: libX11 tries it before the file in /tmp,
so whoever had it would be sent our windows. Its door is the cookie (``Xauthority``) in every case.

What ends is started again: the window manager alone, or both when the X server ended. There is no screen
locker: the person was let in by the hub, and nobody knows the password of an account in a namespace.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_XVNC = ("Xtigervnc", "Xvnc")
_VNCPASSWD = ("tigervncpasswd", "vncpasswd")
_NEEDED = {
    "Xvnc (TigerVNC)": _XVNC,
    "vncpasswd (TigerVNC)": _VNCPASSWD,
    "xkbcomp": ("xkbcomp",),
    "xrandr": ("xrandr",),
    "setxkbmap": ("setxkbmap",),
    "icewm": ("icewm",),
    "xterm": ("xterm",),
}
"""What a desktop cannot be without, and under which names it is found."""

_DEBIAN = (
    "tigervnc-standalone-server tigervnc-tools x11-xkb-utils x11-xserver-utils icewm xterm "
    "libgl1-mesa-dri fonts-dejavu-core libxcb-cursor0"
)

_LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789+-_=%#@"
"""64 of them: 8 characters are 48 bits, as much as VncAuth can take."""

_PATIENCE_S = 30.0
_PAUSE_S = (0.1, 5.0)
"""First and longest pause before what ended is started again."""

_LIVED_S = 30.0
"""Having lived this long, the next pause is the first one again."""

_GRACE_S = 2.0
_FAMILY_WILD = 0xFFFF
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_PR_SET_PDEATHSIG = 1
_HIDDEN = ("JUPYTERHUB_", "JPY_", "JUPYTER_", "PANHUB_DESKTOP_")
"""Variables for the notebook server alone: whoever is given control sees what programs here see."""


# --- what it needs ------------------------------------------------------------------------------


def missing(path: str | None = None) -> list[str]:
    """Programs of a desktop that are not installed here."""
    return [name for name, programs in _NEEDED.items() if _found(programs, path) is None]


def why_not(path: str | None = None) -> str:
    """Why there can be no desktop here, in plain words; empty if there can."""
    names = missing(path)
    if not names:
        return ""
    return (
        f"A desktop needs programs that are not installed here: {', '.join(names)}. "
        f"On Debian and Ubuntu: apt install {_DEBIAN}"
    )


def _found(programs: Sequence[str], path: str | None) -> str | None:
    return next((found for name in programs if (found := shutil.which(name, path=path))), None)


# --- private folder -----------------------------------------------------------------------------


def make_folder(folder: Path) -> None:
    """Make the private folder; one that is there must be ours alone.

    Raises
    ------
    OSError
        If it is somebody else's, or a link.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(there).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to somebody else.")
        os.fchmod(there, 0o700)
    finally:
        os.close(there)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, by rename."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    target = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(target, "wb") as file:
        file.write(content)
    part.rename(path)


def new_password() -> str:
    """Eight random characters: VncAuth takes no more."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(8))


def xauthority(cookie: bytes) -> bytes:
    """An entry of Xauthority (Xau(3)) for every display: host names differ between namespaces."""
    fields = (b"", b"", _COOKIE, cookie)
    return struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(x)) + x for x in fields)


# --- processes ----------------------------------------------------------------------------------


class Desktop:
    """X server and window manager as children of this process."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._folder = Path(spec["folder"])
        self._size = f"{int(spec['width'])}x{int(spec['height'])}"
        self._workdir: str = spec["workdir"]
        self._prefix = Path(spec["prefix"])
        self._data: list[dict[str, str]] = list(spec["data"])
        self._dies_with_parent: bool = spec["dies_with_parent"]
        given: dict[str, str] = spec["environment"]
        self._environment = {name: text for name, text in given.items() if not name.startswith(_HIDDEN)}
        self._path = given.get("PATH")
        self._is_ending = False
        self._server = 0
        self._manager = 0
        self._wakeup, wakeup = os.pipe()
        for descriptor in (self._wakeup, wakeup):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wakeup)

    def end(self, *_: object) -> None:
        """End both, as a signal asks."""
        self._is_ending = True

    def run(self) -> int:
        """Keep a desktop until it is told to end; returns the exit code."""
        make_folder(self._folder)
        self._write_secrets()
        self._write_menu()
        pause, longest = _PAUSE_S
        while not self._is_ending:
            began = time.monotonic()
            self._once()
            if self._is_ending:
                break
            pause = _PAUSE_S[0] if time.monotonic() - began > _LIVED_S else min(2 * pause, longest)
            print(f"The desktop ended and is started again in {pause:.1f} s.", flush=True)
            self._sleep(pause)
        self._stop(self._manager)
        self._stop(self._server)
        shutil.rmtree(self._folder, ignore_errors=True)
        return 0

    def _write_secrets(self) -> None:
        password = new_password()
        program = _found(_VNCPASSWD, self._path)
        assert program is not None
        read, write = os.pipe()
        os.write(write, f"{password}\n".encode())
        os.close(write)
        answer, said = os.pipe()
        pid = self._spawn([program, "-f"], {"PATH": self._path or os.defpath}, stdin=read, stdout=said)
        for descriptor in (read, said):
            os.close(descriptor)
        with os.fdopen(answer, "rb") as file:
            obfuscated = file.read(64)
        os.waitpid(pid, 0)
        if not obfuscated:
            raise OSError(f"{program} made no password.")
        write_private(self._folder / "passwd", obfuscated)
        write_private(self._folder / "Xauthority", xauthority(os.urandom(16)))
        write_private(self._folder / "password", password.encode("ascii"))

    def _write_menu(self) -> None:
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        import desktopmenu  # type: ignore[import-not-found]  # beside this file, which is no package here

        self._environment.update(desktopmenu.write(self._folder, self._environment, self._prefix, self._data))

    def _once(self) -> None:
        """One life of the X server."""
        display = self._start_server()
        if display is None:
            self._stop(self._server)
            self._server = 0
            return
        self._environment["DISPLAY"] = display
        self._environment["XAUTHORITY"] = str(self._folder / "Xauthority")
        self._paint()
        write_private(self._folder / "display", display.encode("ascii"))
        pause, longest = _PAUSE_S
        while not self._is_ending:
            began = time.monotonic()
            self._manager = self._spawn([_found(("icewm",), self._path) or "icewm"], self._environment)
            if not self._manager_ended():
                break
            if self._is_ending:
                return
            pause = _PAUSE_S[0] if time.monotonic() - began > _LIVED_S else min(2 * pause, longest)
            print("The window manager ended and is started again.", flush=True)
            self._sleep(pause)
        (self._folder / "display").unlink(missing_ok=True)

    def _start_server(self) -> str | None:
        """Start the X server and wait for its display; None if there is none."""
        program = _found(_XVNC, self._path)
        assert program is not None
        (self._folder / "rfb").unlink(missing_ok=True)
        read, write = os.pipe()
        os.set_inheritable(write, True)
        self._server = self._spawn(
            [program, *server_arguments(self._folder, self._size, write)], self._environment
        )
        os.close(write)
        try:
            until = time.monotonic() + _PATIENCE_S
            said = b""
            while not self._is_ending and time.monotonic() < until and not said.endswith(b"\n"):
                if not self._wait(until - time.monotonic(), read):
                    continue
                more = os.read(read, 16)
                if not more:
                    break
                said += more
        finally:
            os.close(read)
        number = said.strip().decode("ascii", "replace")
        return f":{number}" if number.isdigit() else None

    def _paint(self) -> None:
        """Paint what is behind all windows, if the program for it is there."""
        program = shutil.which("xsetroot", path=self._path)
        if program is not None:
            self._spawn([program, "-solid", "#1f3a4d"], self._environment)

    def _manager_ended(self) -> bool:
        """Wait until one of both ends; whether it was the window manager alone."""
        while not self._is_ending:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == self._server:
                self._server = 0
                self._stop(self._manager)
                self._manager = 0
                return False
            if pid == self._manager:
                self._manager = 0
                return True
            if pid == 0:
                self._wait(5.0)
        return False

    def _wait(self, seconds: float, *descriptors: int) -> bool:
        """Wait for a descriptor, or until a signal came; whether it was one of the descriptors."""
        ready = select.select([self._wakeup, *descriptors], [], [], seconds)[0]
        if self._wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
        return any(descriptor in ready for descriptor in descriptors)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._is_ending and (left := until - time.monotonic()) > 0:
            self._wait(left)

    def _stop(self, pid: int) -> None:
        """End a child, by force if it takes too long."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not pid:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            until = time.monotonic() + _GRACE_S
            while time.monotonic() < until:
                try:
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        return
                except ChildProcessError:
                    return
                time.sleep(0.01)

    def _spawn(
        self, command: Sequence[str], environment: Mapping[str, str], *, stdin: int = 0, stdout: int = 1
    ) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            if self._dies_with_parent:
                die_with_parent(parent)
            if stdin != 0:
                os.dup2(stdin, 0)
            if stdout != 1:
                os.dup2(stdout, 1)
            with contextlib.suppress(OSError):
                os.chdir(self._workdir)
            os.execve(command[0], list(command), dict(environment))  # noqa: S606 - no shell
        except OSError as error:
            print(f"{command[0]}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(127)


def server_arguments(folder: Path, size: str, displayfd: int) -> list[str]:
    """Arguments of the X server (Xvnc(1), Xserver(1)); no secret is among them."""
    return [
        *("-displayfd", str(displayfd), "-auth", str(folder / "Xauthority")),
        *("-rfbunixpath", str(folder / "rfb"), "-rfbunixmode", "0600", "-rfbport", "-1"),
        *("-nolisten", "tcp", "-localhost"),
        *("-SecurityTypes", "VncAuth", "-PasswordFile", str(folder / "passwd")),
        *("-geometry", size, "-depth", "24", "-AlwaysShared", "-noreset"),
        # guacd and people come and go: no idle times, and no lock after a wrong password.
        *("-UseBlacklist=0", "-IdleTimeout", "0", "-MaxCutText", str(1024 * 1024)),
        *("-desktop", "PaNHub", "-Log", "*:stderr:10"),
    ]


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends (prctl(2))."""
    import ctypes  # only views without a process namespace need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def by_hand(words: Sequence[str]) -> dict[str, Any]:
    """Specification from a command line."""
    import argparse

    parser = argparse.ArgumentParser(description="A desktop in a folder, for trying it.")
    parser.add_argument("--folder", required=True, help="private folder, made here; its parent must exist")
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--workdir", default=str(Path.home()))
    parser.add_argument("--prefix", help="environment whose programs are in the menu")
    parser.add_argument("--data", action="append", default=[], help="folder that the file window shows")
    given = parser.parse_args(words)
    environment = dict(os.environ)
    if given.prefix:
        environment["PATH"] = f"{given.prefix}/bin:{environment.get('PATH', os.defpath)}"
    return {
        "folder": str(Path(given.folder).absolute()),
        "width": given.width,
        "height": given.height,
        "environment": environment,
        "workdir": given.workdir,
        "prefix": given.prefix or "/usr",
        "data": [{"title": Path(path).name, "path": path} for path in given.data],
        "dies_with_parent": True,
    }


def main() -> int:
    """Run the desktop; returns its exit code."""
    spec = by_hand(sys.argv[1:]) if len(sys.argv) > 1 else json.loads(sys.stdin.buffer.read())
    lacking = why_not(spec["environment"].get("PATH"))
    if lacking:
        print(lacking, file=sys.stderr, flush=True)
        return 1
    desktop = Desktop(spec)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, desktop.end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        return desktop.run()
    except OSError as error:
        print(f"The desktop could not be started: {error}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
