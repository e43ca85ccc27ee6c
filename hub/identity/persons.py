"""Which person is this? The table of persons, one to one between (issuer, subject) and name.

Plain functions over a `Session`, for `hub.database.Database.run`. A name that another person has,
or a person who comes back under another name, is refused: somebody must look at it, and `relink`
records who did and why.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.database import HubBase, UtcTime
from hub.identity.claims import ClaimError, Identity, check_username
from hub.identity.models import Person, PosixClaim, StaffRole


class PersonRow(HubBase):
    """A person as their last sign-in described them."""

    __tablename__ = "persons"
    __table_args__ = (UniqueConstraint("issuer", "subject"), UniqueConstraint("username"))

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    username: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str | None] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str | None] = mapped_column(String(320))
    groups: Mapped[list[str]] = mapped_column(JSON)
    roles: Mapped[list[str]] = mapped_column(JSON)
    posix: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_blocked: Mapped[bool] = mapped_column(default=False)
    first_seen: Mapped[datetime] = mapped_column(UtcTime)
    last_seen: Mapped[datetime] = mapped_column(UtcTime)


class PersonChangeRow(HubBase):
    """Who changed what about a person's identity, and why. Rows are only ever added."""

    __tablename__ = "person_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    by: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(Text)
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)


class PersonError(Exception):
    """The person cannot be let in or changed; the text is fit for them."""


class IdentityConflictError(PersonError):
    """The name belongs to another subject, or the subject to another name."""

    def __init__(self, username: str) -> None:
        self.username = username
        super().__init__(
            f"The name {username} does not belong to this account. If your account was renamed or replaced, "
            "ask the support of this site to link it again."
        )


class PersonBlockedError(PersonError):
    """An operator blocked the person."""

    def __init__(self, username: str) -> None:
        self.username = username
        super().__init__(f"The account {username} is blocked here. Ask the support of this site.")


class UnknownPersonError(PersonError):
    """There is no such person."""


def record_login(session: Session, identity: Identity, now: datetime) -> Person:
    """Write what a sign-in says, and return the person.

    Raises
    ------
    IdentityConflictError
        If the name is known under another subject, or the subject under another name.
    PersonBlockedError
        If the person is blocked.
    """
    row = _by_subject(session, identity.issuer, identity.subject)
    holder = _by_username(session, identity.username)
    if row is not holder:
        raise IdentityConflictError(identity.username)
    if row is None:
        row = _add(session, identity, now)
    if row.is_blocked:
        raise PersonBlockedError(row.username)
    row.user_id = identity.user_id
    row.display_name = identity.display_name
    row.email = identity.email
    row.groups = sorted(identity.groups)
    row.roles = sorted(identity.roles)
    row.posix = _posix_json(identity.posix)
    row.last_seen = now
    session.flush()
    return _person(row)


def relink(
    session: Session, *, username: str, issuer: str, subject: str, by: str, reason: str, now: datetime
) -> Person:
    """Let ``username`` be (``issuer``, ``subject``) from now on; kept with its reason.

    Raises
    ------
    UnknownPersonError
        If nobody has the name.
    IdentityConflictError
        If the subject is another person already.
    PersonError
        If there is no reason.
    """
    row = _changeable(session, username, reason)
    if _by_subject(session, issuer, subject) not in (None, row):
        raise IdentityConflictError(username)
    before = {"issuer": row.issuer, "subject": row.subject}
    row.issuer, row.subject = issuer, subject
    _keep(session, row, by=by, reason=reason, now=now, before=before)
    return _person(row)


def rename(session: Session, *, username: str, new: str, by: str, reason: str, now: datetime) -> Person:
    """Give a person the name that the provider now uses; kept with its reason.

    Holds, sessions and homes stay under the old name: a person is renamed when nothing of theirs runs.

    Raises
    ------
    UnknownPersonError
        If nobody has the name ``username``.
    IdentityConflictError
        If somebody else has the name ``new``.
    PersonError
        If ``new`` is no strict name, or there is no reason.
    """
    row = _changeable(session, username, reason)
    try:
        check_username(new)
    except ClaimError as error:
        raise PersonError(str(error)) from error
    if _by_username(session, new) not in (None, row):
        raise IdentityConflictError(new)
    before = {"username": row.username}
    row.username = new
    _keep(session, row, by=by, reason=reason, now=now, before=before)
    return _person(row)


def set_blocked(
    session: Session, *, username: str, is_blocked: bool, by: str, reason: str, now: datetime
) -> Person:
    """Block a person, or let them in again; kept with its reason.

    Raises
    ------
    UnknownPersonError
        If nobody has the name.
    PersonError
        If there is no reason.
    """
    row = _changeable(session, username, reason)
    before = {"is_blocked": row.is_blocked}
    row.is_blocked = is_blocked
    _keep(session, row, by=by, reason=reason, now=now, before=before)
    return _person(row)


def by_username(session: Session, username: str) -> Person | None:
    """Person of a hub user, or None if they never signed in."""
    row = _by_username(session, username)
    return None if row is None else _person(row)


def by_id(session: Session, person_id: int) -> Person | None:
    """Person by the table's id."""
    row = session.get(PersonRow, person_id)
    return None if row is None else _person(row)


def by_usernames(session: Session, usernames: Iterable[str]) -> dict[str, Person]:
    """Persons of several hub users, in one query."""
    rows = session.scalars(select(PersonRow).where(PersonRow.username.in_(set(usernames))))
    return {row.username: _person(row) for row in rows}


def _by_subject(session: Session, issuer: str, subject: str) -> PersonRow | None:
    return session.scalar(select(PersonRow).where(PersonRow.issuer == issuer, PersonRow.subject == subject))


def _by_username(session: Session, username: str) -> PersonRow | None:
    return session.scalar(select(PersonRow).where(PersonRow.username == username))


def _add(session: Session, identity: Identity, now: datetime) -> PersonRow:
    row = PersonRow(
        issuer=identity.issuer,
        subject=identity.subject,
        username=identity.username,
        display_name=identity.display_name,
        groups=[],
        roles=[],
        posix={},
        is_blocked=False,
        first_seen=now,
        last_seen=now,
    )
    try:
        # Two first sign-ins under one name at once: the constraint decides, the savepoint lets us say so.
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise IdentityConflictError(identity.username) from error
    return row


def _changeable(session: Session, username: str, reason: str) -> PersonRow:
    if not reason.strip():
        raise PersonError("A change of identity needs a reason.")
    row = _by_username(session, username)
    if row is None:
        raise UnknownPersonError(f"Nobody with the name {username} has ever signed in.")
    return row


def _keep(
    session: Session, row: PersonRow, *, by: str, reason: str, now: datetime, before: dict[str, Any]
) -> None:
    after = {name: getattr(row, name) for name in before}
    session.add(
        PersonChangeRow(person_id=row.id, at=now, by=by, reason=reason.strip(), before=before, after=after)
    )
    session.flush()


def _posix_json(claim: PosixClaim) -> dict[str, Any]:
    return {"uid": claim.uid, "gid": claim.gid, "home": claim.home}


def _person(row: PersonRow) -> Person:
    return Person(
        id=row.id,
        issuer=row.issuer,
        subject=row.subject,
        username=row.username,
        display_name=row.display_name,
        email=row.email,
        user_id=row.user_id,
        groups=frozenset(row.groups),
        roles=frozenset(StaffRole(role) for role in row.roles),
        is_blocked=row.is_blocked,
        posix=PosixClaim(**row.posix),
    )
