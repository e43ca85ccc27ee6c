"""The access table, row by row: who, which investigation, and what comes out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from hub.access.decision import decide
from hub.access.policy import (
    AccessPolicy,
    BreakGlassRow,
    ExplicitGrantRow,
    IdentityRow,
    InstrumentScientistRow,
    OtherwiseRow,
    ProprietaryRow,
    ReadOnlyRights,
    ReleasedRow,
    Rights,
    TeamRow,
)
from hub.access.rights import Decision, Right, Subject, Visibility
from hub.catalogue.models import Investigation, Role
from tests.support.access import INSTRUMENT, NOW, TODAY, break_glass, grant, investigation, member, subject

EMBARGOED = investigation()
PROPRIETARY = investigation(is_proprietary=True, release_date=None)
RELEASED = investigation(release_date=TODAY - timedelta(days=1), doi="10.5072/x")

NOBODY = subject()
SCIENTIST = subject(scientist_of=frozenset({INSTRUMENT}))
STEWARD = subject(is_steward=True, break_glass=break_glass())
UNBOUND = subject(user_id=None)
BLOCKED = subject(is_blocked=True)


def team(role: Role, base: Investigation = EMBARGOED) -> Investigation:
    return replace(base, team=(*base.team, member(role)))


def with_grant(base: Investigation = EMBARGOED, *, writes: bool = False, days: int = 1) -> Investigation:
    return replace(base, grants=(grant(expires=TODAY + timedelta(days=days), writes=writes),))


def areas(decision: Decision) -> str:
    return " ".join((decision.metadata, decision.raw, decision.processed, decision.scripts))


DENIED = "hidden none none none"
PUBLIC_FIELDS = "public none none none"
READS = "r r r r"
WRITES = "r r rw rw"
OPEN = "r r none none"

TABLE = [
    # who, what, row, metadata raw processed scripts
    (BLOCKED, team(Role.PI), 1, DENIED),
    (BLOCKED, RELEASED, 1, DENIED),
    (replace(STEWARD, is_blocked=True), EMBARGOED, 1, DENIED),
    (UNBOUND, RELEASED, 1, DENIED),
    (UNBOUND, EMBARGOED, 1, DENIED),
    (NOBODY, PROPRIETARY, 2, DENIED),
    (SCIENTIST, PROPRIETARY, 2, DENIED),
    (STEWARD, PROPRIETARY, 2, DENIED),
    (NOBODY, replace(RELEASED, is_proprietary=True), 2, DENIED),
    (NOBODY, with_grant(PROPRIETARY, days=-1), 2, DENIED),
    (NOBODY, team(Role.PI), 3, WRITES),
    (NOBODY, team(Role.CO_PROPOSER), 3, WRITES),
    (NOBODY, team(Role.PARTICIPANT), 3, WRITES),
    (NOBODY, team(Role.LOCAL_CONTACT), 3, WRITES),
    (NOBODY, team(Role.PI, PROPRIETARY), 3, WRITES),
    (SCIENTIST, team(Role.LOCAL_CONTACT, PROPRIETARY), 3, WRITES),
    (NOBODY, team(Role.COLLABORATOR), 4, READS),
    (NOBODY, team(Role.UNKNOWN), 4, READS),
    (NOBODY, team(Role.UNKNOWN, PROPRIETARY), 4, READS),
    (SCIENTIST, EMBARGOED, 5, READS),
    (SCIENTIST, RELEASED, 5, READS),
    (subject(scientist_of=frozenset({"bm05"})), EMBARGOED, 9, PUBLIC_FIELDS),
    (NOBODY, with_grant(), 6, READS),
    (NOBODY, with_grant(days=0), 6, READS),
    (NOBODY, with_grant(days=-1), 9, PUBLIC_FIELDS),
    (NOBODY, with_grant(writes=True), 6, "r r rw r"),
    (NOBODY, with_grant(PROPRIETARY), 6, READS),
    (STEWARD, EMBARGOED, 7, READS),
    (replace(STEWARD, is_steward=False), EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, break_glass=None), EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, break_glass=break_glass(hours=9)), EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, break_glass=break_glass(reason=" ")), EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, break_glass=break_glass(ago=timedelta(hours=8))), EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, break_glass=break_glass(ago=timedelta(hours=-1))), EMBARGOED, 9, PUBLIC_FIELDS),
    (NOBODY, RELEASED, 8, OPEN),
    (NOBODY, replace(RELEASED, doi=None, is_published=True), 8, OPEN),
    (NOBODY, replace(RELEASED, doi=None), 9, PUBLIC_FIELDS),
    (NOBODY, replace(RELEASED, release_date=TODAY), 9, PUBLIC_FIELDS),
    (NOBODY, replace(RELEASED, release_date=None), 9, PUBLIC_FIELDS),
    (NOBODY, EMBARGOED, 9, PUBLIC_FIELDS),
    (replace(STEWARD, scientist_of=SCIENTIST.scientist_of), team(Role.PI, with_grant(RELEASED)), 3, WRITES),
]


@pytest.mark.parametrize(("who", "what", "row", "expected"), TABLE)
def test_table(who: Subject, what: Investigation, row: int, expected: str) -> None:
    decision = decide(who, what, now=NOW, policy=AccessPolicy())
    assert (decision.row, areas(decision)) == (row, expected)
    assert bool(decision.denial) != bool(decision.grants)


UNBOUND_READS = AccessPolicy(identity=IdentityRow(unbound_reads_released=True))
CLOSED_TEAM = AccessPolicy(team=TeamRow(roles=frozenset({Role.PI})))
WIDE_SCIENTIST = AccessPolicy(
    instrument_scientist=InstrumentScientistRow(rights=Rights(processed=Right.WRITE))
)
NO_SCIENTIST = AccessPolicy(instrument_scientist=InstrumentScientistRow(is_on=False))
NO_GRANTS = AccessPolicy(explicit_grant=ExplicitGrantRow(is_on=False))
NO_GLASS = AccessPolicy(break_glass=BreakGlassRow(is_on=False))
SHORT_GLASS = AccessPolicy(break_glass=BreakGlassRow(max_hours=2))
DATE_OPENS = AccessPolicy(released=ReleasedRow(needs_doi_or_published=False))
OPEN_PROCESSED = AccessPolicy(released=ReleasedRow(rights=ReadOnlyRights(scripts=Right.NONE)))
NOTHING_OPEN = AccessPolicy(released=ReleasedRow(is_on=False))
SECRET = AccessPolicy(otherwise=OtherwiseRow(metadata=Visibility.HIDDEN))
GLASS_EVERYWHERE = AccessPolicy(proprietary=ProprietaryRow(open_to_break_glass=True))


@pytest.mark.parametrize(
    ("policy", "who", "what", "row", "expected"),
    [
        (UNBOUND_READS, UNBOUND, RELEASED, 8, OPEN),
        (UNBOUND_READS, UNBOUND, EMBARGOED, 9, PUBLIC_FIELDS),
        (UNBOUND_READS, replace(STEWARD, user_id=None), EMBARGOED, 9, PUBLIC_FIELDS),
        (UNBOUND_READS, UNBOUND, PROPRIETARY, 2, DENIED),
        (GLASS_EVERYWHERE, STEWARD, PROPRIETARY, 7, READS),
        (GLASS_EVERYWHERE, NOBODY, PROPRIETARY, 2, DENIED),
        (CLOSED_TEAM, NOBODY, team(Role.PARTICIPANT), 4, READS),
        (WIDE_SCIENTIST, SCIENTIST, EMBARGOED, 5, "r r rw r"),
        (NO_SCIENTIST, SCIENTIST, EMBARGOED, 9, PUBLIC_FIELDS),
        (NO_GRANTS, NOBODY, with_grant(), 9, PUBLIC_FIELDS),
        (NO_GRANTS, NOBODY, with_grant(PROPRIETARY), 2, DENIED),
        (NO_GLASS, STEWARD, EMBARGOED, 9, PUBLIC_FIELDS),
        (SHORT_GLASS, STEWARD, EMBARGOED, 9, PUBLIC_FIELDS),
        (DATE_OPENS, NOBODY, replace(RELEASED, doi=None), 8, OPEN),
        (DATE_OPENS, NOBODY, replace(RELEASED, release_date=None), 9, PUBLIC_FIELDS),
        (OPEN_PROCESSED, NOBODY, RELEASED, 8, "r r r none"),
        (NOTHING_OPEN, NOBODY, RELEASED, 9, PUBLIC_FIELDS),
        (SECRET, NOBODY, EMBARGOED, 9, DENIED),
    ],
)
def test_each_row_can_be_set_by_the_site(
    policy: AccessPolicy, who: Subject, what: Investigation, row: int, expected: str
) -> None:
    decision = decide(who, what, now=NOW, policy=policy)
    assert (decision.row, areas(decision)) == (row, expected)


@pytest.mark.parametrize(
    ("who", "what", "reason"),
    [
        (NOBODY, team(Role.PARTICIPANT), "you are on the team (participant)"),
        (SCIENTIST, EMBARGOED, "you are a scientist of the instrument id22"),
        (NOBODY, with_grant(), "given to you by Olu Adeyemi until 22 Nov 2026 (reviewer)"),
        (STEWARD, EMBARGOED, "emergency access until 19:00 UTC (ticket 17)"),
        (NOBODY, RELEASED, "released on 20 Nov 2026, DOI 10.5072/x"),
        (NOBODY, replace(RELEASED, doi=None, is_published=True), "released on 20 Nov 2026"),
    ],
)
def test_reasons_are_plain_words(who: Subject, what: Investigation, reason: str) -> None:
    assert decide(who, what, now=NOW, policy=AccessPolicy()).grants[0].reason == reason


def test_the_end_of_the_embargo_is_told_only_where_the_metadata_is_public() -> None:
    public = decide(NOBODY, EMBARGOED, now=NOW, policy=AccessPolicy())
    assert public.embargoed_until == date(2029, 10, 31)
    assert "31 Oct 2029" in public.denial
    assert decide(NOBODY, EMBARGOED, now=NOW, policy=SECRET).embargoed_until is None
    assert decide(NOBODY, PROPRIETARY, now=NOW, policy=AccessPolicy()).embargoed_until is None
