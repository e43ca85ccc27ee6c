"""Which slot of the machine has a cluster? A lock for each, held by its owner and its minder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from hub.demo.kubernetes.addresses import SLOTS
from hub.demo.kubernetes.errors import KubernetesDemoError

_LOCKS = Path("/run/lock")
"""One for all users and checkouts of the machine, and gone when it starts anew."""

_PROBE_S = 0.5


def take_slot(folder: Path, wait_s: float, locks: Path = _LOCKS) -> tuple[int, TextIO]:
    """A free slot, held until the returned file is closed by us and by all who inherit it.

    Raises
    ------
    KubernetesDemoError
        If there is none within ``wait_s``; who holds them is in the text.
    """
    # Some containers come without it.
    locks.mkdir(exist_ok=True)
    deadline = time.monotonic() + wait_s
    while True:
        for slot in range(SLOTS):
            if (held := _take(locks / f"panhub-kubernetes-{slot}", folder)) is not None:
                return slot, held
        if time.monotonic() >= deadline:
            owners = "".join((locks / f"panhub-kubernetes-{slot}").read_text() for slot in range(SLOTS))
            raise KubernetesDemoError(f"This machine runs {SLOTS} Kubernetes clusters already:\n{owners}")
        time.sleep(_PROBE_S)


def _take(lock: Path, folder: Path) -> TextIO | None:
    held = lock.open("a+")
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.truncate(0)
        held.write(f"process {os.getpid()}, in {folder}\n")
        held.flush()
        return held
    held.close()
    return None
