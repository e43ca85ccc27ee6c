"""Who may what: a table, and what holds whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.desktop.models import Role
from hub.sharing.models import OwnerLeaves
from hub.sharing.rules import (
    GRACE,
    Room,
    control_refusal,
    decide,
    holder_now,
    is_locked,
    may_use,
    settled,
    wider,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - 2 * GRACE
ROLES = {"olive": Role.OWNER, "carl": Role.CONTROL, "cleo": Role.CONTROL, "vera": Role.VIEWER}
ALL = frozenset(ROLES)
LOCK, STAY, DISCONNECT = OwnerLeaves.LOCK, OwnerLeaves.STAY, OwnerLeaves.DISCONNECT


def room(
    holder: str | None = "olive",
    policy: OwnerLeaves = LOCK,
    here: frozenset[str] = ALL,
    left: dict[str, datetime] | None = None,
    owner: str | None = "olive",
    closed_until: datetime | None = None,
) -> Room:
    return Room(owner, holder, policy, ROLES, here, left or {}, closed_until)


@pytest.mark.parametrize(
    ("holder", "actor", "to", "code"),
    [
        ("olive", "olive", "carl", None),
        ("olive", "olive", "vera", "control_needs_role"),
        ("olive", "olive", None, None),
        ("carl", "olive", "olive", None),
        ("carl", "olive", "cleo", None),
        ("carl", "carl", "cleo", None),
        ("carl", "carl", "olive", None),
        ("carl", "carl", None, None),
        ("carl", "carl", "vera", "control_needs_role"),
        ("carl", "cleo", "cleo", "control_taken"),
        ("carl", "cleo", None, "control_taken"),
        ("olive", "carl", "carl", "control_taken"),
        ("olive", "carl", "cleo", "control_taken"),
        (None, "carl", "carl", None),
        (None, "carl", "cleo", "control_taken"),
        (None, "vera", "vera", "control_not_yours"),
        ("carl", "vera", None, "control_not_yours"),
        ("carl", "nora", "nora", "control_not_yours"),
        ("carl", "olive", "nora", "control_needs_role"),
    ],
)
def test_who_may_give_control_to_whom(
    holder: str | None, actor: str, to: str | None, code: str | None
) -> None:
    assert control_refusal(room(holder), actor, to, NOW) == code


@pytest.mark.parametrize(
    ("policy", "actor", "to", "code"),
    [
        (LOCK, "carl", "carl", "desktop_locked"),
        (DISCONNECT, "carl", "carl", "desktop_locked"),
        (STAY, "carl", "carl", None),
        (LOCK, "olive", "carl", None),
        (LOCK, "olive", "olive", "control_not_here"),
    ],
)
def test_who_may_take_control_while_the_owner_is_away(
    policy: OwnerLeaves, actor: str, to: str, code: str | None
) -> None:
    away = room("olive", policy, ALL - {"olive"}, {"olive": LONG_AGO})
    assert control_refusal(away, actor, to, NOW) == code


@pytest.mark.parametrize(
    ("policy", "left", "who", "stays", "has_control"),
    [
        (LOCK, LONG_AGO, "carl", True, False),
        (LOCK, LONG_AGO, "vera", True, False),
        (STAY, LONG_AGO, "carl", True, True),
        (DISCONNECT, LONG_AGO, "carl", False, False),
        (DISCONNECT, LONG_AGO, "vera", False, False),
        (DISCONNECT, NOW - GRACE / 2, "carl", True, False),
        (DISCONNECT, None, "carl", False, False),  # who was never here is away
    ],
)
def test_what_others_may_do_when_the_owner_left(
    policy: OwnerLeaves, left: datetime | None, who: str, stays: bool, has_control: bool
) -> None:
    away = room("carl", policy, ALL - {"olive"}, {"olive": left} if left else {})
    decision = decide(away, who, NOW, viewers_copy=False, may_transfer=True, until=None)
    assert (decision.may_stay, decision.has_control) == (stays, has_control)
    assert stays or (decision.status == 0x0303 and decision.text.endswith("."))


@pytest.mark.parametrize(
    ("who", "copy", "transfer"),
    [("olive", True, True), ("carl", True, False), ("cleo", True, True), ("vera", False, False)],
)
def test_what_reaches_whom(who: str, copy: bool, transfer: bool) -> None:
    decision = decide(room("cleo"), who, NOW, viewers_copy=False, may_transfer=True, until=None)
    assert (decision.may_copy, decision.may_transfer) == (copy, transfer)
    told = decide(room("cleo"), who, NOW, viewers_copy=True, may_transfer=False, until=None)
    assert (told.may_copy, told.may_transfer) == (True, False)


def test_who_was_put_out_stays_out_for_a_while_and_the_owner_does_not() -> None:
    closed = room("carl", STAY, closed_until=NOW + timedelta(minutes=1))
    stays = {
        who: decide(closed, who, NOW, viewers_copy=False, may_transfer=True, until=None).may_stay
        for who in ROLES
    }
    assert stays == {"olive": True, "carl": False, "cleo": False, "vera": False}
    assert holder_now(closed, NOW) is None
    after = decide(
        closed, "carl", NOW + timedelta(minutes=2), viewers_copy=False, may_transfer=True, until=None
    )
    assert after.may_stay


def test_a_holder_who_is_back_within_the_grace_still_has_control_and_later_the_owner_has_it() -> None:
    gone = ALL - {"carl"}
    shortly = room("carl", STAY, gone, {"carl": NOW - GRACE / 2})
    assert settled(shortly, NOW).holder == "carl"
    assert holder_now(shortly, NOW) is None, "nobody types for somebody who is not here"
    assert holder_now(room("carl", STAY, gone, {"carl": LONG_AGO}), NOW) == "olive"


def test_at_a_workstation_control_is_free_when_who_had_it_has_left() -> None:
    assert holder_now(room("carl", STAY, ALL - {"carl"}, {"carl": LONG_AGO}, owner=None), NOW) is None


# --- what holds whatever happens --------------------------------------------------------------------

NAMES = st.sampled_from(["olive", "carl", "cleo", "vera", "nora"])
TIMES = st.integers(0, 120).map(lambda s: NOW - timedelta(seconds=s))


@st.composite
def rooms(draw: st.DrawFn) -> Room:
    owner = draw(st.sampled_from(["olive", None]))
    given_roles = draw(st.dictionaries(NAMES, st.sampled_from([Role.VIEWER, Role.CONTROL])))
    if owner is not None:
        given_roles[owner] = Role.OWNER
    return Room(
        owner=owner,
        holder=draw(st.none() | NAMES),
        policy=draw(st.sampled_from(list(OwnerLeaves))),
        roles=given_roles,
        here=draw(st.frozensets(NAMES)),
        left=draw(st.dictionaries(NAMES, TIMES)),
        closed_until=draw(st.none() | TIMES | TIMES.map(lambda at: NOW + (NOW - at))),
    )


@given(rooms())
def test_at_most_one_has_control_who_is_here_and_may(room: Room) -> None:
    decisions = {
        name: decide(room, name, NOW, viewers_copy=False, may_transfer=True, until=None)
        for name in ("olive", "carl", "cleo", "vera", "nora")
    }
    holders = [name for name, decision in decisions.items() if decision.has_control]
    assert holders in ([], [holder_now(room, NOW)])
    for name in holders:
        assert name in room.here
        assert may_use(room.roles.get(name))
        assert decisions[name].may_stay
    for name, decision in decisions.items():
        assert decision.may_stay or not (decision.has_control or decision.may_transfer or decision.may_copy)
        assert decision.may_stay <= (name in room.roles), "without a role nobody stays"


@given(rooms())
def test_who_is_locked_out_never_types(room: Room) -> None:
    if is_locked(room):
        assert holder_now(room, NOW) in (None, room.owner)


@given(rooms())
def test_settling_is_once_and_gives_control_to_nobody_but_the_owner(room: Room) -> None:
    once = settled(room, NOW)
    assert settled(once, NOW) == once
    assert once.holder in (room.holder, room.owner)


@given(rooms(), NAMES, st.none() | NAMES)
def test_control_goes_where_it_was_allowed_to_and_only_by_who_may(
    room: Room, actor: str, to: str | None
) -> None:
    if control_refusal(room, actor, to, NOW) is not None:
        return
    role = room.roles.get(actor)
    assert may_use(role)
    before = holder_now(room, NOW)
    assert role is Role.OWNER or actor == before or (before is None and to == actor)
    if to is not None:
        assert may_use(room.roles[to])
        assert to in room.here


@given(st.lists(st.sampled_from([None, *Role])))
def test_the_wider_role_is_one_of_them_and_no_less_than_any(roles: list[Role | None]) -> None:
    order = [None, Role.VIEWER, Role.CONTROL, Role.OWNER]
    assert order.index(wider(*roles)) == max(map(order.index, roles), default=0)
