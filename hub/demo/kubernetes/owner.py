"""One cluster runs on a machine at a time: who owns it, and waiting for them."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from hub.demo.kubernetes.errors import KubernetesDemoError

_PROBE_S = 0.2


def own(lock: Path, folder: Path, wait_s: float) -> TextIO:
    """Hold the machine's lock until the returned file is closed, by us and by all who inherit it.

    Raises
    ------
    KubernetesDemoError
        If another holds it for longer than ``wait_s``; who it is is in the text.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = lock.open("a+")
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                held.seek(0)
                owner = held.read().strip()
                held.close()
                raise KubernetesDemoError(
                    f"A Kubernetes cluster runs on this machine already ({owner or 'unknown'})."
                ) from error
            time.sleep(_PROBE_S)
        else:
            held.truncate(0)
            held.write(f"process {os.getpid()}, in {folder}\n")
            held.flush()
            return held
