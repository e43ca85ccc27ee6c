"""Where does the output of a session go? Into a log of bounded size, mode 0600.

A full log is kept once under the name ``….log.1`` and begun anew. Standard library only: nodes and the
supervisor use it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST_BYTES = 2 * 1024 * 1024
"""Size at which a log is begun anew: enough for weeks of a quiet server."""

_TAIL_BYTES = 64 * 1024
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class SessionLog:
    """Writer of one session's log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, data: bytes) -> None:
        """Append; begins anew when it is full."""
        if self._size + len(data) > _MOST_BYTES:
            os.close(self._descriptor)
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._open()
        os.write(self._descriptor, data)
        self._size += len(data)

    def copy(self, source: int) -> bool:
        """Append what a non-blocking descriptor has; False when its end was reached."""
        try:
            data = os.read(source, 65536)
        except BlockingIOError:
            return True
        if data:
            self.write(data)
        return bool(data)


def tail(path: Path, lines: int) -> list[str]:
    """Last lines of a log, without control characters; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [_CONTROL.sub("", line) for line in text.splitlines()[-lines:]]
