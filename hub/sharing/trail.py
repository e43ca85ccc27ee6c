"""The audit log: who did what at which desktop. Lines are added, never changed.

A line is written in the transaction of what it tells of, and goes to the logger ``panhub.audit`` once
that is committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch.news import utcnow
from hub.sharing.models import AuditLine
from hub.sharing.schema import AuditRow

T = TypeVar("T")

audit = logging.getLogger("panhub.audit")

_MOST = 1000
"""Lines in one answer, newest first."""


class What(StrEnum):
    """What happened."""

    JOIN = "join"
    LEAVE = "leave"
    INVITE = "invite"
    ACCEPT = "accept"
    REQUEST = "request"
    GRANT = "grant"
    REFUSE = "refuse"
    REVOKE = "revoke"
    CONTROL = "control"
    POLICY = "policy"
    END = "end"


RULES = "*"
"""Actor of what the rules do by themselves: nobody can have this name."""


class Trail:
    """Adds lines within one transaction."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._session = session
        self._now = now
        self.lines: list[str] = []

    def add(self, actor: str, desktop: str, what: What, about: str = "", detail: str = "") -> None:
        """Add a line: ``actor`` did ``what``, ``about`` a person."""
        row = AuditRow(
            at=self._now, actor=actor, desktop=desktop, what=what.value, about=about, detail=detail[:200]
        )
        self._session.add(row)
        self.lines.append(f"desktop={desktop} what={what} actor={actor} about={about or '-'} {detail!r}")


async def run(db: Database, unit: Callable[[Session, Trail], T]) -> T:
    """`Database.run` for a unit of work that leaves a trail."""

    def work(session: Session) -> tuple[T, list[str]]:
        trail = Trail(session, utcnow())
        return unit(session, trail), trail.lines

    result, lines = await db.run(work)
    for line in lines:
        audit.info("%s", line)
    return result


def lines_of(session: Session, desktop: str) -> tuple[AuditLine, ...]:
    """What happened at a desktop, newest first."""
    query = select(AuditRow).where(AuditRow.desktop == desktop).order_by(AuditRow.id.desc()).limit(_MOST)
    return tuple(
        AuditLine(at=row.at, actor=row.actor, what=row.what, about=row.about, detail=row.detail)
        for row in session.scalars(query)
    )
