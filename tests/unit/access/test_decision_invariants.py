"""What holds for every decision, whatever the person, the investigation and the site's policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.access.decision import decide
from hub.access.mounts import plan_mounts
from hub.access.policy import (
    AccessPolicy,
    BreakGlassRow,
    ExplicitGrantRow,
    IdentityRow,
    InstrumentScientistRow,
    OtherMembersRow,
    OtherwiseRow,
    ProprietaryRow,
    ReadOnlyRights,
    ReleasedRow,
    Rights,
    TeamRow,
)
from hub.access.rights import BreakGlass, Decision, Right, Subject, Visibility
from hub.catalogue.layout import ESRF_V3, ILL, AreaKind, Layout
from hub.catalogue.models import ExplicitGrant, Investigation, Role, TeamMember
from spawners.plan import MountMode
from tests.support.access import investigation

USERS = st.sampled_from(["1", "2", "3"])
INSTRUMENTS = st.sampled_from(["id22", "bm05"])
DAYS = st.dates(date(2020, 1, 1), date(2032, 1, 1))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive by contract
READ = st.sampled_from([Right.NONE, Right.READ])
RIGHTS = st.builds(
    Rights,
    metadata=st.sampled_from([Visibility.PUBLIC, Visibility.FULL]),
    raw=READ,
    processed=st.sampled_from(list(Right)),
    scripts=st.sampled_from(list(Right)),
)
READ_ONLY = st.builds(ReadOnlyRights, raw=READ, processed=READ, scripts=READ)
POLICIES = st.builds(
    AccessPolicy,
    identity=st.builds(IdentityRow, unbound_reads_released=st.booleans()),
    proprietary=st.builds(ProprietaryRow, open_to_break_glass=st.booleans()),
    team=st.builds(TeamRow, roles=st.frozensets(st.sampled_from(list(Role))), rights=RIGHTS),
    other_members=st.builds(OtherMembersRow, rights=READ_ONLY),
    instrument_scientist=st.builds(InstrumentScientistRow, is_on=st.booleans(), rights=RIGHTS),
    explicit_grant=st.builds(ExplicitGrantRow, is_on=st.booleans(), rights=RIGHTS, writable=RIGHTS),
    break_glass=st.builds(BreakGlassRow, is_on=st.booleans(), max_hours=st.integers(1, 8), rights=READ_ONLY),
    released=st.builds(
        ReleasedRow, is_on=st.booleans(), needs_doi_or_published=st.booleans(), rights=READ_ONLY
    ),
    otherwise=st.builds(OtherwiseRow, metadata=st.sampled_from([Visibility.HIDDEN, Visibility.PUBLIC])),
)
MEMBERS = st.builds(TeamMember, USERS, st.sampled_from(list(Role)))
GRANTS = st.builds(ExplicitGrant, USERS, DAYS, st.booleans(), st.just("PI"), st.just("reviewer"))
BREAK_GLASS = st.builds(
    lambda since, minutes, reason: BreakGlass(since, since + timedelta(minutes=minutes), reason),
    MOMENTS,
    st.integers(-60, 600),
    st.sampled_from(["", "ticket"]),
)
SUBJECTS = st.builds(
    Subject,
    user_id=st.none() | USERS,
    is_blocked=st.booleans(),
    is_steward=st.booleans(),
    scientist_of=st.frozensets(INSTRUMENTS),
    break_glass=st.none() | BREAK_GLASS,
)
INVESTIGATIONS = st.builds(
    lambda **changes: investigation(**changes),
    instrument=INSTRUMENTS,
    team=st.lists(MEMBERS, max_size=3).map(tuple),
    grants=st.lists(GRANTS, max_size=2).map(tuple),
    release_date=st.none() | DAYS,
    doi=st.none() | st.just("10.5072/x"),
    is_published=st.booleans(),
    is_proprietary=st.booleans(),
)
CASES = st.tuples(SUBJECTS, INVESTIGATIONS, MOMENTS, POLICIES)
Case = tuple[Subject, Investigation, datetime, AccessPolicy]


def decided(case: Case) -> Decision:
    who, what, now, policy = case
    return decide(who, what, now=now, policy=policy)


def rank(right: Right) -> int:
    return list(Right).index(right)


@given(CASES, st.sampled_from([ESRF_V3, ILL]))
def test_raw_is_never_writable_and_mounts_are_exactly_the_granted_areas(case: Case, layout: Layout) -> None:
    decision = decided(case)
    assert decision.raw is not Right.WRITE
    assert all(grant.raw is not Right.WRITE for grant in decision.grants)
    mounts = plan_mounts(decision, case[1], layout=layout, data_root=PurePosixPath("/d"))
    granted = {area.name: area.kind for area in layout.areas if decision.right(area.kind) is not Right.NONE}
    assert {mount.source.name: mount.target for mount in mounts} == {
        name: layout.shown_under / case[1].root / name for name in granted
    }
    for mount in mounts:
        kind = granted[mount.source.name]
        writes = kind is not AreaKind.RAW and decision.right(kind) is Right.WRITE
        assert mount.mode is (MountMode.READ_WRITE if writes else MountMode.READ_ONLY)
        assert mount.reason


@given(CASES)
def test_nothing_is_granted_without_a_reason(case: Case) -> None:
    decision = decided(case)
    assert all(grant.reason.strip() for grant in decision.grants)
    for kind in AreaKind:
        rights = [rank(grant.right(kind)) for grant in decision.grants]
        assert rank(decision.right(kind)) == max(rights, default=0)
    assert bool(decision.denial) != bool(decision.grants)


@given(CASES)
def test_an_outsider_never_learns_of_proprietary_data(case: Case) -> None:
    who, what, now, policy = case
    what = replace(what, is_proprietary=True)
    is_known = any(entry.user_id == who.user_id for entry in (*what.team, *what.grants))
    if is_known or policy.proprietary.open_to_break_glass:
        return
    decision = decide(who, what, now=now, policy=policy)
    assert decision == Decision(what.id, decision.row, Visibility.HIDDEN, denial=decision.denial)


@given(CASES)
def test_without_a_release_date_nothing_is_ever_public(case: Case) -> None:
    who, what, now, policy = case
    decision = decide(who, replace(what, release_date=None), now=now, policy=policy)
    assert not decision.is_open
    assert all(grant.row != 8 for grant in decision.grants)


@given(CASES, MEMBERS, GRANTS, INSTRUMENTS)
def test_a_further_role_or_grant_never_takes_anything_away(
    case: Case, member: TeamMember, grant: ExplicitGrant, instrument: str
) -> None:
    who, what, now, policy = case
    before = decided(case)
    more_people = replace(what, team=(*what.team, member), grants=(*what.grants, grant))
    more_instruments = replace(who, scientist_of=who.scientist_of | {instrument})
    for after in (
        decide(who, more_people, now=now, policy=policy),
        decide(more_instruments, what, now=now, policy=policy),
    ):
        assert all(rank(after.right(kind)) >= rank(before.right(kind)) for kind in AreaKind)
        seen = list(Visibility)
        assert seen.index(after.metadata) >= seen.index(before.metadata)


@given(CASES)
def test_blocked_people_get_nothing(case: Case) -> None:
    who, what, now, policy = case
    decision = decide(replace(who, is_blocked=True), what, now=now, policy=policy)
    assert (decision.row, decision.metadata, decision.grants) == (1, Visibility.HIDDEN, ())


@given(CASES)
def test_an_unknown_role_never_writes(case: Case) -> None:
    who, what, now, policy = case
    if Role.UNKNOWN in policy.team.roles:
        return
    what = replace(what, team=(TeamMember(who.user_id or "1", Role.UNKNOWN),), grants=())
    decision = decide(replace(who, scientist_of=frozenset()), what, now=now, policy=policy)
    assert Right.WRITE not in {decision.processed, decision.scripts}


ROWS_WITH_RIGHTS = [
    "team",
    "other_members",
    "instrument_scientist",
    "explicit_grant",
    "break_glass",
    "released",
]


@pytest.mark.parametrize("row", ROWS_WITH_RIGHTS)
def test_no_policy_can_make_raw_data_writable(row: str) -> None:
    with pytest.raises(ValidationError, match=f"{row}.rights.raw"):
        AccessPolicy.model_validate({row: {"rights": {"raw": "rw"}}})


@pytest.mark.parametrize("row", ["other_members", "break_glass", "released"])
def test_rows_that_only_read_cannot_be_set_to_write(row: str) -> None:
    with pytest.raises(ValidationError, match=f"{row}.rights.processed"):
        AccessPolicy.model_validate({row: {"rights": {"processed": "rw"}}})


def test_a_misspelt_key_of_the_policy_is_an_error() -> None:
    with pytest.raises(ValidationError, match=r"released.need_doi"):
        AccessPolicy.model_validate({"released": {"need_doi": False}})


def test_a_policy_is_read_from_plain_words() -> None:
    read = AccessPolicy.model_validate(
        {"released": {"rights": {"processed": "r"}}, "team": {"roles": ["pi"]}}
    )
    assert read.released.rights.processed is Right.READ
    assert read.team.roles == {Role.PI}
