"""Does a frame of ours block an event loop?

A *step* is one callback of an asyncio loop, from its start to its return; while it runs, nothing
else on the loop does. A watchdog thread samples the stack of every running step and charges it the
time in which our code kept the loop: CPU time of the loop's own thread, and time asleep inside one
call (``time.sleep``, a file, a lock). What the machine takes is not charged: waiting for a core is
no CPU time and is subtracted from sleep by the kernel's own count; time in which the watchdog itself
did not run counts only as CPU time; collecting garbage is subtracted. Up to a limit of its own for all of
it, CPU time counts as that of a core that nobody shares.

A step is charged to the innermost frame of our packages. Steps whose innermost coroutine is a
test's are left out: there the test blocks by calling plain functions, not we.

In another process the watch is started by ``environment(file)``: violations are then lines of JSON
in that file.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import re
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from sys import _current_frames
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hub", "spawners", "profiles", "quota", "templates")
VARIABLE = "PANHUB_LOOPWATCH"

_TESTS = f"{os.sep}tests{os.sep}"

LIMIT_S = 0.050
"""Longest that a step may compute: as CPU time of a core that nobody shares, by `slowness`."""

_IN_ALL_LIMIT_S = 0.100
"""Longest that a step may keep the loop in all, on whatever core. Some of the time that it sleeps is the
machine's, as when a new thread, or the one with the interpreter's lock, waits for a core."""

_YARDSTICK_S = 0.0005
"""CPU time of `_yardstick` on such a core."""

_SAMPLE_S = 0.005
_LOOK_AFTER_S = 0.010
"""Steps shorter than this are not looked at."""

_PUTS_TOGETHER = re.compile(r"__init__ hub/app\.py:|load_config_file .*/traitlets/config/application\.py:")
_HUB_BEGINS = re.compile(r"initialize .*/jupyterhub/app\.py:")
_IMPORTS = re.compile(r"\S+ <frozen importlib\._bootstrap>:")
_HUB_RUNS = re.compile(r"\S+ .*/(?:bin/jupyterhub|jupyterhub/app\.py):")
_DATABASE = re.compile(r"do_(?:commit|execute|rollback) .*/sqlalchemy/engine/")

_MOST_PER_SAMPLE_S = 0.010
"""Sleep between two samples counts at most this much: the watchdog may have slept itself."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One step that kept a loop too long, and where most of it went."""

    milliseconds: int
    where: str
    stack: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.milliseconds} ms in {self.where}", *(f"    {line}" for line in self.stack)])


@dataclass(slots=True)
class _Step:
    native_id: int
    clock: int
    started: float
    outer: _Step | None
    cpu_seen: float
    seen: float
    waited: float = 0.0
    ran: float = 0.0
    leaf: tuple[int, int] | None = None
    charged: dict[str, float] = field(default_factory=dict)
    stacks: dict[str, tuple[str, ...]] = field(default_factory=dict)


class LoopWatch:
    """Watches every loop of this process between `start` and `stop`."""

    def __init__(self, report: Path | None = None, packages: tuple[Path, ...] | None = None) -> None:
        self._folders = tuple(f"{path}{os.sep}" for path in packages or tuple(ROOT / p for p in PACKAGES))
        self._report = report
        self._steps: dict[int, _Step] = {}
        self._found: list[Violation] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loopwatch", daemon=True)
        self._clocks = threading.local()
        self._original = asyncio.Handle._run
        self._gc_began = 0.0

    def start(self) -> None:
        """Begin: from now on every callback of every loop is a step."""
        watch = self

        def _run(handle: asyncio.Handle) -> None:
            ident = threading.get_ident()
            step = watch._enter(ident)
            try:
                watch._original(handle)
            finally:
                watch._leave(ident, step)

        asyncio.Handle._run = _run
        gc.callbacks.append(self._on_gc)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._done.set()
        self._thread.join()
        asyncio.Handle._run = self._original
        gc.callbacks.remove(self._on_gc)

    def take(self) -> list[Violation]:
        """Violations since the last call."""
        with self._lock:
            found, self._found = self._found, []
        return found

    def _enter(self, ident: int) -> _Step:
        if not hasattr(self._clocks, "clock"):
            self._clocks.clock = time.pthread_getcpuclockid(ident)
            self._clocks.native_id = threading.get_native_id()
        now = time.monotonic()
        step = _Step(
            native_id=self._clocks.native_id,
            clock=self._clocks.clock,
            started=now,
            outer=self._steps.get(ident),
            cpu_seen=time.thread_time(),
            seen=now,
        )
        self._steps[ident] = step
        return step

    def _leave(self, ident: int, step: _Step) -> None:
        if step.outer is None:
            self._steps.pop(ident, None)
        else:
            self._steps[ident] = step.outer
        total = sum(step.charged.values())
        if total <= _IN_ALL_LIMIT_S and (step.ran <= LIMIT_S or step.ran / slowness() <= LIMIT_S):
            return
        where = max(step.charged, key=step.charged.__getitem__)
        violation = Violation(round(total * 1000), where, step.stacks[where])
        with self._lock:
            self._found.append(violation)
        if self._report is not None:
            with self._report.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(violation)) + "\n")

    def _on_gc(self, phase: str, _info: object) -> None:
        step = self._steps.get(threading.get_ident())
        if phase == "start":
            self._gc_began = time.thread_time()
        elif step is not None:
            step.cpu_seen += time.thread_time() - self._gc_began

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            now = time.monotonic()
            for ident, step in list(self._steps.items()):
                if now - step.started >= _LOOK_AFTER_S:
                    self._sample(ident, step, now)

    def _sample(self, ident: int, step: _Step, now: float) -> None:
        try:
            cpu = time.clock_gettime(step.clock)
        except OSError:  # the loop's thread has ended
            self._steps.pop(ident, None)
            return
        frame = _current_frames().get(ident)
        waited = _waited_for_a_core(step.native_id)
        if frame is None or self._steps.get(ident) is not step:
            return
        leaf = (id(frame), frame.f_lasti)
        ran = cpu - step.cpu_seen
        slept = now - step.seen - ran - (waited - step.waited if step.waited else 0.0)
        is_asleep = leaf == step.leaf and ran < 0.001
        slept = min(max(slept, 0.0), _MOST_PER_SAMPLE_S) if is_asleep else 0.0
        step.leaf, step.cpu_seen, step.seen, step.waited = leaf, cpu, now, waited
        blamed = self._blame(frame)
        if blamed is not None:
            where = f"{blamed.f_code.co_qualname} ({_place(blamed)})"
            step.charged[where] = step.charged.get(where, 0.0) + ran + slept
            step.ran += ran
            step.stacks.setdefault(where, tuple(_stack(frame)))

    def _blame(self, leaf: FrameType) -> FrameType | None:
        """Innermost frame of ours, unless a test's own coroutine called it."""
        frame: FrameType | None = leaf
        ours: FrameType | None = None
        while frame is not None:
            if ours is None and frame.f_code.co_filename.startswith(self._folders):
                ours = frame
            if frame.f_code.co_flags & inspect.CO_COROUTINE:
                return None if _TESTS in frame.f_code.co_filename and ours is not frame else ours
            frame = frame.f_back
        return ours


def start_from_environment() -> None:
    """Watch this process until it ends, if the environment says so."""
    if report := os.environ.get(VARIABLE):
        LoopWatch(Path(report)).start()
        with _watched(Path(report)).open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")


def environment(report: Path) -> dict[str, str]:
    """Variables that make a Python process watch its loops and write violations to ``report``."""
    return {VARIABLE: str(report), "PYTHONPATH": f"{ROOT / 'tests/support/startup'}{os.pathsep}{ROOT}"}


def read_watched(report: Path) -> set[int]:
    """Pids of processes that watched their loops, and wrote violations to ``report`` if there were any."""
    path = _watched(report)
    return {int(line) for line in path.read_text(encoding="ascii").split()} if path.exists() else set()


def _watched(report: Path) -> Path:
    return report.with_suffix(".watched")


def read_report(report: Path) -> list[Violation]:
    """Violations that other processes wrote; none if there is no file.

    Those while the service or the hub is put together are left out: they serve nobody yet. So are imports
    while the hub begins, and waits of the hub for its own database, which JupyterHub asks in its loop.
    """
    if not report.exists():
        return []
    rows = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    found = [Violation(row["milliseconds"], row["where"], tuple(row["stack"])) for row in rows]
    return [violation for violation in found if not _is_setup(violation.stack)]


def _is_setup(stack: tuple[str, ...]) -> bool:
    def has(frame: re.Pattern[str]) -> bool:
        return any(frame.match(line) for line in stack)

    return has(_PUTS_TOGETHER) or (has(_HUB_BEGINS) and has(_IMPORTS)) or (has(_HUB_RUNS) and has(_DATABASE))


def slowness() -> float:
    """How many times as much CPU time a step takes just now as on a core that nobody shares; at least 1.

    A slow machine, or another thread on the same core, makes all that is computed take longer.
    """
    began = time.thread_time()
    for _ in range(3):
        _yardstick()
    return max((time.thread_time() - began) / 3 / _YARDSTICK_S, 1.0)


def _yardstick() -> int:
    """Do some work of the kind that steps do: numbers, texts, look-ups."""
    words = {str(number): number for number in range(3000)}
    return sum(words[word] for word in sorted(words))


def _waited_for_a_core(native_id: int) -> float:
    """Seconds the thread was ready to run and did not, from proc(5); 0 where the kernel does not say."""
    try:
        return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename.removeprefix(f'{ROOT}{os.sep}')}:{frame.f_lineno}"


def _stack(leaf: FrameType, deepest: int = 60) -> list[str]:
    lines = []
    frame: FrameType | None = leaf
    while frame is not None and len(lines) < deepest:
        lines.append(f"{frame.f_code.co_name} {_place(frame)}")
        frame = frame.f_back
    return lines
