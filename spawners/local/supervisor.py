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
    memory_file,
    prctl,
    wake_on_signals,
)
from spawners.session.environment import LAUNCH_VARIABLE
from spawners.session.firstprocess import FirstProcess
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
        self._session: FirstProcess | None = None
        self._started_at = time.time()
        self._started = self._touched = time.monotonic()
        self._watch = MemoryWatch(spec["memory_mib"]) if self._cgroup is None else None

    def run(self) -> None:
        """Start the session, wait for its end, write how it was."""
        os.umask(0o077)
        write_json(self._run.supervisor, {**identity(), "started_at": self._started_at})
        self._run.alive.touch(mode=0o600)
        wakeup = wake_on_signals(self._asked_to_stop)
        try:
            self._limit()
            self._session = session = self._start()
        except OSError as error:
            self._log.write(f"The session could not be started: {error}\n".encode())
            self._finish()
            return
        self._spec.clear()  # the secrets are handed over
        session.wait(wakeup, self._log, self._pause, self._look)
        self._finish()

    # --- start --------------------------------------------------------------------------------

    def _limit(self) -> None:
        """Limits that children inherit."""
        with contextlib.suppress(OSError):  # a container may forbid it: the limit is best effort
            os.sched_setaffinity(0, self._spec["affinity"])
        if self._cgroup:
            self._cgroup.make(cpus=self._spec["cpus"], memory_mib=self._spec["memory_mib"])
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def _start(self) -> FirstProcess:
        bwrap = self._spec["bwrap"]
        stdin = memory_file(json.dumps(self._spec["start"]).encode())
        command = [*([bwrap] if bwrap else []), *self._spec["command"]]
        environment = session_environment(self._launch_id)
        view = self._spec["view"] if bwrap else None
        return FirstProcess.start(command, view, stdin, environment, self._prepare)

    def _prepare(self) -> None:
        """In the new process, before it becomes the session."""
        os.setsid()
        if self._cgroup:
            self._cgroup.join()
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ, encoding="ascii")

    # --- while it runs --------------------------------------------------------------------------

    def _look(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now - self._touched >= ALIVE_S:
            os.utime(self._run.alive)
            self._touched = now
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
        if self._watch is None or self._session is None or self._session.first is None:
            return
        spared = {self._session.main, self._session.first}
        victim = self._watch.look(descendants(os.getpid()), spared=spared)
        if victim is None:
            return
        self._log.write(f"Killed process {victim.pid}: {victim.message}\n".encode())
        if victim.parent == self._session.first and self._cause is None:
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
        elif self._session is not None and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + _ASK_AGAIN_S
            self._session.tell(signal.SIGTERM)

    def _kill(self) -> None:
        if self._session is not None:
            self._session.tell(signal.SIGKILL)
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    # --- end ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Leave nothing behind, then say how it ended."""
        while descendants(os.getpid()):
            self._kill()
            time.sleep(0.01)
            if self._session is not None:
                self._session.reap()
        kill_launch(self._launch_id)
        code = None if self._session is None else self._session.code
        if self._cgroup:
            if self._cause is None and code == _KILLED and self._cgroup.oom_kills():
                self._cause = "out_of_memory"
            self._cgroup.remove()
        elapsed = time.monotonic() - self._started  # the wall clock may have been set meanwhile
        write_json(
            self._run.exit,
            {
                "cause": self._cause or "exited",
                "exit_code": code,
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
