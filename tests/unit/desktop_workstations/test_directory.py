"""Workstations in sharing: found, gated by the catalogue, with priority for the staff, all in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.desktop.models import Role
from hub.desktop.settings import DesktopSettings, WorkstationSettings
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing.schema import MemberRow
from hub.sharing.workstations import Workstations
from tests.support.beamtimes import HOUR, Beamtimes, person, visit
from tests.support.sharing import Site

_STATION = "ws-id22-control"


def _settings(**more: object) -> dict[str, WorkstationSettings]:
    machine = {"title": "Control", "instrument": "id22", "protocol": "vnc", "host": "ctl", "port": 5900}
    return DesktopSettings.model_validate(
        {
            "secret_file": "/s",
            "service_token_file": "/t",
            "key_file": "/k",
            "workstations": {"id22-control": {**machine, **more}, "id11": {**machine, "instrument": "id11"}},
        }
    ).workstations


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue() -> Beamtimes:
    """Vera's and carl's beamtime is now; olive is the scientist."""
    now = utcnow()
    visits = [visit("ma1", "vera", "carl", start=now - HOUR), visit("hc2", "nora", start=now + 100 * HOUR)]
    return Beamtimes(visits, {"id22": {"olive"}})


@pytest.fixture
def stations(catalogue: Beamtimes, clock: Clock) -> Workstations:
    return Workstations(_settings(call_url="https://call.example/id22", screens=2), catalogue, clock=clock)  # type: ignore[arg-type]


@pytest.fixture
async def site(tmp_path: Path, stations: Workstations) -> AsyncIterator[Site]:
    site = await asyncio.to_thread(Site, tmp_path)
    await site.sharing.aclose()
    site.desktops = stations  # type: ignore[assignment]
    site.sharing = site.life({})
    yield site
    await site.aclose()


async def test_found_by_its_whole_id(stations: Workstations) -> None:
    found = await stations.find(_STATION)
    assert found is not None
    assert (found.kind, found.owner, found.title) == ("workstation", None, "Control")
    assert found.call_url == "https://call.example/id22"
    assert found.screens == 2
    for other in ("id22-control", "ws-", "ws-ws-id22-control", "ws-id22", "WS-id22-control", "0" * 16):
        assert await stations.find(other) is None


@pytest.mark.parametrize(
    ("user_id", "role"), [("olive", Role.OWNER), ("vera", Role.VIEWER), ("nora", None), (None, None)]
)
async def test_roles_come_from_the_catalogue(
    stations: Workstations, user_id: str | None, role: Role | None
) -> None:
    desktop = await stations.find(_STATION)
    assert desktop is not None
    assert await stations.role_of(person(user_id), desktop, utcnow()) is role


async def test_a_silent_catalogue_lets_nobody_in(
    stations: Workstations, catalogue: Beamtimes, clock: Clock
) -> None:
    """Answers are kept for some seconds, not longer: then there is a sentence, for staff too."""
    desktop = await stations.find(_STATION)
    assert desktop is not None
    olive = person("olive")
    assert await stations.role_of(olive, desktop, utcnow()) is Role.OWNER
    catalogue.is_silent = True
    assert await stations.role_of(olive, desktop, utcnow()) is Role.OWNER
    clock.now = 10.0
    for user_id in ("olive", "vera"):
        with pytest.raises(RequestError) as refused:
            await stations.role_of(person(user_id), desktop, utcnow())
        assert refused.value.problem.code == "catalogue_unavailable"
        assert "nobody is let in" in refused.value.problem.detail
    assert await stations.find(_STATION) is not None, "who is there is still decided on"


async def test_the_catalogue_is_not_asked_for_every_look(
    stations: Workstations, catalogue: Beamtimes
) -> None:
    desktop = await stations.find(_STATION)
    assert desktop is not None
    for _ in range(5):
        await stations.role_of(person("vera"), desktop, utcnow())
    assert catalogue.asked == 2


@pytest.mark.parametrize(
    ("user_id", "proposal"), [("vera", ""), ("olive", ""), ("nora", "ma1"), (None, "ma1")]
)
async def test_guests_see_the_data_of_who_measures(
    stations: Workstations, user_id: str | None, proposal: str
) -> None:
    desktop = await stations.find(_STATION)
    assert desktop is not None
    assert await stations.unreadable(person(user_id), desktop) == proposal


async def test_without_a_beamtime_there_is_no_data_to_see(
    stations: Workstations, catalogue: Beamtimes
) -> None:
    catalogue.visits.clear()
    desktop = await stations.find(_STATION)
    assert desktop is not None
    assert await stations.unreadable(person("nora"), desktop) == ""


async def test_listed_are_those_that_are_open_or_will_be(stations: Workstations) -> None:
    now = utcnow()
    assert [one.desktop for one in await stations.listed(person("vera"), now)] == [_STATION]
    assert [one.desktop for one in await stations.listed(person("olive"), now)] == [_STATION]
    (waiting,) = await stations.listed(person("nora"), now)
    assert waiting.standing.role is None
    assert waiting.standing.opens_at is not None
    assert timedelta(hours=97) < waiting.standing.opens_at - now < timedelta(hours=99)
    assert await stations.listed(person("nora"), now - timedelta(days=20)) == ()
    assert await stations.listed(person("somebody"), now) == ()


async def test_nobody_finds_it_who_is_nobody_there(site: Site) -> None:
    for username in ("nora", "sam"):
        with pytest.raises(RequestError) as refused:
            await site.ticket(username, _STATION)
        assert refused.value.problem.code == "desktop_not_found"


async def test_the_team_sees_and_gets_control_only_from_the_staff(site: Site) -> None:
    assert (await site.join("vera", _STATION)).decision.role is Role.VIEWER
    with pytest.raises(RequestError) as refused:
        await site.hand("vera", "vera", _STATION)
    assert refused.value.problem.code == "control_not_yours"
    await site.join("olive", _STATION)
    await site.give("vera", Role.CONTROL, _STATION)
    await site.hand("olive", "vera", _STATION)
    assert await site.holder(_STATION) == "vera"


async def test_the_staff_have_priority(site: Site) -> None:
    """They take control from whoever has it, and end it for all others at once."""
    await site.join("olive", _STATION)
    await site.give("vera", Role.CONTROL, _STATION)
    await site.join("vera", _STATION)
    await site.join("carl", _STATION)
    await site.hand("olive", "vera", _STATION)
    await site.hand("olive", "olive", _STATION)
    assert await site.holder(_STATION) == "olive"
    await site.sharing.control.end(site.people["olive"], _STATION)
    decisions = await site.report()
    assert {name: one.may_stay for name, one in decisions.items()} == {
        "olive": True, "vera": False, "carl": False
    }  # fmt: skip
    with pytest.raises(RequestError):
        await site.ticket("carl", _STATION)


async def test_roles_that_are_given_end_with_the_next_beamtime(site: Site, catalogue: Beamtimes) -> None:
    """Vera's beamtime goes over into another team's: the role that she was given does not."""
    now = utcnow()
    catalogue.visits = [
        visit("ma1", "vera", start=now - HOUR, hours=1.5),
        visit("hc2", "carl", start=now + 0.5 * HOUR),
    ]
    await site.give("vera", Role.CONTROL, _STATION)
    await site.give("nora", Role.VIEWER, _STATION, confirm=True)
    members = site.db.run_now(lambda s: s.scalars(select(MemberRow)).all())
    assert {one.username: one.until for one in members} == dict.fromkeys(("vera", "nora"), now + 0.5 * HOUR)


async def test_roles_end_after_half_a_day_in_any_case(site: Site, catalogue: Beamtimes) -> None:
    await site.give("vera", Role.CONTROL, _STATION)
    (member,) = site.db.run_now(lambda s: s.scalars(select(MemberRow)).all())
    assert timedelta(hours=11) < member.until - utcnow() < timedelta(hours=13)


async def test_the_team_may_not_end_it(site: Site) -> None:
    with pytest.raises(RequestError) as refused:
        await site.sharing.control.end(site.people["vera"], _STATION)
    assert refused.value.problem.code != "desktop_not_found"


async def test_operators_may_end_it_and_see_nothing(site: Site, catalogue: Beamtimes, clock: Clock) -> None:
    """Also while the catalogue is silent."""
    await site.join("olive", _STATION)
    await site.join("vera", _STATION)
    catalogue.is_silent = True
    clock.now += 10
    await site.sharing.control.end(site.people["sam"], _STATION)
    decisions = await site.report()
    assert decisions["olive"].may_stay
    assert not decisions["vera"].may_stay
    assert ("sam", "end", "") in site.audit(_STATION)
    with pytest.raises(RequestError) as refused:
        await site.sharing.views.state(site.people["sam"], _STATION)
    assert refused.value.problem.code in {"desktop_not_found", "catalogue_unavailable"}
    for unknown in ("ws-none", "0123456789abcde0"):
        with pytest.raises(RequestError) as refused:
            await site.sharing.control.end(site.people["sam"], unknown)
        assert refused.value.problem.code == "desktop_not_found"


async def test_who_is_there_leaves_when_the_beamtime_ends(
    site: Site, catalogue: Beamtimes, clock: Clock
) -> None:
    await site.join("vera", _STATION)
    assert (await site.report())["vera"].may_stay
    catalogue.visits[0] = visit("ma1", "vera", start=utcnow() - 100 * HOUR)
    clock.now += 10
    assert not (await site.report())["vera"].may_stay


async def test_who_is_there_stays_while_the_catalogue_is_silent(
    site: Site, catalogue: Beamtimes, clock: Clock
) -> None:
    await site.join("vera", _STATION)
    catalogue.is_silent = True
    clock.now += 10
    assert (await site.report())["vera"].may_stay
    with pytest.raises(RequestError) as refused:
        await site.join("carl", _STATION)
    assert refused.value.problem.code == "catalogue_unavailable"


async def test_every_join_and_leave_is_in_the_audit(site: Site) -> None:
    await site.join("olive", _STATION)
    await site.join("vera", _STATION)
    await site.report()
    await site.leave("vera")
    lines = [(actor, what) for actor, what, _ in site.audit(_STATION)]
    assert [one for one in lines if one[1] in {"join", "leave"}] == [
        ("olive", "join"), ("vera", "join"), ("vera", "leave")
    ]  # fmt: skip


async def test_a_blocked_person_is_put_out(site: Site) -> None:
    await site.join("vera", _STATION)
    site.block("vera")
    assert not (await site.report())["vera"].may_stay
