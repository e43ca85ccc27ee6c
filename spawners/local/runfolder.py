"""What is on disk of a session while it is not settled? One folder per launch, mode 0700.

====================  ===========================================================================
``session.json``      what it was given: CPUs, memory (written by the engine, before the start)
``supervisor.json``   pid, start time, boot id, start of the session (by the supervisor, first)
``alive``             touched every few seconds: bounds the end if the supervisor is killed
``exit.json``         cause, exit code, start and end (by the supervisor, last)
``shared/deadline``   end of its time [seconds since the epoch]; the session reads it too
``jupyter/``          kernels of the person's own environments (written by the session)
``etc/``, ``tmp/``    parts of the view: the account's passwd and group, a private /tmp
``view/``             the view of links, where there is no bubblewrap
====================  ===========================================================================

None of it is secret, and files are replaced by rename, so nobody reads half of one. Only the
standard library: the supervisor uses it too.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


class RunFolder:
    """The folder of one launch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = path / "session.json"
        self.supervisor = path / "supervisor.json"
        self.exit = path / "exit.json"
        self.alive = path / "alive"
        self.shared = path / "shared"
        self.deadline = self.shared / "deadline"
        self.jupyter = path / "jupyter"
        self.etc = path / "etc"
        self.tmp = path / "tmp"
        self.view = path / "view"

    def make(self) -> None:
        """Make the folder; FileExistsError if it is there."""
        self.path.mkdir(mode=0o700)
        for folder in (self.shared, self.jupyter, self.etc, self.tmp):
            folder.mkdir(mode=0o700)

    def write_deadline(self, seconds: float) -> None:
        """Say until when the session may run [seconds since the epoch]."""
        replace_text(self.deadline, f"{seconds:.3f}\n")

    def read_deadline(self) -> float | None:
        """Until when the session may run [seconds since the epoch]; None if nobody said."""
        try:
            return float(self.deadline.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None


def read_json(path: Path) -> dict[str, Any] | None:
    """JSON object in a file; None if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object so that readers see all of it or nothing."""
    replace_text(path, json.dumps(value))


def replace_text(path: Path, text: str) -> None:
    """Write a file of mode 0600 under another name and put it in place."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
