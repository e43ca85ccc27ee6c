"""One daemon of the cluster: started, killed, frozen and thawed by name."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hub.demo.slurm.namespace import Namespace
from hub.demo.slurm.release import SlurmDemoError

_PROBE_S = 0.02
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class DaemonSpec:
    """What to run and as whom (None: root); it is ready when ``is_ready`` says so."""

    name: str
    argv: tuple[str, ...]
    user: str | None
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


class Daemon:
    """One process in the cluster's namespace, with a log of its own."""

    def __init__(self, spec: DaemonSpec, namespace: Namespace, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._namespace = namespace
        self._wrapper: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None

    def start(self) -> None:
        """Start it, if it does not run; `wait_ready` waits for it."""
        if self.is_running:
            return
        command = self._namespace.enter(*as_user(self.spec.user, self.spec.argv), is_inside=True)
        with self.log.open("ab") as out:
            self._wrapper = subprocess.Popen(
                command,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **self.spec.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._process = None

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until it answers.

        Raises
        ------
        SlurmDemoError
            If it ends or does not answer in time; the end of its log is in the text.
        """
        deadline = time.monotonic() + timeout_s
        while not self.spec.is_ready():
            if not self.is_running:
                raise SlurmDemoError(self._failure("ended at its start"))
            if time.monotonic() > deadline:
                raise SlurmDemoError(self._failure(f"did not answer within {timeout_s:g} s"))
            time.sleep(_PROBE_S)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended; a frozen one runs."""
        return self._wrapper is not None and self._wrapper.poll() is None

    @property
    def pid(self) -> int:
        """Process id, as this side numbers it.

        Raises
        ------
        SlurmDemoError
            If it does not run.
        """
        return self._running().pid

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does. What it started goes on."""
        if self.is_running:
            self._signal(signal.SIGKILL)
            self._continue_wrapper()
            self._wait_gone(10.0)

    def stop(self, timeout_s: float = 10.0) -> None:
        """End it in order (SIGTERM), or by force when it takes longer."""
        if not self.is_running:
            return
        self._signal(signal.SIGTERM)
        self.thaw()
        try:
            self._wait_gone(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def forget(self) -> None:
        """Collect the process after its namespace has ended."""
        if self._wrapper is not None:
            self._wait_gone(10.0)

    def freeze(self) -> None:
        """Stop it without ending it (SIGSTOP): its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        if not self.is_running:
            return
        self._signal(signal.SIGCONT)
        self._continue_wrapper()

    def _continue_wrapper(self) -> None:
        # nsenter stops itself together with its child.
        if self._wrapper is not None:
            self._wrapper.send_signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._running().send_signal(number)

    def _wait_gone(self, timeout_s: float) -> None:
        assert self._wrapper is not None
        self._wrapper.wait(timeout_s)

    def _running(self) -> psutil.Process:
        wrapper = self._wrapper
        if wrapper is None or not self.is_running:
            raise SlurmDemoError(f"{self.spec.name} does not run.")
        # nsenter forks into the process-id namespace: the daemon is its child.
        deadline = time.monotonic() + 5.0
        while self._process is None:
            children = psutil.Process(wrapper.pid).children()
            if children:
                self._process = children[0]
            elif time.monotonic() > deadline or not self.is_running:
                raise SlurmDemoError(self._failure("did not start"))
            else:
                time.sleep(_PROBE_S)
        return self._process

    def _failure(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return f"{self.spec.name} {what}. The end of {self.log}:\n" + "\n".join(lines)


def as_user(user: str | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Command that runs ``argv`` as a user with all of their groups; None is root."""
    if user is None:
        return argv
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *argv)


def accepts_tcp(port: int) -> bool:
    """Whether something listens on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def accepts_unix(path: Path) -> bool:
    """Whether something listens on the unix socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0.5)
        connection.connect(str(path))
        return True
    return False
