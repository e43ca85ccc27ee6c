"""How are memory and CPUs limited by the kernel? A cgroup v2 of its own for each session.

Used where a site names a folder that was delegated to the service (cgroups(7), "Delegation").
Only the standard library: the supervisor uses it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PERIOD_US = 100_000
"""Period of the CPU bandwidth limit, the kernel's default."""


class Cgroup:
    """The cgroup of one session, below a delegated folder."""

    def __init__(self, parent: Path, launch_id: str) -> None:
        self.path = parent / f"session-{launch_id}"

    def make(self, *, cpus: int, memory_mib: int) -> None:
        """Make it with its limits.

        Raises
        ------
        OSError
            If the folder was not delegated to us, or lacks a controller.
        """
        self.path.mkdir(exist_ok=True)
        self._write("memory.max", str(memory_mib * 1024 * 1024))
        self._write("cpu.max", f"{cpus * _PERIOD_US} {_PERIOD_US}")
        with contextlib.suppress(OSError):  # kernels without swap accounting lack the file
            self._write("memory.swap.max", "0")

    def join(self) -> None:
        """Move the calling process into it; its children follow."""
        self._write("cgroup.procs", str(os.getpid()))

    def oom_kills(self) -> int:
        """How many processes the kernel killed for lack of memory."""
        try:
            lines = (self.path / "memory.events").read_text(encoding="ascii").splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def remove(self) -> None:
        """Kill what is left in it and remove it."""
        with contextlib.suppress(OSError):
            self._write("cgroup.kill", "1")
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _write(self, name: str, value: str) -> None:
        (self.path / name).write_text(value, encoding="ascii")
