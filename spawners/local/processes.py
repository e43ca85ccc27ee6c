"""Which process is which? Identity of processes that is safe against reused pids.

A process is known by pid, start time (field 22 of ``/proc/<pid>/stat``, in clock ticks since
boot) and boot id, see proc(5). Only the standard library: the supervisor uses it too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from spawners.session.environment import LAUNCH_VARIABLE

RUN_VARIABLE = "PANHUB_RUN"
"""In the supervisor's environment only: its run folder."""

_KILL_ROUNDS = 50
_KILL_PAUSE_S = 0.02
_ZOMBIE = frozenset("ZX")


@cache
def boot_id() -> str:
    """Identity of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int) -> int | None:
    """Start time of a process [clock ticks since boot]; None if it is gone or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in _ZOMBIE else None


def parent(pid: int) -> int | None:
    """Parent of a process; None if it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the third (state) on; empty if the process is gone."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The second field, the name, may hold blanks and brackets.
    return raw.rpartition(")")[2].split()


def pids() -> Iterator[int]:
    """All processes that this process can see."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - ten times faster


def environment(pid: int) -> dict[str, str]:
    """Environment a process was started with; empty if it may not be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in raw.split(b"\0") if item)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def of_launch(launch_id: str) -> list[int]:
    """Processes of ours that carry a launch id, the supervisor among them."""
    needle = f"{LAUNCH_VARIABLE}={launch_id}".encode()
    me = os.getpid()
    return [pid for pid in pids() if pid != me and _carries(pid, needle)]


def _carries(pid: int, needle: bytes) -> bool:
    try:
        path = Path(f"/proc/{pid}")
        return path.stat().st_uid == os.getuid() and needle in (path / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """All living processes below one, parents first."""
    children: dict[int, list[int]] = {}
    for other in pids():
        above = parent(other)
        if above is not None:
            children.setdefault(above, []).append(other)
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found.extend(below)
        todo.extend(below)
    return [other for other in found if start_time(other) is not None]


def open_process(pid: int, started: int) -> int | None:
    """File descriptor of exactly this process (pidfd); None if it is gone. The caller closes it."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    # Asked after opening: the descriptor and the start time speak of the same process.
    if start_time(pid) != started:
        os.close(descriptor)
        return None
    return descriptor


def kill_launch(launch_id: str) -> bool:
    """Kill all that is left of a launch; whether nothing is left. Blocking (up to a second).

    Again and again, since a process may start another between the look and the kill.
    """
    for _ in range(_KILL_ROUNDS):
        left = of_launch(launch_id)
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_KILL_PAUSE_S)
    return False
