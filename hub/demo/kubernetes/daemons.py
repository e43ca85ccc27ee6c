"""One daemon of the cluster: started, killed, frozen and thawed by name."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.namespace import Namespace
from hub.demo.kubernetes.specs import DaemonSpec

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_S = 0.05
_LOG_LINES = 15


class Daemon:
    """One process in the cluster's namespaces, with a log of its own."""

    def __init__(self, spec: DaemonSpec, namespace: Namespace, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._namespace = namespace
        self._wrapper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run; `wait` waits for what it is to bring about."""
        if self.is_running:
            return
        with self.log.open("ab") as out:
            self._wrapper = subprocess.Popen(
                self._namespace.enter(*self.spec.argv),
                env={"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", **dict(self.spec.environment)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
            )

    def wait(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until something is so that the daemon brings about.

        Raises
        ------
        KubernetesDemoError
            If it ends, or it is not so in time; the end of its log is in the text.
        """
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if not self.is_running:
                raise KubernetesDemoError(self._failure("ended"))
            if time.monotonic() > deadline:
                raise KubernetesDemoError(self._failure(f"runs, but within {timeout_s:g} s {what}"))
            time.sleep(_PROBE_S)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended; a frozen one runs."""
        return self._wrapper is not None and self._wrapper.poll() is None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does. What it started goes on."""
        self._end(signal.SIGKILL, 10.0)

    def stop(self, timeout_s: float = 15.0) -> None:
        """End it in order (SIGTERM), or by force when it takes longer."""
        try:
            self._end(signal.SIGTERM, timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self) -> None:
        """Stop it without ending it (SIGSTOP): its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)
        # nsenter stops itself together with its child.
        if self._wrapper is not None and self.is_running:
            self._wrapper.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Collect the process after its namespace has ended."""
        if self._wrapper is not None:
            self._wrapper.wait(10.0)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        if self._wrapper is None or not self.is_running:
            return
        self._signal(number)
        self.thaw()
        self._wrapper.wait(timeout_s)

    def _signal(self, number: signal.Signals) -> None:
        # nsenter forks into the process-id namespace: the daemon is its child.
        if self._wrapper is None or not self.is_running:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._wrapper.pid).children():
                child.send_signal(number)

    def _failure(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return f"{self.spec.name} {what}. The end of {self.log}:\n" + "\n".join(lines)
