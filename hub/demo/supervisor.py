"""Keeps the processes of a demo running beside each other, and leaves none behind.

Each program runs in a process group of its own and writes to a log of its own. It is started again
when it ends by itself; the programs are stopped one after the other, the last one first.
A site uses systemd or the chart for the same purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import psutil
from tornado.httpclient import AsyncHTTPClient

Report = Callable[[str], None]

BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before a program that keeps ending is started again; the last one repeats."""

_STEADY_S = 60.0
"""A program that ran this long starts its pauses anew."""

_PROBE_S = 0.1
_LOG_LINES = 15


class SupervisorError(Exception):
    """A program did not come up, or the folder is in use; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep. ``environment`` is all it gets; secrets are in it, never in ``argv``.

    It is ready when ``ready_url`` (see `answers`) gives any answer below 500. It runs as ``user`` with the
    group of that name and their others, or as whoever supervises it.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready_url: str
    ready_timeout_s: float = 90.0
    stop_timeout_s: float = 20.0
    user: str | None = None


class StateLock:
    """Held while a demo uses its folder; the kernel lets go of it when the process ends.

    Raises
    ------
    SupervisorError
        If another process holds it.
    """

    def __init__(self, state: Path) -> None:
        self._path = state / "lock"
        self._file: TextIO | None = None

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SupervisorError(
                f"A demo already runs in {self._path.parent}. Stop it with Ctrl-C, "
                "or choose another folder with --state."
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


class Supervisor:
    """Starts, keeps and stops programs. ``report`` gets one plain line per event."""

    def __init__(self, state: Path, report: Report) -> None:
        self._logs = state / "logs"
        self._run = state / "run"
        self._report = report
        self._keepers: list[_Keeper] = []

    async def start(self, *programs: Program) -> None:
        """Start programs beside each other and wait until all answer.

        Raises
        ------
        SupervisorError
            If one ends or does not answer in time; its last log lines are in the text. The others
            may run: `aclose` stops them.
        """
        for folder in (self._logs, self._run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keepers = [
            _Keeper(program, self._logs / f"{program.name}.log", self._run, self._report)
            for program in programs
        ]
        self._keepers += keepers
        starts = [asyncio.ensure_future(self._start(keeper)) for keeper in keepers]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def _start(self, keeper: _Keeper) -> None:
        began = time.monotonic()
        await keeper.start()
        self._report(f"{keeper.program.name} is ready ({time.monotonic() - began:.1f} s)")

    @property
    def logs(self) -> Mapping[str, Path]:
        """Log file of each program."""
        return {keeper.program.name: keeper.log for keeper in self._keepers}

    async def aclose(self) -> None:
        """Stop all programs, the last started first; return when none of their processes is left."""
        while self._keepers:
            await self._keepers.pop().aclose()


class _Keeper:
    """One program and the task that starts it again."""

    def __init__(self, program: Program, log: Path, run: Path, report: Report) -> None:
        self.program = program
        self.log = log
        self._note = run / f"{program.name}.json"
        self._report = report
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self._kill_leftover)
        await self._spawn()
        await self._wait_until_ready()
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            self._report(f"stopping {self.program.name}")
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self.program.stop_timeout_s)
            except TimeoutError:
                self._report(f"{self.program.name} does not end: killing it")
        _kill_group(process.pid)
        await process.wait()
        await asyncio.to_thread(self._note.unlink, missing_ok=True)

    async def _spawn(self) -> None:
        with await asyncio.to_thread(self._open_log) as log:
            self._process = await asyncio.create_subprocess_exec(
                *_dies_with_parent(self.program),
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        await asyncio.to_thread(self._write_note, self._process.pid)

    def _open_log(self) -> BinaryIO:
        log = self.log.open("ab")
        self.log.chmod(0o600)
        return log

    def _write_note(self, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(pid).create_time()
            self._note.write_text(json.dumps({"pid": pid, "started": started}))

    async def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.program.ready_timeout_s
        while not await answers(self.program.ready_url):
            if self._process.returncode is not None:
                raise await self._failure(f"ended with code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise await self._failure(f"did not answer within {self.program.ready_timeout_s:.0f} s")
            await asyncio.sleep(_PROBE_S)

    async def _keep(self) -> None:
        ends = 0
        while True:
            assert self._process is not None
            began = time.monotonic()
            code = await self._process.wait()
            # What it left in its group would hold its port.
            _kill_group(self._process.pid)
            ends = 0 if time.monotonic() - began > _STEADY_S else ends
            pause = BACK_OFF_S[min(ends, len(BACK_OFF_S) - 1)]
            ends += 1
            self._report(f"{self.program.name} ended with code {code}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            await self._spawn()

    async def _failure(self, what: str) -> SupervisorError:
        with contextlib.suppress(OSError):
            log = await asyncio.to_thread(self.log.read_text, encoding="utf-8", errors="replace")
            tail = "\n".join(f"    {line}" for line in log.splitlines()[-_LOG_LINES:])
            return SupervisorError(
                f"{self.program.name} {what}. Its log is {self.log}; the last lines:\n{tail}"
            )
        return SupervisorError(f"{self.program.name} {what}")

    def _kill_leftover(self) -> None:
        # A supervisor that was killed could not stop its programs. Pid and start time together
        # name a process for certain.
        try:
            note = json.loads(self._note.read_text())
            process = psutil.Process(note["pid"])
            is_ours = abs(process.create_time() - note["started"]) < 1.0
        except (OSError, ValueError, KeyError, psutil.Error):
            return
        if is_ours:
            self._report(f"ending a {self.program.name} that was left behind")
            _kill_group(process.pid)
            with contextlib.suppress(psutil.Error):
                process.wait(timeout=5)


async def answers(url: str, *, below: int = 500, timeout_s: float = 2.0) -> bool:
    """Whether something answers there with a status below ``below``; by default no server error.

    Of ``unix:/path`` it is asked only whether somebody listens.
    """
    if url.startswith("unix:"):
        return await _listens(url.removeprefix("unix:"))
    try:
        answer = await AsyncHTTPClient().fetch(
            url,
            raise_error=False,
            follow_redirects=False,
            connect_timeout=timeout_s,
            request_timeout=timeout_s,
        )
    except (OSError, TimeoutError):
        return False
    # Tornado says 599 when nothing answered.
    return answer.code < below


async def _listens(path: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


async def until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` until it ends, or until SIGINT, SIGTERM or SIGHUP cancels it.

    Further signals do not cut its clean-up short.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for kind in kinds:
        loop.add_signal_handler(kind, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    finally:
        for kind in kinds:
            loop.remove_signal_handler(kind)


def _dies_with_parent(program: Program) -> tuple[str, ...]:
    """Have the kernel end the program (SIGTERM) when the supervisor is killed, where that can be had.

    A later change of its user would undo that (prctl(2), PR_SET_PDEATHSIG), so both are one step.
    """
    setpriv, user = shutil.which("setpriv"), program.user
    if setpriv is None and user is not None:
        raise SupervisorError(f"To run {program.name} as {user}, setpriv is needed (package util-linux).")
    if setpriv is None:
        return program.argv
    change = () if user is None else ("--reuid", user, "--regid", user, "--init-groups", "--no-new-privs")
    return (setpriv, *change, "--pdeathsig", "TERM", "--", *program.argv)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
