"""Tickets, connections and decisions, as the tunnel meets them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from hub.desktop.models import RedeemBody, Role
from hub.launch.hubclient import HubAnswer
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing.models import OwnerLeaves
from hub.sharing.schema import TicketRow
from tests.support.sharing import SESSION, STATION, TUNNEL, Site


async def refused(call: object) -> tuple[str, int]:
    """Code and status of a refusal."""
    with pytest.raises(RequestError) as found:
        await call  # type: ignore[misc]
    return found.value.problem.code, found.value.problem.status


TICKET = ("ticket_refused", 403)


async def redeem(site: Site, ticket: str, username: str) -> tuple[str, int] | None:
    try:
        await site.sharing.doors.redeem(RedeemBody(ticket=ticket, username=username))
    except RequestError as error:
        return error.problem.code, error.problem.status
    return None


async def test_a_ticket_works_once_for_its_person(site: Site) -> None:
    ticket = await site.ticket("olive")
    assert await redeem(site, ticket, "olive") is None
    assert await redeem(site, ticket, "olive") == TICKET


async def test_of_many_who_bring_a_ticket_at_once_one_gets_in(site: Site) -> None:
    ticket = await site.ticket("olive")
    found = await asyncio.gather(*(redeem(site, ticket, "olive") for _ in range(8)))
    assert sorted(found, key=bool) == [None, *[TICKET] * 7]


async def test_a_ticket_in_somebody_elses_hands_is_used_up(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    ticket = await site.ticket("olive")
    assert await redeem(site, ticket, "vera") == TICKET
    assert await redeem(site, ticket, "olive") == TICKET


async def test_a_ticket_that_is_too_old_unknown_or_of_another_role_opens_nothing(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    old = await site.ticket("olive")
    site.db.run_now(lambda s: s.execute(update(TicketRow).values(expires_at=utcnow())))
    assert await redeem(site, old, "olive") == TICKET
    assert await redeem(site, "A" * 22, "olive") == TICKET
    seen = await site.ticket("vera")
    await site.give("vera", Role.CONTROL)
    assert await redeem(site, seen, "vera") == TICKET, "it was made for a viewer"


async def test_a_ticket_ends_with_the_role(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    ticket = await site.ticket("vera")
    await site.sharing.members.take(site.people["olive"], SESSION, "vera")
    assert await redeem(site, ticket, "vera") == TICKET


async def test_no_ticket_is_kept_and_those_nobody_used_go(site: Site) -> None:
    ticket = await site.ticket("olive")
    [row] = site.db.run_now(lambda s: s.scalars(select(TicketRow)).all())
    assert ticket not in (row.token_hash, row.desktop)
    assert len(row.token_hash) == 64
    assert timedelta(0) < row.expires_at - utcnow() <= timedelta(seconds=15)
    site.db.run_now(lambda s: s.execute(update(TicketRow).values(expires_at=utcnow() - timedelta(seconds=1))))
    await site.ticket("olive")
    assert len(site.db.run_now(lambda s: s.scalars(select(TicketRow)).all())) == 1


async def test_there_is_no_ticket_for_what_is_not_ready_has_no_picture_or_is_not_theirs(site: Site) -> None:
    assert await refused(site.ticket("nora")) == ("desktop_not_found", 404)
    assert await refused(site.ticket("sam")) == ("desktop_not_found", 404)
    site.desktops.change(SESSION, target=None)
    assert await refused(site.ticket("olive")) == ("desktop_not_ready", 409)
    site.desktops.change(SESSION, has_picture=False)
    assert await refused(site.ticket("olive")) == ("no_picture", 409)


async def test_tickets_are_limited_by_person(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    found = await asyncio.gather(*(site.ticket("olive") for _ in range(31)), return_exceptions=True)
    [error] = [one for one in found if isinstance(one, RequestError)]
    assert (error.problem.code, error.problem.status) == ("too_often", 429)


async def test_more_people_than_the_site_wants_do_not_come_in_but_the_owner_does(tmp_path: Path) -> None:
    site = Site(tmp_path, most_people=2, when_owner_leaves="stay")
    try:
        for name in ("vera", "carl", "nora"):
            await site.give(name, Role.VIEWER)
        await site.join("vera")
        await site.join("carl")
        assert await refused(site.ticket("nora")) == ("desktop_full", 429)
        await site.join("vera")
        await site.join("olive")
    finally:
        await site.aclose()


async def test_the_owner_has_control_and_viewers_never(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    admission = await site.join("olive")
    assert (admission.decision.role, admission.decision.has_control) == (Role.OWNER, True)
    assert admission.target.model_dump()["url"] == "http://node:40001/user/olive/work/"
    admission = await site.join("vera")
    decision = admission.decision
    assert (decision.role, decision.has_control) == (Role.VIEWER, False)
    assert (decision.may_copy, decision.may_transfer) == (False, False)


async def test_a_role_that_was_taken_back_closes_the_window_at_the_next_report(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.join("olive")
    await site.join("carl")
    await site.hand("olive", "carl")
    position = site.sharing.bell.position
    waiting = asyncio.create_task(site.sharing.bell.wait(position, 20))
    await asyncio.sleep(0)
    await site.sharing.members.take(site.people["olive"], SESSION, "carl")
    assert await asyncio.wait_for(waiting, 5) != position, "the tunnel is told at once"
    decisions = await site.report()
    assert (decisions["carl"].may_stay, decisions["carl"].status) == (False, 0x0303)
    assert await site.holder() == "olive"
    assert decisions["olive"].has_control


async def test_a_session_that_is_over_closes_all_windows(site: Site) -> None:
    await site.join("olive")
    del site.desktops.all[SESSION]
    decision = (await site.report())["olive"]
    assert (decision.may_stay, decision.status) == (False, 0x020B)


async def test_a_connection_that_nobody_admitted_is_closed(site: Site) -> None:
    site.connections["b" * 16] = "olive"
    assert not (await site.report())["olive"].may_stay


async def test_what_a_tunnel_no_longer_reports_has_ended_and_is_on_record(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    await site.join("olive")
    await site.join("vera")
    await site.report()
    await site.leave("vera")
    state = await site.sharing.views.state(site.people["olive"], SESSION)
    assert {one.username: one.is_here for one in state.people} == {"olive": True, "vera": False}
    assert site.audit()[-1][:2] == ("vera", "leave")


async def test_a_report_that_was_on_its_way_when_somebody_joined_ends_nothing(site: Site) -> None:
    await site.report()
    admission = await site.join("olive")
    del site.connections[admission.connection]
    await site.report()
    site.connections[admission.connection] = "olive"
    assert (await site.report())["olive"].may_stay


async def test_another_tunnel_ends_nothing_of_the_first(site: Site) -> None:
    admission = await site.join("olive")
    await site.report()
    site.connections.clear()
    await site.report("b" * 16)
    site.connections[admission.connection] = "olive"
    assert (await site.report(TUNNEL))["olive"].may_stay


async def test_who_no_tunnel_reports_is_shown_as_gone_and_is_back_with_the_next_report(site: Site) -> None:
    await site.join("olive")
    site.silence(timedelta(seconds=61))

    async def is_here() -> bool:
        state = await site.sharing.views.state(site.people["olive"], SESSION)
        return state.people[0].is_here

    assert not await is_here()
    assert (await site.report())["olive"].may_stay
    assert await is_here()
    site.silence(timedelta(minutes=5))
    await site.sharing.keeper.tidy()
    assert not (await site.report())["olive"].may_stay, "longer than any tunnel keeps one by itself"


# --- control and the owner's leaving ----------------------------------------------------------------


async def test_control_goes_from_one_to_another_and_back(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.join("olive")
    await site.join("carl")
    assert await refused(site.hand("carl", "carl")) == ("control_taken", 409)
    await site.hand("olive", "carl")
    decisions = await site.report()
    assert [name for name, one in decisions.items() if one.has_control] == ["carl"]
    await site.hand("olive", "olive")
    assert await site.holder() == "olive"
    await site.hand("olive", None)
    assert await site.holder() is None
    await site.hand("carl", "carl")
    assert await site.holder() == "carl"


async def test_of_two_who_take_free_control_at_once_one_has_it(site: Site) -> None:
    for name in ("carl", "nora"):
        await site.give(name, Role.CONTROL)
        await site.join(name)
    await site.join("olive")
    await site.hand("olive", None)
    found = await asyncio.gather(site.hand("carl", "carl"), site.hand("nora", "nora"), return_exceptions=True)
    assert [type(one) for one in found].count(RequestError) == 1
    assert [one.has_control for one in (await site.report()).values()].count(True) == 1


async def test_who_may_have_control_asks_for_it_and_gets_it_by_the_owners_or_the_holders_word(
    site: Site,
) -> None:
    from hub.sharing.models import AnswerBody

    for name in ("carl", "nora"):
        await site.give(name, Role.CONTROL)
        await site.join(name)
    await site.join("olive")
    await site.sharing.asking.ask(site.people["carl"], SESSION, Role.CONTROL)
    [asked] = (await site.sharing.views.state(site.people["olive"], SESSION)).requests
    await site.sharing.members.answer(site.people["olive"], SESSION, asked.id, AnswerBody(answer="control"))
    assert await site.holder() == "carl"
    await site.sharing.asking.ask(site.people["nora"], SESSION, Role.CONTROL)
    [asked] = (await site.sharing.views.state(site.people["carl"], SESSION)).requests
    await site.sharing.members.answer(site.people["carl"], SESSION, asked.id, AnswerBody(answer="control"))
    assert await site.holder() == "nora"
    assert (await site.sharing.views.state(site.people["carl"], SESSION)).requests == ()


async def test_a_viewer_whose_request_is_granted_may_have_control_and_has_it(site: Site) -> None:
    from hub.sharing.models import AnswerBody

    await site.give("vera", Role.VIEWER)
    await site.join("olive")
    await site.join("vera")
    await site.sharing.asking.ask(site.people["vera"], SESSION, Role.CONTROL)
    [asked] = (await site.sharing.views.state(site.people["olive"], SESSION)).requests
    await site.sharing.members.answer(site.people["olive"], SESSION, asked.id, AnswerBody(answer="control"))
    decision = (await site.report())["vera"]
    assert (decision.role, decision.has_control) == (Role.CONTROL, True)
    await site.give("vera", Role.VIEWER)
    decisions = await site.report()
    assert not decisions["vera"].has_control, "a role that was lowered takes control away"
    assert decisions["olive"].has_control


@pytest.mark.parametrize(
    ("policy", "stays", "types"), [("lock", True, False), ("stay", True, True), ("disconnect", False, False)]
)
async def test_when_the_owner_leaves_the_policy_holds_after_a_grace(
    site: Site, policy: str, stays: bool, types: bool
) -> None:
    await site.give("carl", Role.CONTROL)
    await site.sharing.control.set_policy(site.people["olive"], SESSION, OwnerLeaves(policy))
    await site.join("olive")
    await site.join("carl")
    await site.hand("olive", "carl")
    await site.report()
    await site.leave("olive")
    decision = (await site.report())["carl"]
    assert (decision.may_stay, decision.has_control) == (True, types)
    site.later(timedelta(seconds=31))
    decision = (await site.report())["carl"]
    assert (decision.may_stay, decision.has_control) == (stays, types)
    assert stays or "owner" in decision.text
    if not stays:
        assert await refused(site.ticket("carl")) == ("may_not_join", 403)
        await site.join("olive")
        assert (await site.join("carl")).decision.may_stay


async def test_an_owner_who_is_back_in_time_finds_all_as_it_was(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.join("olive")
    await site.join("carl")
    await site.hand("olive", "carl")
    await site.report()
    await site.leave("olive")
    assert not (await site.report())["carl"].has_control
    await site.join("olive")
    assert (await site.report())["carl"].has_control


async def test_control_of_who_stays_away_goes_back_to_the_owner_for_good(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.join("olive")
    await site.join("carl")
    await site.hand("olive", "carl")
    await site.report()
    await site.leave("carl")
    await site.sharing.keeper.look()
    assert await site.holder() is None
    site.later(timedelta(seconds=31))
    position = site.sharing.bell.position
    await site.sharing.keeper.look()
    assert site.sharing.bell.position != position, "time alone is news"
    await site.join("carl")
    assert await site.holder() == "olive"
    assert ("*", "control", "olive") in site.audit()


async def test_a_look_at_what_did_not_change_tells_nobody(site: Site) -> None:
    await site.join("olive")
    await site.sharing.keeper.look()
    position = site.sharing.bell.position
    for _ in range(3):
        await site.sharing.keeper.look()
        await site.report()
    assert site.sharing.bell.position == position


# --- workstations -----------------------------------------------------------------------------------


async def test_at_a_workstation_the_team_has_control_while_it_is_free_and_staff_take_it(site: Site) -> None:
    site.desktops.team = {"carl", "nora"}
    for name in ("carl", "nora", "olive"):
        await site.join(name, STATION)
    assert await site.holder(STATION) is None
    await site.hand("carl", "carl", STATION)
    assert await refused(site.hand("nora", "nora", STATION)) == ("control_taken", 409)
    await site.hand("olive", "olive", STATION)
    assert await site.holder(STATION) == "olive"
    assert not (await site.report())["carl"].has_control


async def test_staff_end_it_for_all_others_at_once_and_they_stay_out_for_a_while(site: Site) -> None:
    site.desktops.team = {"carl"}
    site.desktops.staff = {"olive", "vera"}
    for name in ("carl", "olive", "vera"):
        await site.join(name, STATION)
    await site.hand("carl", "carl", STATION)
    assert await refused(site.sharing.control.end(site.people["carl"], STATION)) == ("only_the_owner", 403)
    await site.sharing.control.end(site.people["olive"], STATION)
    decisions = await site.report()
    assert {name: one.may_stay for name, one in decisions.items()} == {
        "carl": False,
        "olive": True,
        "vera": True,
    }
    assert decisions["olive"].has_control
    assert await refused(site.ticket("carl", STATION)) == ("may_not_join", 403)
    assert ("olive", "end", "") in site.audit(STATION)


async def test_the_team_is_out_when_its_time_is_over_and_a_silent_catalogue_puts_nobody_out(
    site: Site,
) -> None:
    site.desktops.team = {"carl"}
    await site.join("carl", STATION)
    site.desktops.is_silent = True
    assert (await site.report())["carl"].may_stay
    assert await refused(site.ticket("carl", STATION)) == ("catalogue_unavailable", 503)
    site.desktops.is_silent = False
    site.desktops.team = set()
    assert not (await site.report())["carl"].may_stay


async def test_a_workstation_has_no_owner_who_leaves_and_no_lab(site: Site) -> None:
    site.desktops.team = {"carl"}
    await site.join("carl", STATION)
    policy = site.sharing.control.set_policy(site.people["olive"], STATION, OwnerLeaves.LOCK)
    assert await refused(policy) == ("no_owner_to_leave", 409)
    state = await site.sharing.views.state(site.people["carl"], STATION)
    assert (state.owner, state.lab_url) == (None, None)


# --- JupyterLab -------------------------------------------------------------------------------------


async def test_who_may_have_control_gets_the_sessions_lab_and_loses_it_with_the_role(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    await site.give("carl", Role.CONTROL)
    await site.sharing._labs.work()
    assert site.hub.shared == {("olive", "work", "carl")}
    labs = [
        (await site.sharing.views.state(site.people[n], SESSION)).lab_url for n in ("vera", "carl", "olive")
    ]
    assert labs == [None, "/user/olive/work/lab", "/user/olive/work/lab"]
    await site.give("carl", Role.VIEWER)
    await site.sharing._labs.work()
    assert site.hub.shared == set()


async def test_a_hub_that_does_not_answer_is_asked_again(site: Site) -> None:
    site.hub.answer = HubAnswer.UNKNOWN
    await site.give("carl", Role.CONTROL)
    await site.sharing._labs.work()
    assert site.hub.shared == set()
    site.hub.answer = HubAnswer.DONE
    await site.sharing._labs.work()
    assert site.hub.shared == {("olive", "work", "carl")}
    calls = site.hub.calls
    await site.sharing._labs.work()
    assert site.hub.calls == calls, "and not once more"


async def test_the_lab_is_not_shared_where_the_site_does_not_want_it(tmp_path: Path) -> None:
    site = Site(tmp_path, lab=False)
    try:
        await site.give("carl", Role.CONTROL)
        await site.sharing._labs.work()
        assert site.hub.calls == 0
        assert (await site.sharing.views.state(site.people["carl"], SESSION)).lab_url is None
    finally:
        await site.aclose()


async def test_the_lab_of_a_session_that_is_over_is_shared_with_nobody(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.sharing._labs.work()
    await site.sharing.keeper.look()  # no launch of this id lives
    await site.sharing._labs.work()
    assert site.hub.shared == set()


# --- thumbnails -------------------------------------------------------------------------------------

JPEG = b"\xff\xd8\xff\xe0" + b"picture" + b"\xff\xd9"


async def test_a_thumbnail_is_sent_by_who_may_have_control_and_seen_by_people_of_the_desktop(
    site: Site,
) -> None:
    await site.give("vera", Role.VIEWER)
    await site.join("olive")
    await site.join("vera")
    put, get = site.sharing.thumbnails.put, site.sharing.thumbnails.get
    assert await refused(get(site.people["olive"], SESSION)) == ("no_thumbnail", 404)
    assert await refused(put(site.people["vera"], SESSION, JPEG)) == ("role_too_low", 403)
    assert await refused(put(site.people["nora"], SESSION, JPEG)) == ("desktop_not_found", 404)
    await put(site.people["olive"], SESSION, JPEG)
    assert await get(site.people["vera"], SESSION) == JPEG
    assert await refused(get(site.people["nora"], SESSION)) == ("desktop_not_found", 404)
    assert await refused(get(site.people["sam"], SESSION)) == ("desktop_not_found", 404)


async def test_no_thumbnail_is_kept_of_a_workstation(site: Site) -> None:
    """The next team would see the last one's."""
    await site.join("olive", STATION)
    put = site.sharing.thumbnails.put(site.people["olive"], STATION, JPEG)
    assert await refused(put) == ("no_thumbnail", 404)
    assert await refused(site.sharing.thumbnails.get(site.people["olive"], STATION)) == ("no_thumbnail", 404)


@pytest.mark.parametrize(
    "picture", [b"", b"<svg/>", JPEG[:-1], JPEG[1:], b"\xff\xd8\xff" + bytes(64 * 1024) + b"\xff\xd9"]
)
async def test_what_is_no_small_jpeg_is_no_thumbnail(site: Site, picture: bytes) -> None:
    await site.join("olive")
    put = site.sharing.thumbnails.put(site.people["olive"], SESSION, picture)
    assert await refused(put) == ("not_a_thumbnail", 400)


async def test_the_picture_of_a_session_that_is_over_is_dropped(site: Site) -> None:
    await site.join("olive")
    await site.sharing.thumbnails.put(site.people["olive"], SESSION, JPEG)
    await site.sharing.keeper.tidy()  # no launch of this id lives
    assert await refused(site.sharing.thumbnails.get(site.people["olive"], SESSION)) == ("no_thumbnail", 404)
