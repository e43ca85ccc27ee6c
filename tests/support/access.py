"""Builders for tests of the catalogue and of access."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from hub.access.rights import BreakGlass, Subject
from hub.catalogue.models import (
    ExplicitGrant,
    Investigation,
    InvestigationId,
    ProposalName,
    Role,
    TeamMember,
)
from hub.identity.models import Person

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
ME = "100101"
INSTRUMENT = "id22"


def member(role: Role, user_id: str = ME) -> TeamMember:
    return TeamMember(user_id, role)


def grant(*, expires: date = TODAY + timedelta(days=1), writes: bool = False) -> ExplicitGrant:
    return ExplicitGrant(ME, expires, writes, "Olu Adeyemi", "reviewer")


def investigation(**changes: Any) -> Investigation:
    """An embargoed, not proprietary investigation of somebody else."""
    base = Investigation(
        id=InvestigationId("ma5501-1"),
        proposal=ProposalName("ma5501"),
        title="Line positions",
        instrument=INSTRUMENT,
        start=NOW - timedelta(days=21),
        end=NOW - timedelta(days=18),
        root=PurePosixPath("ma5501/id22/20261031"),
        team=(member(Role.PI, "999999"),),
        release_date=date(2029, 10, 31),
        is_proprietary=False,
    )
    return replace(base, **changes)


def break_glass(
    *, hours: float = 8, ago: timedelta = timedelta(hours=1), reason: str = "ticket 17"
) -> BreakGlass:
    since = NOW - ago
    return BreakGlass(since, since + timedelta(hours=hours), reason)


def subject(**changes: Any) -> Subject:
    return replace(Subject(user_id=ME), **changes)


def person(user_id: str | None = ME, **changes: Any) -> Person:
    base = Person(1, "https://sso.example.eu", "s-1", "maja", "Maja Lindqvist", user_id=user_id)
    return replace(base, **changes)
