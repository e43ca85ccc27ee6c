"""Tickets and connections as functions over a database session.

A ticket is deleted by its use, in one statement, so that of two who bring it one gets it. A connection is
here while it has not ended and a tunnel reported it lately; until the first report it counts from its join.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from hub.desktop.models import ConnectionState, Role
from hub.sharing.rules import GONE_AFTER, wider
from hub.sharing.schema import ConnectionRow, TicketRow


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket is good for; ``role`` is the one that its person had when it was made."""

    desktop: str
    username: str
    screen: int
    role: Role
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Connection:
    """One window. ``is_live``: it has not ended as far as anybody knows."""

    id: str
    desktop: str
    username: str
    role: Role
    is_live: bool


def add_ticket(session: Session, token_hash: str, ticket: Ticket, now: datetime) -> None:
    """Keep a ticket, and drop those that nobody used."""
    session.execute(delete(TicketRow).where(TicketRow.expires_at < now))
    session.add(
        TicketRow(
            token_hash=token_hash,
            desktop=ticket.desktop,
            username=ticket.username,
            screen=ticket.screen,
            role=ticket.role.value,
            expires_at=ticket.expires_at,
        )
    )


def take_ticket(session: Session, token_hash: str) -> Ticket | None:
    """Use a ticket up, whatever comes of it; None if there is none (any more)."""
    row = session.execute(
        delete(TicketRow)
        .where(TicketRow.token_hash == token_hash)
        .returning(
            TicketRow.desktop, TicketRow.username, TicketRow.screen, TicketRow.role, TicketRow.expires_at
        )
    ).one_or_none()
    return None if row is None else Ticket(row[0], row[1], row[2], Role(row[3]), row[4])


def drop_tickets(session: Session, desktop: str, username: str) -> None:
    """Forget unused tickets of a person whose role was taken."""
    session.execute(delete(TicketRow).where(TicketRow.desktop == desktop, TicketRow.username == username))


def join(session: Session, connection: str, ticket: Ticket, role: Role, now: datetime) -> None:
    """Keep a new connection."""
    session.add(
        ConnectionRow(
            id=connection,
            desktop=ticket.desktop,
            username=ticket.username,
            screen=ticket.screen,
            role=role.value,
            at=now,
            seen_at=now,
        )
    )


def presence(session: Session, desktop: str, now: datetime) -> tuple[dict[str, Role], dict[str, datetime]]:
    """Who is here (with the widest role joined with), and when the others' last connection ended."""
    rows = session.execute(
        select(
            ConnectionRow.username, ConnectionRow.role, ConnectionRow.seen_at, ConnectionRow.ended_at
        ).where(ConnectionRow.desktop == desktop)
    )
    here: dict[str, Role] = {}
    left: dict[str, datetime] = {}
    for username, role, seen_at, ended_at in rows:
        if ended_at is None and now - seen_at < GONE_AFTER:
            here[username] = wider(here.get(username), Role(role)) or Role.VIEWER
        else:
            end = ended_at or seen_at
            left[username] = max(left.get(username, end), end)
    return here, {username: at for username, at in left.items() if username not in here}


def windows(session: Session, desktop: str, username: str, now: datetime) -> int:
    """Live connections of a person at a desktop."""
    count = session.scalar(
        select(func.count())
        .select_from(ConnectionRow)
        .where(
            ConnectionRow.desktop == desktop,
            ConnectionRow.username == username,
            ConnectionRow.ended_at.is_(None),
            ConnectionRow.seen_at > now - GONE_AFTER,
        )
    )
    return count or 0


def known(session: Session, connections: Collection[str]) -> dict[str, Connection]:
    """Connections by id."""
    rows = session.scalars(select(ConnectionRow).where(ConnectionRow.id.in_(connections)))
    return {
        row.id: Connection(row.id, row.desktop, row.username, Role(row.role), row.ended_at is None)
        for row in rows
    }


def report(
    session: Session, tunnel: str, states: Mapping[str, ConnectionState], now: datetime
) -> list[Connection]:
    """Keep what a tunnel says. What it had before and has no more has ended: these are returned."""
    live = ConnectionRow.ended_at.is_(None)
    ids = list(states)
    session.execute(
        update(ConnectionRow)
        .where(ConnectionRow.id.in_(ids), live)
        .values(tunnel=tunnel, seen_at=now)
        .execution_options(synchronize_session=False)
    )
    for one in states.values():
        if one.last_input is not None:
            session.execute(
                update(ConnectionRow)
                .where(ConnectionRow.id == one.connection)
                .values(last_input=one.last_input)
                .execution_options(synchronize_session=False)
            )
    gone = session.scalars(
        select(ConnectionRow).where(ConnectionRow.tunnel == tunnel, live, ConnectionRow.id.not_in(ids))
    ).all()
    return end(session, [row.id for row in gone], now)


def end(session: Session, connections: Collection[str], now: datetime) -> list[Connection]:
    """End connections; those that had not ended yet are returned."""
    ended = [one for one in known(session, connections).values() if one.is_live]
    session.execute(
        update(ConnectionRow)
        .where(ConnectionRow.id.in_([one.id for one in ended]))
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
    session.expire_all()
    return ended


def of_desktop(session: Session, desktop: str) -> list[Connection]:
    """Connections of a desktop that have not ended."""
    rows = session.scalars(
        select(ConnectionRow).where(ConnectionRow.desktop == desktop, ConnectionRow.ended_at.is_(None))
    )
    return [Connection(row.id, row.desktop, row.username, Role(row.role), True) for row in rows]


def forgotten(session: Session, before: datetime) -> list[str]:
    """Connections that have not ended and that no tunnel has reported since a time."""
    query = select(ConnectionRow.id).where(ConnectionRow.ended_at.is_(None), ConnectionRow.seen_at < before)
    return list(session.scalars(query))


def busy_desktops(session: Session) -> set[str]:
    """Desktops with connections that have not ended."""
    query = select(ConnectionRow.desktop).where(ConnectionRow.ended_at.is_(None)).distinct()
    return set(session.scalars(query))
