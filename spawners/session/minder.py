"""Looks after a session's server on a node: its output, its end, and what the engine wants to hear.

The main thread waits for output, signals and the end; a second one talks to the engine, so that an
engine that does not answer holds up neither. Standard library only: nodes use it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from spawners.session.children import wake_on_signals
from spawners.session.engine import MOST_LINES, Engine, bounded
from spawners.session.firstprocess import FirstProcess
from spawners.session.sessionlog import SessionLog, tail

_SEND_LOG_S = 10.0
"""Seconds between two looks whether the log has grown."""

_GRACE_S = 30.0
"""What a server may take to end after SIGTERM; Slurm's KillWait (30 s by default) may be shorter."""

_LOOK_AT_TIME_S = 5.0

_LAST_WORD_S = 3.0
"""For the last lines of the log, within what Slurm leaves a job to end."""


def _ignore_ends() -> None:
    """Slurm asks all processes of a job to end: bubblewrap must not, before the server in it has."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Minder:
    """Looks after one server. Make it first: from then on a request to end is noticed.

    ``prepare`` is called in the new process before it becomes the session. ``is_over`` is asked every few
    seconds whether the session's time is over, and ends it then: for places whose scheduler does not.
    """

    def __init__(
        self, prepare: Callable[[], None] = _ignore_ends, is_over: Callable[[], bool] | None = None
    ) -> None:
        self._wakeup = wake_on_signals(self._end)
        self._end_at: float | None = None
        self._session: FirstProcess | None = None
        self._prepare = prepare
        self._is_over = is_over
        self.was_over = False
        """Whether the session was ended because its time was over."""

    @property
    def is_ending(self) -> bool:
        """Whether the job was asked to end."""
        return self._end_at is not None

    def _end(self, *_: object) -> None:
        """Hand on SIGTERM; Slurm's own reached the session too, but others' may not have."""
        if self._end_at is None:
            self._end_at = time.monotonic() + _GRACE_S
            if self._session is not None:
                self._session.tell(signal.SIGTERM)

    def run(
        self,
        command: list[str],
        view: list[str] | None,
        stdin: int,
        log: SessionLog,
        has_started: Callable[[], None],
    ) -> int:
        """Run the first process until its end; returns its exit code (128 + n for signal n).

        With ``view`` the first word of the command is bubblewrap, and these are its arguments.
        ``has_started`` is called once the process runs: no thread may be started before it was forked.
        """
        self._session = session = FirstProcess.start(command, view, stdin, os.environ, self._prepare)
        if self.is_ending:  # the request came before there was anybody to tell
            session.tell(signal.SIGTERM)
        has_started()
        session.wait(self._wakeup, log, self._pause_s, self._press)
        assert session.code is not None
        return session.code

    def _pause_s(self) -> float | None:
        if self._end_at is None:
            return None if self._is_over is None else _LOOK_AT_TIME_S
        return max(0.1, self._end_at - time.monotonic())

    def _press(self) -> None:
        if self._end_at is None and self._is_over is not None and self._is_over():
            self.was_over = True
            self._end()
        if self._session is not None and self._end_at is not None and time.monotonic() > self._end_at:
            self._session.tell(signal.SIGKILL)


class Correspondent:
    """Tells the engine the last lines of the log, and the session its deadline; in a thread of its own."""

    def __init__(self, engine: Engine, log: Path, shared: Path) -> None:
        self._engine = engine
        self._log = log
        self._shared = shared
        self.deadline: float | None = None
        """Until when the session may run, as the engine said last [s since the epoch]."""
        self._sent: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        ask_at, look_at = 0.0, time.monotonic() + _SEND_LOG_S
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= ask_at:
                ask_at = now + self._follow_deadline() * random.uniform(0.8, 1.2)  # noqa: S311 - spreads nodes
            if now >= look_at:
                look_at = now + _SEND_LOG_S
                self._send(timeout_s=_SEND_LOG_S)
            self._stop.wait(max(0.1, min(ask_at, look_at) - time.monotonic()))

    def _follow_deadline(self) -> float:
        """Write the deadline for the session; returns when to ask again [s]."""
        try:
            deadline, pause = self._engine.deadline()
        except (OSError, ValueError, KeyError):  # the engine is not there just now, or is not itself
            return 30.0
        if deadline is not None:
            self.deadline = deadline
            new = self._shared / ".deadline"
            new.write_text(f"{deadline:.3f}\n", encoding="ascii")
            new.replace(self._shared / "deadline")
        return pause

    def _send(self, *, timeout_s: float) -> None:
        lines = bounded(tail(self._log, MOST_LINES))
        if not lines or lines == self._sent:
            return
        with contextlib.suppress(OSError, ValueError):
            self._engine.send_log(lines, timeout_s=timeout_s)
            self._sent = lines

    def finish(self) -> None:
        """Stop, and send what is left to say."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_LAST_WORD_S)
        self._send(timeout_s=_LAST_WORD_S)
