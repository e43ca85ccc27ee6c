"""What looks after one session while it runs? A small process of its own, apart from the engine.

Started as ``python -I -S supervisor.py <run folder>``. It reads its specification as JSON from
standard input (it holds secrets, so it is neither an argument nor a file), detaches itself,
prints who it is, and starts the session in its view. Then it waits: it keeps the log within
bounds, touches ``alive``, ends the session at its deadline or when asked by SIGTERM, watches its
memory where no cgroup does, and writes ``exit.json`` when nothing is left.

The engine may die and come back: the session goes on, and still ends at its time. If the
supervisor is killed, the kernel kills the session (``bwrap --die-with-parent``; in a view of
links PR_SET_PDEATHSIG, and the engine kills what is left by launch id). Only the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started by path, without site: only the standard library and this tree
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spawners.local.cgroup import Cgroup
from spawners.local.memory import MemoryWatch
from spawners.local.processes import (
    boot_id,
    descendants,
    kill_launch,
    start_time,
)
from spawners.local.runfolder import RunFolder, write_json
from spawners.session.children import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    bubblewrapped,
    first_process,
    memory_file,
    prctl,
    wake_on_signals,
)
from spawners.session.environment import LAUNCH_VARIABLE
from spawners.session.sessionlog import SessionLog

ALIVE_S = 5.0
"""Seconds between two touches of ``alive``: the error of a charge after a kill -9."""

_ASK_AGAIN_S = 0.2
"""Pause between two requests to end: the first process of a view hears none before it is ready."""

_OOM_SCORE_ADJ = "300"
"""When the whole machine runs out of memory, sessions go before the engine and the hub."""

_KILLED = 128 + signal.SIGKILL


class Supervisor:
    """Looks after one session. All of it in one thread; signals and output wake one `poll`."""

    def __init__(self, run: RunFolder, spec: dict[str, Any]) -> None:
        self._run = run
        self._spec = spec
        self._launch_id: str = spec["launch_id"]
        self._grace_s: float = spec["grace_s"]
        self._cgroup = Cgroup(Path(spec["cgroup"]), self._launch_id) if spec["cgroup"] else None
        self._log = SessionLog(Path(spec["log"]))
        self._cause: str | None = None
        self._kill_at: float | None = None
        self._ask_at = 0.0
        self._main = 0
        self._first: int | None = None
        self._code: int | None = None
        self._started_at = time.time()
        self._started = time.monotonic()
        self._watch = MemoryWatch(spec["memory_mib"]) if self._cgroup is None else None

    def run(self) -> None:
        """Start the session, wait for its end, write how it was."""
        os.umask(0o077)
        write_json(self._run.supervisor, {**identity(), "started_at": self._started_at})
        self._run.alive.touch(mode=0o600)
        wakeup = wake_on_signals(self._asked_to_stop)
        try:
            self._limit()
            output = self._start()
        except OSError as error:
            self._log.write(f"The session could not be started: {error}\n".encode())
            self._finish()
            return
        self._spec.clear()  # the secrets are handed over
        self._wait(output, wakeup)
        self._drain(output)
        self._finish()

    # --- start --------------------------------------------------------------------------------

    def _limit(self) -> None:
        """Limits that children inherit."""
        with contextlib.suppress(OSError):  # a container may forbid it: the limit is best effort
            os.sched_setaffinity(0, self._spec["affinity"])
        if self._cgroup:
            self._cgroup.make(cpus=self._spec["cpus"], memory_mib=self._spec["memory_mib"])
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def _start(self) -> int:
        """Start the session; returns the descriptor of its output."""
        bwrap, view = self._spec["bwrap"], self._spec["view"]
        stdin = memory_file(json.dumps(self._spec["start"]).encode())
        output, output_child = os.pipe()
        info, info_child = os.pipe()
        command = list(self._spec["command"])
        keep = []
        if bwrap:
            command, arguments = bubblewrapped(bwrap, view, command, info_child)
            keep = [arguments, info_child]
        self._main = os.fork()
        if self._main == 0:
            self._become(command, stdin, output_child, keep)
        for descriptor in {stdin, output_child, info_child, *keep}:
            os.close(descriptor)
        self._first = first_process(info) if bwrap else self._main
        os.close(info)
        os.set_blocking(output, False)
        return output

    def _become(self, command: list[str], stdin: int, output: int, keep: list[int]) -> None:
        """In the forked child: turn into the session. Never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self._cgroup:
                self._cgroup.join()
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ, encoding="ascii")
            os.dup2(stdin, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for descriptor in keep:
                os.set_inheritable(descriptor, True)
            os.execve(command[0], command, session_environment(self._launch_id))  # noqa: S606 - no shell
        except OSError as error:
            os.write(2, f"{command[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    # --- while it runs --------------------------------------------------------------------------

    def _wait(self, output: int, wakeup: int) -> None:
        poll = select.poll()
        poll.register(output, select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        touched = time.monotonic()
        while not self._reap():
            for descriptor, _ in poll.poll(self._pause() * 1000):
                if descriptor == wakeup:
                    os.read(wakeup, 4096)
                elif not self._log.copy(output):
                    poll.unregister(output)
            now = time.monotonic()
            if now - touched >= ALIVE_S:
                os.utime(self._run.alive)
                touched = now
            self._check_deadline()
            self._check_memory()
            self._press()

    def _pause(self) -> float:
        """Seconds until something is due."""
        if self._kill_at is not None:
            return max(0.0, min(_ASK_AGAIN_S, self._kill_at - time.monotonic()))
        pause = ALIVE_S if self._watch is None else self._watch.pause_s
        deadline = self._run.read_deadline()
        return pause if deadline is None else max(0.0, min(pause, deadline - time.time()))

    def _check_deadline(self) -> None:
        deadline = self._run.read_deadline()  # always read again: the engine may have moved it
        if self._cause is None and deadline is not None and time.time() >= deadline:
            self._end("time_limit")

    def _check_memory(self) -> None:
        if self._watch is None or self._first is None:
            return
        victim = self._watch.look(descendants(os.getpid()), spared={self._main, self._first})
        if victim is None:
            return
        self._log.write(f"Killed process {victim.pid}: {victim.message}\n".encode())
        if victim.parent == self._first and self._cause is None:
            self._cause = "out_of_memory"

    def _asked_to_stop(self, *_: object) -> None:
        self._end("stopped")

    def _end(self, cause: str) -> None:
        """Ask the session to end."""
        if self._kill_at is None:
            self._cause = self._cause or cause
            self._kill_at = time.monotonic() + self._grace_s
        self._press()

    def _press(self) -> None:
        """Ask a session that is to end again; after the grace, do not ask."""
        if self._kill_at is None:
            return
        if time.monotonic() >= self._kill_at:
            self._kill()
        elif self._first and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _ASK_AGAIN_S
            with contextlib.suppress(OSError):
                os.kill(self._first, signal.SIGTERM)

    def _kill(self) -> None:
        for pid in (self._first, self._main, *descendants(os.getpid())):
            if pid:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def _reap(self) -> bool:
        """Collect ended children; whether the session itself has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._main:
                    code = os.waitstatus_to_exitcode(status)
                    self._code = code if code >= 0 else 128 - code
        return self._code is not None

    # --- end ------------------------------------------------------------------------------------

    def _drain(self, output: int) -> None:
        while self._log.copy(output):
            if not select.select([output], [], [], 0)[0]:
                break

    def _finish(self) -> None:
        """Leave nothing behind, then say how it ended."""
        while descendants(os.getpid()):
            self._kill()
            time.sleep(0.01)
            self._reap()
        kill_launch(self._launch_id)
        if self._cgroup:
            if self._cause is None and self._code == _KILLED and self._cgroup.oom_kills():
                self._cause = "out_of_memory"
            self._cgroup.remove()
        elapsed = time.monotonic() - self._started  # the wall clock may have been set meanwhile
        write_json(
            self._run.exit,
            {
                "cause": self._cause or "exited",
                "exit_code": self._code,
                "started_at": self._started_at,
                "ended_at": self._started_at + elapsed,
            },
        )


def identity() -> dict[str, Any]:
    """Who the calling process is, as a handle names it."""
    return {"pid": os.getpid(), "start_time": start_time(os.getpid()), "boot_id": boot_id()}


def session_environment(launch_id: str) -> dict[str, str]:
    """Environment of the session's first process; the server's own comes with the specification."""
    return {LAUNCH_VARIABLE: launch_id, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def main() -> None:
    """Read the specification, detach, say who we are and look after the session."""
    run = RunFolder(Path(sys.argv[1]))
    spec = json.loads(sys.stdin.buffer.read())
    answer, answer_child = os.pipe()
    if os.fork():
        os.close(answer_child)
        with os.fdopen(answer, "rb") as file:
            told = file.read()
        sys.stdout.buffer.write(told)
        sys.stdout.flush()
        os._exit(0 if told else 1)
    os.write(answer_child, json.dumps(identity()).encode())
    for descriptor in (answer, answer_child):
        os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    Supervisor(run, spec).run()


if __name__ == "__main__":
    main()
