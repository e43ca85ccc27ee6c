"""What starting a session's first process needs of Linux. Standard library only: nodes use it too."""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""Of prctl(2)."""


def prctl(option: int, value: int) -> None:
    """Set something of this process; best effort."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def memory_file(content: bytes) -> int:
    """Descriptor of a file that is only in memory, at its beginning."""
    descriptor = os.memfd_create("panhub")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def bubblewrapped(program: str, view: list[str], command: list[str], info: int) -> tuple[list[str], int]:
    """Command that runs another in a view; and the descriptor of the view's arguments, to be inherited.

    ``info`` is where bubblewrap writes who the first process is (`first_process`).
    """
    arguments = memory_file("".join(f"{item}\0" for item in view).encode())
    return [program, "--args", str(arguments), "--info-fd", str(info), "--", *command], arguments


def first_process(info: int) -> int | None:
    """Pid of a view's first process, as bubblewrap tells it; None if it could not start one."""
    with os.fdopen(os.dup(info), "rb") as file:
        try:
            return int(json.loads(file.read())["child-pid"])
        except (ValueError, KeyError):
            return None


def wake_on_signals(asked_to_stop: Callable[..., Any]) -> int:
    """Let signals end `poll`; returns the descriptor that becomes readable."""
    wakeup, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    os.set_blocking(wakeup, False)
    signal.signal(signal.SIGTERM, asked_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup_writer)
    return wakeup
