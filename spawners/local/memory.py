"""How is memory limited without a cgroup? By looking at it, as batch systems do.

Every second (four times a second from half the limit on) the memory of all processes of a session
is added up. Over the limit, the largest process is killed: mostly a kernel, which JupyterLab then
reports, while the session goes on. Between two looks a process may take more; a cgroup is the strict
way. Only the standard library: the supervisor uses it too.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spawners.local.processes import parent

_PAUSE_S = 1.0
_PAUSE_NEAR_LIMIT_S = 0.25
"""Seconds until the next look; 200 processes on the machine take 3 ms of one."""

_OWN = re.compile(rb"^Rss(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)
_PROPORTIONAL = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that was killed for the memory of its session."""

    pid: int
    parent: int | None
    message: str


class MemoryWatch:
    """Keeps the processes of one session within ``limit_mib`` [MiB].

    ``pause_s`` is the time until the next look is due [s].
    """

    def __init__(self, limit_mib: int) -> None:
        self._limit_kib = limit_mib * 1024
        self.pause_s = _PAUSE_S

    def look(self, pids: Iterable[int], *, spared: set[int]) -> Victim | None:
        """Kill the largest of ``pids`` if together they are over the limit; says which it was."""
        used = {pid: _resident_kib(pid) for pid in pids}
        resident = sum(used.values())
        self.pause_s = _PAUSE_S if 2 * resident < self._limit_kib else _PAUSE_NEAR_LIMIT_S
        if resident <= self._limit_kib:
            return None
        # Pages shared by forked processes were counted once for each: look closer before killing.
        used = {pid: _proportional_kib(pid, kib) for pid, kib in used.items()}
        total = sum(used.values())
        candidates = {pid: kib for pid, kib in used.items() if pid not in spared}
        if total <= self._limit_kib or not candidates:
            return None
        largest = max(candidates, key=candidates.__getitem__)
        above = parent(largest)
        with contextlib.suppress(OSError):
            os.kill(largest, signal.SIGKILL)
        message = (
            f"the session used {total // 1024} MiB of its {self._limit_kib // 1024} MiB of memory, "
            f"this process most ({candidates[largest] // 1024} MiB)"
        )
        return Victim(largest, above, message)


def _resident_kib(pid: int) -> int:
    """Memory of a process that no file backs [KiB]; 0 if it is gone."""
    return sum(int(kib) for kib in _OWN.findall(_read(pid, "status")))


def _proportional_kib(pid: int, otherwise: int) -> int:
    """Memory of a process with its share of shared pages [KiB]; ``otherwise`` if not readable."""
    found = _PROPORTIONAL.search(_read(pid, "smaps_rollup"))
    return min(int(found[1]), otherwise) if found else otherwise


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
