"""Audit log of the gateway: one JSON line for each decision, never a token.

A line is written before the answer is sent; where it cannot be written there is no token.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


class AuditUnavailableError(Exception):
    """The line could not be written."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as the kernel says (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was asked and what came of it. ``code`` is empty for a token, ``expires_at`` for none."""

    peer: Peer
    user: str | None
    code: str = ""
    expires_at: datetime | None = None


class Audit:
    """Writes decisions to a file, or to standard error, which systemd keeps in the journal."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._one_at_a_time = asyncio.Lock()

    async def write(self, decision: Decision) -> None:
        """Add a line.

        Raises
        ------
        AuditUnavailableError
            If that fails.
        """
        line = to_line(decision, datetime.now(UTC))
        async with self._one_at_a_time:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError as error:
                raise AuditUnavailableError(str(error)) from error

    def _append(self, line: str) -> None:
        if self._path is None:
            sys.stderr.write(line)
            sys.stderr.flush()
            return
        # Opened for each line, so that the file may be rotated at any moment.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._path, flags, 0o600), "a", encoding="ascii") as file:
            file.write(line)


def to_line(decision: Decision, now: datetime) -> str:
    """The line for a decision, in ASCII: what came over the socket cannot break or forge a line."""
    expiry = decision.expires_at
    content = {
        "time": now.isoformat(timespec="milliseconds"),
        "peer": asdict(decision.peer),
        "user": decision.user,
        "decision": "refused" if decision.code else "minted",
        "code": decision.code or None,
        "expires_at": expiry.isoformat() if expiry else None,
    }
    return json.dumps(content) + "\n"
