"""One life of guacd where it can do no harm: a bubblewrap container with a network of its own.

guacd has no authentication, opens whatever address and file it is told, and parses what hostile servers
send (CVE-2023-43826, CVE-2024-35164). So it sees a read-only root without programs, an empty ``/tmp``, no
``/proc``, and a loopback on which there is nothing but itself and what we listen on for it. It has no
capability, is nobody outside, and calls few of the kernel's doors (`hub.desktop.guacdfilter`).

All desktops of a tunnel share one guacd, with a process of guacd for each. These cannot look into each other,
but they inherit the socket that guacd listens on: code that a hostile server gets to run in one could take
connections that come after it. An up-to-date guacd is no luxury in a sandbox either.

Sockets of that loopback come from a helper (`hub.desktop.guacdsockets`); nobody else on the machine has any.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

from hub.desktop.guacdfilter import seccomp_program
from hub.desktop.guacdsockets import ENTERED, SOCKET
from hub.desktop.guacdstart import SHOWN_ROOT
from spawners.session.machine import system_paths

LOOPBACK = "127.0.0.1"
PORT = 4822

_log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_PYTHON = (sys.executable, "-I", "-S")
_NOBODIES = range(61184, 65520)
"""Accounts that nothing on a machine has for long: systemd takes those of DynamicUser from them."""

_START_S = 20.0
_STOP_S = 5.0
_ASK_S = 10.0
_CONNECTION_ID = re.compile(r"\$[0-9a-f-]{36}")
_LINE_AT_MOST = 300
_PROGRAM_PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/opt/guacamole/sbin"


class GuacdError(OSError):
    """guacd cannot be started or does not answer; the text says why, for an operator."""


class Sandbox:
    """A running guacd. Made by `start_sandbox`."""

    def __init__(
        self, guacd: asyncio.subprocess.Process, helper: asyncio.subprocess.Process, control: socket.socket
    ) -> None:
        self._guacd, self._helper, self._control = guacd, helper, control
        self._asking = asyncio.Lock()
        self._waiting: asyncio.Future[None] | None = None
        self._reading = [asyncio.create_task(_log_lines(process)) for process in (guacd, helper)]

    @property
    def pid(self) -> int:
        """Process id of the sandbox."""
        return self._guacd.pid

    async def wait(self) -> int:
        """Return guacd's exit code when it has ended, or the helper without which it is out of reach."""
        waits = [asyncio.create_task(process.wait()) for process in (self._guacd, self._helper)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._guacd.returncode if self._guacd.returncode is not None else -1

    async def make_socket(self) -> socket.socket:
        """Return a new TCP socket of the sandbox's network, non-blocking.

        Raises
        ------
        GuacdError
            If the sandbox has ended.
        """
        async with self._asking:
            try:
                async with asyncio.timeout(_ASK_S):
                    await asyncio.get_running_loop().sock_sendall(self._control, b"s")
                    fds = await self._receive(SOCKET)
            except OSError as error:
                raise GuacdError("guacd's sandbox has ended.") from error
        made = socket.socket(fileno=fds[0])
        made.setblocking(False)
        return made

    async def entered(self) -> None:
        """Return when the helper is in the sandbox's network.

        Raises
        ------
        GuacdError
            If it ended.
        """
        try:
            await self._receive(ENTERED)
        except OSError as error:
            raise GuacdError("The network of guacd's sandbox cannot be entered.") from error

    async def aclose(self) -> None:
        """End guacd with all its connections."""
        if self._waiting is not None:
            # Nothing else would wake who waits: a closed socket is never readable.
            asyncio.get_running_loop().remove_reader(self._control)
            if not self._waiting.done():
                self._waiting.set_exception(ConnectionResetError("closed"))
        self._control.close()
        for process in (self._guacd, self._helper):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(_STOP_S):
            await asyncio.gather(self._guacd.wait(), self._helper.wait(), *self._reading)

    async def _receive(self, expected: bytes) -> list[int]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                word, fds, _, _ = socket.recv_fds(self._control, 64, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                self._waiting = readable = loop.create_future()
                loop.add_reader(self._control, _set, readable)
                try:
                    await readable
                finally:
                    self._waiting = None
                    if self._control.fileno() >= 0:  # else its number may be another's by now
                        loop.remove_reader(self._control)
                continue
            if word != expected or len(fds) != (expected == SOCKET):
                raise ConnectionResetError(word)
            return fds


async def start_sandbox(root: Path | None) -> Sandbox:
    """Start guacd of a root folder, or the system's, and return when its network can be entered.

    Raises
    ------
    GuacdError
        If it does not start; the reason is in the text.
    """
    command = await asyncio.to_thread(_command, root)
    info, info_of_child = os.pipe()
    rules = await asyncio.to_thread(_filter_file)
    inherited = [info_of_child] if rules is None else [info_of_child, rules]
    words = [*command.before, "--info-fd", str(info_of_child)]
    words += ["--seccomp", str(rules)] if rules is not None else []
    try:
        guacd = await asyncio.create_subprocess_exec(
            *words,
            *("--", *command.guacd),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"},  # noqa: S108
            pass_fds=inherited,
        )
    finally:
        for fd in inherited:
            os.close(fd)
    try:
        async with asyncio.timeout(_START_S):
            process = await _process_in(info)
            return await _enter(guacd, process)
    except BaseException as error:
        with suppress(ProcessLookupError):
            guacd.kill()
        assert guacd.stderr is not None
        said = (await guacd.communicate())[1].decode(errors="replace").strip()
        if isinstance(error, OSError | ValueError):
            raise GuacdError(f"guacd's sandbox does not start: {said[-500:] or error}") from error
        raise


class _Command:
    """Words before bubblewrap's ``--``, and guacd's own after it."""

    def __init__(self, before: list[str], guacd: list[str]) -> None:
        self.before, self.guacd = before, guacd


def _command(root: Path | None) -> _Command:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise GuacdError("bubblewrap (bwrap) is not installed.")
    uid = _nobody() if os.geteuid() == 0 else None
    if root is None:
        program = shutil.which("guacd", path=_PROGRAM_PATHS)
        if program is None:
            raise GuacdError("guacd is not installed, and desktop.guacd.root names no folder with it.")
        view = []
        for shown in system_paths():
            kind = (
                ["--symlink", shown.link_to] if shown.link_to is not None else ["--ro-bind", str(shown.path)]
            )
            view += [*kind, str(shown.path)]
    else:
        root = root.resolve()
        program = "/usr/sbin/guacd"
        if not (root / program.lstrip("/")).is_file():
            raise GuacdError(f"{root} has no guacd (usr/sbin/guacd).")
        view = ["--ro-bind", SHOWN_ROOT if uid is not None else str(root), "/"]
    start = [*_PYTHON, str(_HERE / "guacdstart.py"), str(uid or "-"), str(root or "-")]
    sandbox = [bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    sandbox += ["--unshare-cgroup-try", "--unshare-net", "--uid", "1000", "--gid", "1000"]
    sandbox += ["--hostname", "guacd", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    sandbox += [*view, "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
    guacd = [program, "-f", "-b", LOOPBACK, "-l", str(PORT), "-L", "warning"]
    return _Command([*start, *sandbox], guacd)


def _nobody() -> int:
    while True:
        uid = secrets.choice(_NOBODIES)
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid


def _filter_file() -> int | None:
    program = seccomp_program(platform.machine())
    if program is None:
        _log.warning("guacd runs without a filter of system calls: none is known for this machine")
        return None
    file = os.memfd_create("seccomp")
    os.write(file, program)
    os.lseek(file, 0, os.SEEK_SET)
    return file


async def _process_in(info: int) -> int:
    """Process id of the sandbox's first process, as bubblewrap tells it by ``--info-fd``."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(info, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        return int(json.loads(await reader.readuntil(b"}"))["child-pid"])
    except (KeyError, asyncio.IncompleteReadError) as error:
        raise ValueError("bubblewrap told no process id") from error
    finally:
        transport.close()


async def _enter(guacd: asyncio.subprocess.Process, process: int) -> Sandbox:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    try:
        with theirs:
            helper = await asyncio.create_subprocess_exec(
                *_PYTHON,
                *(str(_HERE / "guacdsockets.py"), str(theirs.fileno()), str(process)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={},
                pass_fds=[theirs.fileno()],
            )
    except BaseException:
        ours.close()
        raise
    sandbox = Sandbox(guacd, helper, ours)
    try:
        await sandbox.entered()
    except BaseException:
        await sandbox.aclose()
        raise
    return sandbox


async def _log_lines(process: asyncio.subprocess.Process) -> None:
    """What a process says, into our log: without the ids that open connections, and on one line each."""
    assert process.stderr is not None
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # Longer than a stream's limit: no line of guacd's.
            continue
        if not line:
            return
        text = _CONNECTION_ID.sub("$…", line.decode(errors="replace").strip())[:_LINE_AT_MOST]
        _log.info("guacd: %s", "".join(c if c.isprintable() else "?" for c in text))


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
