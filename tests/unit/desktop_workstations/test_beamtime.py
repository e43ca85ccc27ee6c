"""The gate of workstations: who is what, at which time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hub.catalogue.models import Instrument, Investigation
from hub.catalogue.models import Role as TeamRole
from hub.desktop.models import Role
from hub.identity.models import Person
from hub.sharing.beamtime import NOBODY, Standing, standing
from tests.support.beamtimes import HOUR, NOON, person, visit

_MARGIN = 2 * HOUR
_SECOND = timedelta(seconds=1)


def _standing(
    who: Person,
    now: datetime,
    *visits: Investigation,
    instrument: str = "id22",
    scientist_of: tuple[str, ...] = (),
    margin: timedelta = _MARGIN,
) -> Standing:
    instruments = [Instrument(one, one) for one in scientist_of]
    return standing(who, instrument, scientist_of=instruments, investigations=visits, margin=margin, now=now)


@pytest.mark.parametrize(
    ("now", "role"),
    [
        (NOON - _MARGIN - _SECOND, None),
        (NOON - _MARGIN, Role.VIEWER),
        (NOON - _SECOND, Role.VIEWER),
        (NOON, Role.VIEWER),
        (NOON + 24 * HOUR - _SECOND, Role.VIEWER),
        (NOON + 24 * HOUR, Role.VIEWER),
        (NOON + 26 * HOUR - _SECOND, Role.VIEWER),
        (NOON + 26 * HOUR, None),
    ],
)
def test_team_sees_in_its_beamtime_and_margin(now: datetime, role: Role | None) -> None:
    assert _standing(person("100"), now, visit("ma1", "100")).role is role


@pytest.mark.parametrize(
    ("now", "is_open"), [(NOON - _SECOND, False), (NOON, True), (NOON + 24 * HOUR, False)]
)
def test_no_margin_is_no_margin(now: datetime, is_open: bool) -> None:
    found = _standing(person("100"), now, visit("ma1", "100"), margin=timedelta())
    assert (found.role is Role.VIEWER) is is_open


@pytest.mark.parametrize(
    ("who", "scientist_of", "role"),
    [
        (person("100"), (), Role.VIEWER),
        (person("7"), ("id22",), Role.OWNER),
        (person("100"), ("id22",), Role.OWNER),
        (person("7"), ("id2", "id222", "ID22", "id22 ", "id11"), None),
        (person("100", is_blocked=True), (), None),
        (person("7", is_blocked=True), ("id22",), None),
        (person("10"), (), None),
        (person("1000"), (), None),
        (person("0100"), (), None),
        (person("u-100"), (), None),
        (person(None), (), None),
        (person(""), (), None),
        (person("7", is_operator=True), (), None),
        (replace(person("8"), username="100", subject="100", display_name="100"), (), None),
        (replace(person("8"), groups=frozenset({"instrument:id22", "staff:id22"})), (), None),
    ],
)
def test_who_is_what(who: Person, scientist_of: tuple[str, ...], role: Role | None) -> None:
    found = _standing(who, NOON + HOUR, visit("ma1", "100", ""), scientist_of=scientist_of)
    assert found.role is role


@pytest.mark.parametrize(
    ("team_role", "role"),
    [
        (TeamRole.PI, Role.VIEWER),
        (TeamRole.CO_PROPOSER, Role.VIEWER),
        (TeamRole.PARTICIPANT, Role.VIEWER),
        (TeamRole.LOCAL_CONTACT, Role.VIEWER),
        (TeamRole.COLLABORATOR, Role.VIEWER),
        (TeamRole.UNKNOWN, None),
    ],
)
def test_every_role_on_the_team_sees_but_an_unknown_one(team_role: TeamRole, role: Role | None) -> None:
    assert _standing(person("100"), NOON, visit("ma1", "100", role=team_role)).role is role


def test_beamtime_on_another_instrument_opens_nothing() -> None:
    """Also when a catalogue answers with too much."""
    for instrument in ("id2", "id222", "ID22", "id11"):
        assert _standing(person("100"), NOON, visit("ma1", "100", instrument=instrument)) == NOBODY


def test_staff_are_always_let_in() -> None:
    found = _standing(person("7"), NOON - 1000 * HOUR, visit("ma1", "100"), scientist_of=("id22",))
    assert found == Standing(Role.OWNER)


def test_the_margin_gives_way_to_the_beamtime_of_others() -> None:
    first, second = visit("ma1", "100"), visit("hc2", "200", start=NOON + 24 * HOUR)
    change = NOON + 24 * HOUR
    before, after = change - _SECOND, change
    assert _standing(person("100"), before, first, second) == Standing(
        Role.VIEWER, closes_at=change, proposal="ma1"
    )
    assert _standing(person("100"), after, first, second) == NOBODY
    assert _standing(person("200"), before, first, second) == Standing(opens_at=change, proposal="hc2")
    assert _standing(person("200"), after, first, second).role is Role.VIEWER


def test_between_beamtimes_both_margins_hold() -> None:
    first, second = visit("ma1", "100"), visit("hc2", "200", start=NOON + 27 * HOUR)
    now = NOON + 25 * HOUR + 30 * timedelta(minutes=1)
    assert _standing(person("100"), now, first, second).role is Role.VIEWER
    assert _standing(person("200"), now, first, second).role is Role.VIEWER


def test_a_team_of_two_visits_in_a_row_stays() -> None:
    visits = visit("ma1", "100"), visit("ma1", "100", start=NOON + 24 * HOUR)
    found = _standing(person("100"), NOON + 24 * HOUR, *visits)
    assert found == Standing(Role.VIEWER, closes_at=NOON + 50 * HOUR, proposal="ma1")


def test_shared_beamtime_is_open_to_both_teams() -> None:
    visits = visit("ma1", "100"), visit("hc2", "200")
    assert {_standing(person(one), NOON, *visits).role for one in ("100", "200")} == {Role.VIEWER}


@pytest.mark.parametrize(
    ("hours_before", "opens_at"),
    [(100, NOON - _MARGIN), (2.5, NOON - _MARGIN), (-100, None)],
)
def test_who_waits_is_told_from_when(hours_before: float, opens_at: datetime | None) -> None:
    found = _standing(person("100"), NOON - timedelta(hours=hours_before), visit("ma1", "100"))
    assert (found.role, found.opens_at) == (None, opens_at)


def test_the_next_of_several_is_told() -> None:
    visits = [visit("ma1", "100", start=NOON + days * 24 * HOUR) for days in (30, 10, 20)]
    assert _standing(person("100"), NOON, *visits).opens_at == NOON + 240 * HOUR - _MARGIN
