"""State of desktops, members, requests and invitations as functions over a database session.

What may happen once (an invitation's use, a request's answer) is one conditional UPDATE: of two who do
it at the same moment, one gets False.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.desktop.models import Role
from hub.sharing import passes
from hub.sharing.models import OwnerLeaves
from hub.sharing.schema import AskRow, DesktopRow, InvitationRow, MemberRow


@dataclass(frozen=True, slots=True)
class Member:
    """A role in force."""

    username: str
    role: Role
    warning: str


@dataclass(frozen=True, slots=True)
class Ask:
    """An open request."""

    id: str
    username: str
    role: Role
    warning: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that was not taken back; ``used_by`` None while it can be used."""

    id: str
    desktop: str
    role: Role
    made_by: str
    expires_at: datetime
    used_by: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is stored of a desktop's people. ``here`` has the role that they joined with."""

    holder: str | None
    policy: OwnerLeaves
    closed_until: datetime | None
    thumbnail_at: datetime | None
    members: Mapping[str, Member]
    here: Mapping[str, Role]
    left: Mapping[str, datetime]


def new_id() -> str:
    """A fresh id: 64 random bits in 16 hexadecimal digits."""
    return secrets.token_hex(8)


def new_token() -> str:
    """A secret for a link or ticket: 128 random bits."""
    return secrets.token_urlsafe(16)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


# --- a desktop --------------------------------------------------------------------------------------


def facts(session: Session, desktop: str, now: datetime, *, owner: str | None, policy: OwnerLeaves) -> Facts:
    """What is stored; ``owner`` and ``policy`` hold for a desktop that was never changed."""
    columns = (
        DesktopRow.holder,
        DesktopRow.when_owner_leaves,
        DesktopRow.closed_until,
        DesktopRow.thumbnail_at,
    )
    row = session.execute(select(*columns).where(DesktopRow.desktop == desktop)).one_or_none()
    here, left = passes.presence(session, desktop, now)
    return Facts(
        holder=owner if row is None else row[0],
        policy=policy if row is None else OwnerLeaves(row[1]),
        closed_until=None if row is None else row[2],
        thumbnail_at=None if row is None else row[3],
        members=members(session, desktop, now),
        here=here,
        left=left,
    )


def locked(session: Session, desktop: str, *, owner: str | None, policy: OwnerLeaves) -> None:
    """Make the desktop's row if there is none, and let nobody else change it in this transaction."""
    query = select(DesktopRow.desktop).where(DesktopRow.desktop == desktop).with_for_update()
    if session.scalar(query) is not None:
        return
    try:
        with session.begin_nested():
            session.add(DesktopRow(desktop=desktop, holder=owner, when_owner_leaves=policy.value))
    except IntegrityError:
        session.scalar(query)


def change(session: Session, desktop: str, **columns: Any) -> None:
    """Change columns of a desktop's row."""
    session.execute(update(DesktopRow).where(DesktopRow.desktop == desktop).values(**columns))


def thumbnail_at(session: Session, desktop: str) -> datetime | None:
    """When the last picture was sent."""
    return session.scalar(select(DesktopRow.thumbnail_at).where(DesktopRow.desktop == desktop))


def thumbnail(session: Session, desktop: str) -> bytes | None:
    """The last picture that somebody sent."""
    return session.scalar(select(DesktopRow.thumbnail).where(DesktopRow.desktop == desktop))


# --- members ----------------------------------------------------------------------------------------


def members(session: Session, desktop: str, now: datetime) -> dict[str, Member]:
    """Roles in force by username."""
    rows = session.scalars(
        select(MemberRow)
        .where(MemberRow.desktop == desktop, MemberRow.revoked_at.is_(None))
        .order_by(MemberRow.at)
    )
    return {
        row.username: Member(row.username, Role(row.role), row.warning)
        for row in rows
        if row.until is None or row.until > now
    }


def put_member(
    session: Session,
    desktop: str,
    username: str,
    role: Role,
    *,
    by: str,
    warning: str,
    now: datetime,
    until: datetime | None = None,
) -> None:
    """Give a role, or another one."""
    session.merge(
        MemberRow(
            desktop=desktop,
            username=username,
            role=role.value,
            granted_by=by,
            at=now,
            until=until,
            warning=warning[:64],
            revoked_at=None,
        )
    )


def revoke_member(session: Session, desktop: str, username: str, now: datetime) -> bool:
    """Take a role; whether there was one."""
    return _one(
        session,
        update(MemberRow)
        .where(MemberRow.desktop == desktop, MemberRow.username == username, MemberRow.revoked_at.is_(None))
        .values(revoked_at=now),
    )


def warn_of(session: Session, desktop: str, username: str, proposal: str) -> None:
    """Keep of a member that they may not read a proposal (any more); empty: they may."""
    session.execute(
        update(MemberRow)
        .where(MemberRow.desktop == desktop, MemberRow.username == username)
        .values(warning=proposal[:64])
    )


def desktops_of_member(session: Session, username: str, now: datetime) -> list[str]:
    """Desktops at which a person was given a role that holds, the newest first."""
    rows = session.scalars(
        select(MemberRow)
        .where(MemberRow.username == username, MemberRow.revoked_at.is_(None))
        .order_by(MemberRow.at.desc())
    )
    return [row.desktop for row in rows if row.until is None or row.until > now]


def members_of_all(session: Session) -> list[tuple[str, str, str]]:
    """(desktop, username, warning) of every role that was not taken back."""
    rows = session.execute(
        select(MemberRow.desktop, MemberRow.username, MemberRow.warning).where(MemberRow.revoked_at.is_(None))
    )
    return [(row[0], row[1], row[2]) for row in rows]


# --- requests ---------------------------------------------------------------------------------------


def asks(session: Session, desktop: str) -> list[Ask]:
    """Open requests, oldest first."""
    rows = session.scalars(
        select(AskRow).where(AskRow.desktop == desktop, AskRow.state == "open").order_by(AskRow.at)
    )
    return [Ask(row.id, row.username, Role(row.role), row.warning) for row in rows]


def ask(session: Session, desktop: str, username: str, role: Role, *, warning: str, now: datetime) -> bool:
    """Keep a request in place of an open one of the same person; False if it changes nothing."""
    known = session.scalar(
        select(AskRow).where(AskRow.desktop == desktop, AskRow.username == username, AskRow.state == "open")
    )
    if known is not None:
        if (known.role, known.warning) == (role.value, warning):
            return False
        known.role, known.warning = role.value, warning
        return True
    row = AskRow(
        id=new_id(),
        desktop=desktop,
        username=username,
        role=role.value,
        state="open",
        warning=warning,
        at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False  # the same person, twice at once
    return True


def answer(session: Session, desktop: str, ask_id: str, *, state: str, by: str, now: datetime) -> bool:
    """Close an open request; False if somebody else did."""
    return _one(
        session,
        update(AskRow)
        .where(AskRow.id == ask_id, AskRow.desktop == desktop, AskRow.state == "open")
        .values(state=state, answered_by=by, answered_at=now),
    )


def close_asks(session: Session, desktop: str, username: str, *, state: str, by: str, now: datetime) -> None:
    """Close what a person asked for: they were given a role by other means, or none any more."""
    session.execute(
        update(AskRow)
        .where(AskRow.desktop == desktop, AskRow.username == username, AskRow.state == "open")
        .values(state=state, answered_by=by, answered_at=now)
    )


# --- invitations ------------------------------------------------------------------------------------


def invitations(session: Session, desktop: str, now: datetime) -> list[Invitation]:
    """Links that can be used, and those that were; oldest first."""
    rows = session.scalars(
        select(InvitationRow)
        .where(InvitationRow.desktop == desktop, InvitationRow.revoked_at.is_(None))
        .order_by(InvitationRow.at)
    )
    return [_invitation(row) for row in rows if row.used_by is not None or row.expires_at > now]


def invite(
    session: Session, desktop: str, role: Role, *, token: str, by: str, now: datetime, expires_at: datetime
) -> str:
    """Keep a new link; its id."""
    row = InvitationRow(
        id=new_id(),
        desktop=desktop,
        token_hash=digest(token),
        role=role.value,
        made_by=by,
        at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return row.id


def invitation(session: Session, token: str, now: datetime) -> Invitation | None:
    """The link of a token, if it can still be used."""
    row = session.scalar(
        select(InvitationRow).where(InvitationRow.token_hash == digest(token), *_usable(now))
    )
    return None if row is None else _invitation(row)


def use_invitation(session: Session, invitation_id: str, username: str, now: datetime) -> bool:
    """Use a link up; False if somebody was faster, or it was taken back."""
    return _one(
        session,
        update(InvitationRow)
        .where(InvitationRow.id == invitation_id, *_usable(now))
        .values(used_by=username, used_at=now),
    )


def revoke_invitation(session: Session, desktop: str, invitation_id: str, now: datetime) -> bool:
    """Take a link back; False if it is gone. One that was used is no longer shown; the member stays."""
    return _one(
        session,
        update(InvitationRow)
        .where(
            InvitationRow.id == invitation_id,
            InvitationRow.desktop == desktop,
            InvitationRow.revoked_at.is_(None),
        )
        .values(revoked_at=now),
    )


def _usable(now: datetime) -> tuple[Any, ...]:
    return (
        InvitationRow.used_by.is_(None),
        InvitationRow.revoked_at.is_(None),
        InvitationRow.expires_at > now,
    )


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(row.id, row.desktop, Role(row.role), row.made_by, row.expires_at, row.used_by)


def _one(session: Session, statement: Any) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]  # an UPDATE gives a CursorResult
