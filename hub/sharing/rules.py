"""Who may do what at a desktop, as pure functions of a `Room`.

Two orders meet here. The *role* says what a person may do at all; *control* says whose mouse and
keyboard pass now. The stored holder is a wish: `holder_now` says who has control, which is nobody unless
that person is here, has the role, and the owner's policy lets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hub.desktop.models import Decision, Role
from hub.sharing.models import OwnerLeaves

GRACE = timedelta(seconds=30)
"""A page that lost its connection comes back within this time, and finds all as it was."""

GONE_AFTER = timedelta(seconds=60)
"""A connection that no tunnel has reported for this long is gone: six reports were missed."""

CLIENT_FORBIDDEN = 0x0303
SESSION_CLOSED = 0x020B
"""Guacamole status codes with which a connection is closed."""

_RANK = {None: 0, Role.VIEWER: 1, Role.CONTROL: 2, Role.OWNER: 3}
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Room:
    """One desktop at one moment.

    ``owner`` is the username of a session's person; None at a workstation. ``roles`` has everybody who
    has a role now, ``here`` those with a live connection, ``left`` when the last one of the others ended.
    """

    owner: str | None
    holder: str | None
    policy: OwnerLeaves
    roles: Mapping[str, Role] = field(default_factory=dict)
    here: frozenset[str] = frozenset()
    left: Mapping[str, datetime] = field(default_factory=dict)
    closed_until: datetime | None = None


def wider(*roles: Role | None) -> Role | None:
    """The role that lets do most."""
    return max(roles, key=lambda role: _RANK[role], default=None)


def may_use(role: Role | None) -> bool:
    """Whether a role may have control at all."""
    return _RANK[role] >= _RANK[Role.CONTROL]


def is_owner_away(room: Room) -> bool:
    """Whether there is an owner, who has no connection."""
    return room.owner is not None and room.owner not in room.here


def is_locked(room: Room) -> bool:
    """Whether nobody but the owner may have control."""
    return is_owner_away(room) and room.policy is not OwnerLeaves.STAY


def is_shut(room: Room, now: datetime) -> bool:
    """Whether others are closed because the owner left, and did not come back in time."""
    return (
        is_owner_away(room) and room.policy is OwnerLeaves.DISCONNECT and _is_long_gone(room, room.owner, now)
    )


def settled(room: Room, now: datetime) -> Room:
    """The room with the holder that ought to be stored.

    Control goes back to the owner from who lost the role or stays away; at a workstation it is free then.
    """
    holder = room.holder
    if holder is None or holder == room.owner:
        return room
    lost = not may_use(room.roles.get(holder))
    if lost or (holder not in room.here and _is_long_gone(room, holder, now)):
        return replace(room, holder=room.owner)
    return room


def holder_now(room: Room, now: datetime) -> str | None:
    """Who has control: at most one, who is here and may."""
    holder = settled(room, now).holder
    if holder is None or holder not in room.here or not may_use(room.roles.get(holder)):
        return None
    if is_locked(room) and holder != room.owner:
        return None
    return None if _is_put_out(room, room.roles.get(holder), now) else holder


def control_refusal(room: Room, actor: str, to: str | None, now: datetime) -> str | None:
    """Code of why ``actor`` may not give control to ``to`` (None: free it); None if they may."""
    role, holder = room.roles.get(actor), holder_now(room, now)
    if not may_use(role):
        return "control_not_yours"
    if to is not None and not may_use(room.roles.get(to)):
        return "control_needs_role"
    if to is not None and to not in room.here:
        return "control_not_here"
    if role is Role.OWNER:
        return None
    if is_locked(room):
        return "desktop_locked"
    if holder == actor or (holder is None and to == actor):
        return None
    return "control_taken"


def decide(
    room: Room,
    username: str,
    now: datetime,
    *,
    viewers_copy: bool,
    may_transfer: bool,
    until: datetime | None,
) -> Decision:
    """What a connection of a person may do.

    Parameters
    ----------
    may_transfer
        Whether this desktop has files to bring in and take out at all.
    """
    role = room.roles.get(username)
    if role is None:
        return closed(CLIENT_FORBIDDEN, "You may no longer see this desktop.")
    if _is_put_out(room, role, now):
        return closed(CLIENT_FORBIDDEN, "Who is responsible here has ended this for everybody else.")
    if role is not Role.OWNER and is_shut(room, now):
        return closed(CLIENT_FORBIDDEN, "The owner has left, and wants nobody to stay without them.")
    has_control = holder_now(room, now) == username
    return Decision(
        may_stay=True,
        role=role,
        has_control=has_control,
        may_copy=viewers_copy or may_use(role),
        may_transfer=may_transfer and (role is Role.OWNER or has_control),
        until=until,
        status=0,
    )


def closed(status: int, text: str) -> Decision:
    """The decision that a connection ends."""
    return Decision(may_stay=False, may_copy=False, status=status, text=text)


def _is_put_out(room: Room, role: Role | None, now: datetime) -> bool:
    return role is not Role.OWNER and room.closed_until is not None and now < room.closed_until


def _is_long_gone(room: Room, username: str | None, now: datetime) -> bool:
    return now - room.left.get(username or "", _NEVER) > GRACE
