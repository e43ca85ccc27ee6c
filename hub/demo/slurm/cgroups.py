"""A control group in which the kernel holds jobs to their memory, where this machine can give one.

With it an over-sized job ends as OUT_OF_MEMORY, as on a site. That takes the memory controller of
cgroups v1, writable: under v2 slurmd wants systemd. Elsewhere slurmd measures each second and kills
the job, which then is FAILED with "Exceeded job memory limit" in its output.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from pathlib import Path

import psutil

_NAME = "panhub-slurm"
_NUMBERS = itertools.count(1)


def make_memory_group() -> Path | None:
    """A new control group below this process's own, or None where there can be none.

    What clusters of processes that were killed have left is removed.
    """
    parent = _own_group()
    if parent is None:
        return None
    for old in parent.glob(f"{_NAME}-*"):
        number = re.fullmatch(rf"{_NAME}-(\d+)-\d+", old.name)
        if number and not psutil.pid_exists(int(number[1])):
            remove_group(old)
    group = parent / f"{_NAME}-{os.getpid()}-{next(_NUMBERS)}"
    try:
        group.mkdir()
    except OSError:
        return None
    return group


def remove_group(group: Path) -> None:
    """Remove a control group and those in it, once their processes have ended."""
    for folder, _, _ in os.walk(group, topdown=False):
        for _ in range(50):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
            if not Path(folder).exists():
                break
            # The kernel lets go of the last process a little later.
            time.sleep(0.02)


def _own_group() -> Path | None:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for _, mounted, kind, options, *_ in mounts:
            if controllers == "memory" and kind == "cgroup" and {"memory", "rw"} <= set(options.split(",")):
                # In a container the mount may begin at the container's own group.
                own = Path(mounted) / path.lstrip("/")
                return own if own.is_dir() else Path(mounted)
    return None
