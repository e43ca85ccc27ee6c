"""One daemon of a demo's cluster, in the cluster's namespaces: started, killed, frozen, thawed. Blocking."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from hub.demo.site import SiteError

_PROBE_S = 0.02
_LOG_LINES = 15
_FORK_S = 5.0


class Daemon:
    """One process in a cluster's namespaces, with a log of its own.

    Parameters
    ----------
    command
        nsenter(1) with ``--pid`` and what it runs. It forks into the process-id namespace, so the daemon is
        its child. What is set later counts from the next start.
    error
        What is raised where it does not do what is asked.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        error: type[SiteError] = SiteError,
    ) -> None:
        self.name = name
        self.log = log
        self.command = command
        self._environment = environment
        self._error = error
        self._wrapper: subprocess.Popen[bytes] | None = None
        self._process: psutil.Process | None = None

    def start(self) -> None:
        """Start it, if it does not run; `wait` waits for what it is to bring about."""
        if self.is_running:
            return
        self._process = None
        with self.log.open("ab") as out:
            self._wrapper = subprocess.Popen(
                self.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
            )

    def wait(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until something is so that the daemon brings about; ``what`` says what was missing if not.

        Raises
        ------
        SiteError
            If it ends, or it is not so in time; the end of its log is in the text.
        """
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if not self.is_running:
                raise self._error(self._failure("ended"))
            if time.monotonic() > deadline:
                raise self._error(self._failure(f"runs, but within {timeout_s:g} s {what}"))
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
        SiteError
            If it does not run.
        """
        return self._running().pid

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does. What it started goes on."""
        self._end(signal.SIGKILL, 10.0)

    def stop(self, timeout_s: float = 10.0) -> None:
        """End it in order (SIGTERM), or by force when it takes longer."""
        try:
            self._end(signal.SIGTERM, timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def forget(self) -> None:
        """Collect the process after its namespaces have ended."""
        if self._wrapper is not None:
            self._wrapper.wait(10.0)

    def freeze(self) -> None:
        """Stop it without ending it (SIGSTOP): its connections stay open and nothing answers.

        Raises
        ------
        SiteError
            If it does not run.
        """
        self._running()
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)
        self._continue_wrapper()

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        if self._wrapper is None or not self.is_running:
            return
        self._signal(number)
        if number is not signal.SIGKILL:
            self._signal(signal.SIGCONT)
        self._continue_wrapper()
        self._wrapper.wait(timeout_s)

    def _continue_wrapper(self) -> None:
        # nsenter stops itself together with its child.
        if self._wrapper is not None:
            self._wrapper.send_signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        # It may have ended, also by the signal before.
        if process := self._find():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _running(self) -> psutil.Process:
        if process := self._find():
            return process
        raise self._error(f"{self.name} does not run.")

    def _find(self) -> psutil.Process | None:
        deadline = time.monotonic() + _FORK_S
        while self._wrapper is not None and self.is_running:
            if self._process is not None:
                return self._process
            # Right after its start it is not there yet.
            if children := psutil.Process(self._wrapper.pid).children():
                self._process = children[0]
            elif time.monotonic() > deadline:
                raise self._error(self._failure("did not start"))
            else:
                time.sleep(_PROBE_S)
        return None

    def _failure(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return f"{self.name} {what}. The end of {self.log}:\n" + "\n".join(lines)
