"""Roles given, asked for, taken by a link and taken back; and what the data rule says to it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from hub.desktop.models import Role
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing.models import AnswerBody, DesktopState, InvitationBody
from hub.sharing.schema import AuditRow, InvitationRow, MemberRow
from tests.support.sharing import OTHER, SESSION, STATION, Site


async def refused(call: object) -> tuple[str, int]:
    """Code and status of a refusal."""
    with pytest.raises(RequestError) as found:
        await call  # type: ignore[misc]
    return found.value.problem.code, found.value.problem.status


async def state(site: Site, username: str, desktop: str = SESSION) -> DesktopState:
    return await site.sharing.views.state(site.people[username], desktop)


def token_of(url: str) -> str:
    assert url.startswith("https://hub.example/services/panhub/invitations#")
    return url.partition("#")[2]


async def link(site: Site, role: Role = Role.VIEWER, desktop: str = SESSION, by: str = "olive") -> str:
    body = InvitationBody(role=role)  # type: ignore[arg-type]
    return token_of((await site.sharing.asking.invite(site.people[by], desktop, body)).url)


@pytest.mark.parametrize("who", ["vera", "sam"])
async def test_without_the_owners_word_nobody_sees_a_session_operators_included(site: Site, who: str) -> None:
    unknown = await refused(site.sharing.views.state(site.people[who], "0" * 16))
    assert await refused(state(site, who)) == unknown == ("desktop_not_found", 404)


async def test_who_was_given_a_role_sees_it_and_who_lost_it_does_not(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    assert (await state(site, "vera")).me.role is Role.VIEWER
    await site.sharing.members.take(site.people["olive"], SESSION, "vera")
    assert await refused(state(site, "vera")) == ("desktop_not_found", 404)
    assert site.audit() == [("olive", "grant", "vera"), ("olive", "revoke", "vera")]


async def test_members_requests_and_links_are_told_to_the_owner_alone(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    await site.give("carl", Role.CONTROL)
    await link(site)
    await site.sharing.asking.ask(site.people["nora"], SESSION, Role.VIEWER)
    mine = await state(site, "olive")
    assert [one.username for one in mine.members] == ["vera", "carl"]
    assert [one.username for one in mine.requests] == ["nora"]
    assert len(mine.invitations) == 1
    for other in ("vera", "carl"):
        theirs = await state(site, other)
        assert (theirs.members, theirs.requests, theirs.invitations) == ((), (), ())
        assert [one.username for one in theirs.people] == ["olive"], "who is not here is not told"


async def test_everybody_may_give_up_their_own_role_and_take_nobody_elses(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    await site.give("carl", Role.CONTROL)
    take = site.sharing.members.take
    assert await refused(take(site.people["carl"], SESSION, "vera")) == ("only_the_owner", 403)
    await take(site.people["carl"], SESSION, "carl")
    assert await refused(state(site, "carl")) == ("desktop_not_found", 404)
    assert await refused(take(site.people["olive"], SESSION, "carl")) == ("member_unknown", 404)
    assert await refused(take(site.people["olive"], SESSION, "olive")) == ("member_unknown", 404)


@pytest.mark.parametrize(
    ("username", "code"),
    [("olive", "already_owner"), ("ghost", "person_unknown"), ("nora", "person_unknown")],
)
async def test_some_can_be_given_nothing(site: Site, username: str, code: str) -> None:
    site.block("nora")
    assert (await refused(site.give(username, Role.VIEWER)))[0] == code


async def test_a_blocked_person_has_no_role_whatever_they_were_given(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.join("olive")
    await site.join("carl")
    site.block("carl")
    decisions = await site.report()
    assert not decisions["carl"].may_stay
    assert decisions["olive"].may_stay
    assert "carl" not in [one.username for one in (await state(site, "olive")).people]


# --- the data rule ----------------------------------------------------------------------------------


async def test_showing_data_to_who_may_not_read_it_needs_a_second_word(site: Site) -> None:
    site.desktops.outsiders = {"vera"}
    assert await refused(site.give("vera", Role.VIEWER)) == ("confirm_needed", 409)
    assert (await state(site, "olive")).members == ()
    await site.give("vera", Role.VIEWER, confirm=True)
    [member] = (await state(site, "olive")).members
    assert member.warning == "ma1"


async def test_a_site_can_forbid_to_show_data_to_who_may_not_read_it(tmp_path: Path) -> None:
    site = Site(tmp_path, unreadable="forbid")
    try:
        token = await link(site)
        site.desktops.outsiders = {"vera"}
        forbidden = ("data_not_theirs", 403)
        assert await refused(site.give("vera", Role.VIEWER, confirm=True)) == forbidden
        assert await refused(site.sharing.asking.accept(site.people["vera"], token)) == forbidden
        await site.sharing.asking.ask(site.people["vera"], SESSION, Role.VIEWER)
        [asked] = (await state(site, "olive")).requests
        assert asked.warning == "ma1"
        body = AnswerBody(answer="viewer", confirm=True)
        answered = site.sharing.members.answer(site.people["olive"], SESSION, asked.id, body)
        assert await refused(answered) == forbidden
        assert (await state(site, "olive")).members == ()
    finally:
        await site.aclose()


async def test_where_it_is_forbidden_who_may_no_longer_read_the_data_is_put_out(tmp_path: Path) -> None:
    site = Site(tmp_path, unreadable="forbid")
    try:
        await site.give("vera", Role.VIEWER)
        await site.join("olive")
        await site.join("vera")
        site.desktops.outsiders = {"vera"}
        assert await refused(site.ticket("vera")) == ("data_not_theirs", 403), "not even before the next look"
        site.desktops.is_silent = True
        await site.sharing.keeper.recheck()
        assert (await site.report())["vera"].may_stay, "a catalogue that cannot answer ends nothing"
        site.desktops.is_silent = False
        await site.sharing.keeper.recheck()
        assert not (await site.report())["vera"].may_stay
        assert ("*", "revoke", "vera") in site.audit()
    finally:
        await site.aclose()


async def test_a_warning_follows_what_the_person_may_read(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    for outsiders, warning in (({"vera"}, "ma1"), (set[str](), "")):
        site.desktops.outsiders = outsiders
        await site.sharing.keeper.recheck()
        assert [one.warning for one in (await state(site, "olive")).members] == [warning]


async def test_nothing_is_given_while_nobody_can_say_what_the_person_may_read(site: Site) -> None:
    site.desktops.is_silent = True
    assert await refused(site.give("vera", Role.VIEWER, confirm=True)) == ("catalogue_unavailable", 503)


# --- requests ---------------------------------------------------------------------------------------


async def test_asking_says_the_same_of_what_is_there_and_what_is_not(site: Site) -> None:
    for desktop in (SESSION, "0" * 16, "ws-nothing"):
        await site.sharing.asking.ask(site.people["nora"], desktop, Role.VIEWER)
    site.desktops.is_silent = True
    await site.sharing.asking.ask(site.people["nora"], STATION, Role.VIEWER)
    assert site.audit() == [("nora", "request", "nora")]


async def test_asking_is_limited_also_for_what_is_not_there(site: Site) -> None:
    codes = set()
    for _ in range(7):
        try:
            await site.sharing.asking.ask(site.people["nora"], "0" * 16, Role.VIEWER)
        except RequestError as error:
            codes.add((error.problem.code, error.problem.status))
    assert codes == {("too_often", 429)}
    await site.sharing.asking.ask(site.people["vera"], SESSION, Role.VIEWER)


async def test_two_questions_of_one_person_are_one(site: Site) -> None:
    nora = site.people["nora"]
    await asyncio.gather(*(site.sharing.asking.ask(nora, SESSION, Role.VIEWER) for _ in range(4)))
    await site.sharing.asking.ask(nora, SESSION, Role.CONTROL)
    [asked] = (await state(site, "olive")).requests
    assert (asked.username, asked.role) == ("nora", Role.CONTROL)


@pytest.mark.parametrize(
    ("answer", "role"), [("viewer", Role.VIEWER), ("control", Role.CONTROL), ("refuse", None)]
)
async def test_the_owner_answers_a_request_once(site: Site, answer: str, role: Role | None) -> None:
    await site.sharing.asking.ask(site.people["nora"], SESSION, Role.CONTROL)
    [asked] = (await state(site, "olive")).requests
    body = AnswerBody(answer=answer)  # type: ignore[arg-type]
    answered = site.sharing.members.answer
    await answered(site.people["olive"], SESSION, asked.id, body)
    assert (await state(site, "olive")).requests == ()
    assert {one.username: one.role for one in (await state(site, "olive")).members}.get("nora") is role
    again = await refused(answered(site.people["olive"], SESSION, asked.id, body))
    assert again == ("not_open_any_more", 404)


async def test_of_two_answers_at_once_one_counts(site: Site) -> None:
    await site.sharing.asking.ask(site.people["nora"], SESSION, Role.VIEWER)
    [asked] = (await state(site, "olive")).requests
    bodies = [AnswerBody(answer="viewer"), AnswerBody(answer="refuse"), AnswerBody(answer="control")]
    calls = (site.sharing.members.answer(site.people["olive"], SESSION, asked.id, body) for body in bodies)
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [one for one in found if one is None] == [None]


async def test_nobody_but_the_owner_answers_who_asks_to_see(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    await site.sharing.asking.ask(site.people["nora"], SESSION, Role.VIEWER)
    [asked] = (await state(site, "olive")).requests
    for who, code in (
        ("carl", "only_the_owner"),
        ("nora", "desktop_not_found"),
        ("sam", "desktop_not_found"),
    ):
        answered = site.sharing.members.answer(
            site.people[who], SESSION, asked.id, AnswerBody(answer="viewer")
        )
        assert (await refused(answered))[0] == code
    elsewhere = site.sharing.members.answer(
        site.people["olive"], OTHER, asked.id, AnswerBody(answer="viewer")
    )
    assert (await refused(elsewhere))[0] == "not_open_any_more", "a request belongs to its desktop"


async def test_who_asks_learns_that_it_is_pending_once_they_are_somebody(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    assert (await state(site, "vera")).me.asked is None
    await site.sharing.asking.ask(site.people["vera"], SESSION, Role.CONTROL)
    assert (await state(site, "vera")).me.asked is Role.CONTROL


# --- invitations ------------------------------------------------------------------------------------


async def test_a_link_lets_one_person_in_once(site: Site) -> None:
    token = await link(site, Role.CONTROL)
    accepted = await site.sharing.asking.accept(site.people["nora"], token)
    assert (accepted.desktop, accepted.waits) == (SESSION, False)
    assert (await state(site, "nora")).me.role is Role.CONTROL
    again = await refused(site.sharing.asking.accept(site.people["vera"], token))
    assert again == ("invitation_not_valid", 404)
    assert [one.used_by for one in (await state(site, "olive")).invitations] == ["nora"]
    assert [what for _, what, _ in site.audit()] == ["invite", "accept", "grant"]


async def test_of_many_who_use_a_link_at_once_one_gets_in(site: Site) -> None:
    token = await link(site)
    people = [site.people[name] for name in ("vera", "carl", "nora", "sam")]
    calls = (site.sharing.asking.accept(person, token) for person in people)
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert len([one for one in found if not isinstance(one, RequestError)]) == 1
    assert len((await state(site, "olive")).members) == 1


async def test_a_link_that_was_taken_back_or_is_too_old_or_wrong_opens_nothing(site: Site) -> None:
    taken, old = await link(site), await link(site)
    invitations = (await state(site, "olive")).invitations
    await site.sharing.asking.withdraw(site.people["olive"], SESSION, invitations[0].id)
    site.db.run_now(
        lambda s: s.execute(
            update(InvitationRow).where(InvitationRow.id == invitations[1].id).values(expires_at=utcnow())
        )
    )
    for token in (taken, old, "A" * 22):
        code = await refused(site.sharing.asking.accept(site.people["nora"], token))
        assert code == ("invitation_not_valid", 404)
    assert (await state(site, "olive")).invitations == ()


async def test_a_link_ends_with_the_right_of_who_made_it(site: Site) -> None:
    site.desktops.staff = {"olive", "carl"}
    token = await link(site, desktop=STATION, by="carl")
    site.desktops.staff = {"olive"}
    code = await refused(site.sharing.asking.accept(site.people["nora"], token))
    assert code == ("invitation_not_valid", 404)


async def test_a_link_of_a_session_that_is_over_opens_nothing(site: Site) -> None:
    token = await link(site)
    del site.desktops.all[SESSION]
    code = await refused(site.sharing.asking.accept(site.people["nora"], token))
    assert code == ("invitation_not_valid", 404)


async def test_who_may_not_read_the_data_waits_for_the_owner_after_a_link(site: Site) -> None:
    token = await link(site, Role.CONTROL)
    site.desktops.outsiders = {"nora"}
    accepted = await site.sharing.asking.accept(site.people["nora"], token)
    assert accepted.waits
    assert await refused(state(site, "nora")) == ("desktop_not_found", 404)
    [asked] = (await state(site, "olive")).requests
    assert (asked.username, asked.role, asked.warning) == ("nora", Role.CONTROL, "ma1")
    answer = site.sharing.members.answer
    olive = site.people["olive"]
    unsure = await refused(answer(olive, SESSION, asked.id, AnswerBody(answer="control")))
    assert unsure == ("confirm_needed", 409)
    await answer(olive, SESSION, asked.id, AnswerBody(answer="control", confirm=True))
    assert (await state(site, "nora")).me.role is Role.CONTROL


async def test_a_link_is_not_used_up_by_who_has_the_role_already(site: Site) -> None:
    await site.give("carl", Role.CONTROL)
    token = await link(site)
    assert not (await site.sharing.asking.accept(site.people["carl"], token)).waits
    assert not (await site.sharing.asking.accept(site.people["olive"], token)).waits
    await site.sharing.asking.accept(site.people["nora"], token)
    assert (await state(site, "carl")).me.role is Role.CONTROL, "a link takes nothing away"


async def test_no_token_is_kept(site: Site) -> None:
    token = await link(site)
    [row] = site.db.run_now(lambda s: s.scalars(select(InvitationRow)).all())
    assert token not in [str(value) for value in vars(row).values()]
    assert len(token) == 22, "128 bits"


# --- workstations and the record --------------------------------------------------------------------


async def test_a_role_given_at_a_workstation_ends_by_itself(site: Site) -> None:
    await site.give("nora", Role.CONTROL, STATION)
    assert (await state(site, "nora", STATION)).me.role is Role.CONTROL
    site.db.run_now(lambda s: s.execute(update(MemberRow).values(until=utcnow())))
    assert await refused(state(site, "nora", STATION)) == ("desktop_not_found", 404)


async def test_the_record_cannot_be_changed_or_shortened(site: Site) -> None:
    await site.give("vera", Role.VIEWER)
    for statement in (update(AuditRow).values(actor="nobody"), delete(AuditRow)):
        with pytest.raises(DatabaseError, match="append-only"):
            site.db.run_now(lambda s, statement=statement: s.execute(statement))  # type: ignore[misc]
    assert site.audit() == [("olive", "grant", "vera")]


async def test_the_record_is_for_the_owner_and_operators_also_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "panhub.audit"):
        await site.give("vera", Role.VIEWER)
    assert "what=grant actor=olive about=vera" in caplog.text
    for who in ("olive", "sam"):
        found = await site.sharing.audit(site.people[who], SESSION)
        assert [(one.actor, one.what, one.about) for one in found.items] == [("olive", "grant", "vera")]
    for who in ("vera", "nora"):
        assert await refused(site.sharing.audit(site.people[who], SESSION)) == ("desktop_not_found", 404)


async def test_what_is_refused_leaves_no_record(site: Site) -> None:
    site.desktops.outsiders = {"vera"}
    await refused(site.give("vera", Role.VIEWER))
    await refused(site.sharing.members.take(site.people["olive"], SESSION, "vera"))
    assert site.audit() == []
