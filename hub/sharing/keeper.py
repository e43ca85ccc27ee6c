"""What time alone changes: graces that end, connections nobody reports, sessions that are over.

One look at all desktops with connections, in one transaction; who follows a desktop is told only when
something of it is different from the last look.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hub.identity import persons
from hub.launch.news import utcnow
from hub.launch.schema import LaunchRow
from hub.launch.states import LIVE, LaunchState, Target
from hub.problems import RequestError
from hub.sharing import labshares, passes, store, trail
from hub.sharing.members import Members
from hub.sharing.parts import Parts
from hub.sharing.rules import GONE_AFTER, GRACE
from hub.sharing.schema import ConnectionRow, DesktopRow, MemberRow
from hub.sharing.trail import RULES, Trail, What

log = logging.getLogger(__name__)

_RECENTLY = timedelta(minutes=2)
"""Ends older than this change nothing any more: the grace is long over."""

Signature = frozenset[Any]


class Keeper:
    """Looks again and again.

    Parameters
    ----------
    forget_after
        Connections of a tunnel that was silent for longer have ended: no tunnel keeps any for so long.
    """

    def __init__(self, parts: Parts, members: Members, *, forget_after: timedelta) -> None:
        self._parts = parts
        self._members = members
        self._forget_after = forget_after
        self._last: dict[str, Signature] = {}

    async def look(self) -> None:
        """One round: tell of what time has changed, and bring the hub's shares along."""
        found = await self._parts.db.run(self._signatures)
        changed = [desktop for desktop, one in found.items() if self._last.get(desktop) != one]
        over = [desktop for desktop in self._last if desktop not in found]
        for desktop in changed:
            await self._settle(desktop)
            self._parts.bell.tell(desktop)
        for desktop in over:
            self._parts.bell.tell(desktop)
        self._last = found
        await self._end_shares()
        self._parts.labs.kick()

    async def recheck(self) -> None:
        """Do members still fulfil the data rule? Where the site forbids others, they lose their role."""
        for desktop_id, username, warning in await self._parts.db.run(store.members_of_all):
            try:
                await self._recheck(desktop_id, username, warning)
            except RequestError:
                continue  # nobody can say: nothing changes

    async def tidy(self) -> None:
        """End connections that no tunnel can have any more, and drop pictures of what is over."""
        now = utcnow()

        def unit(session: Session, trail: Trail) -> None:
            for one in passes.end(session, passes.forgotten(session, now - self._forget_after), now):
                trail.add(one.username, one.desktop, What.LEAVE, detail=f"{one.id} not heard of any more")
            kept = set(session.scalars(select(DesktopRow.desktop).where(DesktopRow.thumbnail.is_not(None))))
            over = kept - _alive(session, kept)
            session.execute(
                update(DesktopRow)
                .where(DesktopRow.desktop.in_(over))
                .values(thumbnail=None, thumbnail_at=None)
                .execution_options(synchronize_session=False)
            )

        await trail.run(self._parts.db, unit)

    def _signatures(self, session: Session) -> dict[str, Signature]:
        """Of each desktop with connections: all that the rules make of the time."""
        now = utcnow()
        rows = session.execute(
            select(
                ConnectionRow.desktop, ConnectionRow.username, ConnectionRow.seen_at, ConnectionRow.ended_at
            ).where(ConnectionRow.ended_at.is_(None) | (ConnectionRow.ended_at > now - _RECENTLY))
        ).all()
        desktops = {row[0] for row in rows}
        closed = session.execute(
            select(DesktopRow.desktop).where(DesktopRow.desktop.in_(desktops), DesktopRow.closed_until > now)
        )
        alive = _alive(session, desktops)
        found: dict[str, set[Any]] = {desktop: {("alive", desktop in alive)} for desktop in desktops}
        for (desktop,) in closed:
            found[desktop].add("closed")
        latest: dict[tuple[str, str], timedelta] = {}
        for desktop, username, seen_at, ended_at in rows:
            since = now - ended_at if ended_at else max(now - seen_at - GONE_AFTER, -GRACE)
            latest[desktop, username] = min(latest.get((desktop, username), since), since)
        for (desktop, username), since in latest.items():
            here = "here" if since < timedelta() else "back soon" if since <= GRACE else "gone"
            found[desktop].add((username, here))
        ends = select(MemberRow.desktop, MemberRow.username).where(
            MemberRow.desktop.in_(desktops), MemberRow.revoked_at.is_(None), MemberRow.until <= now
        )
        for desktop, username in session.execute(ends):
            found[desktop].add((username, "role over"))
        return {desktop: frozenset(one) for desktop, one in found.items()}

    async def _settle(self, desktop_id: str) -> None:
        scene = await self._parts.rooms.look(desktop_id)
        if scene is not None:
            await trail.run(self._parts.db, lambda s, t: self._parts.settle(s, scene, t, utcnow()))

    async def _end_shares(self) -> None:
        def unit(session: Session) -> None:
            if shared := labshares.shared(session):
                labshares.end(session, _alive(session, shared))

        await self._parts.db.run(unit)

    async def _recheck(self, desktop_id: str, username: str, warning: str) -> None:
        scene = await self._parts.rooms.look(desktop_id)
        person = await self._parts.db.run(lambda s: persons.by_username(s, username))
        if scene is None or person is None:
            return
        proposal = await scene.directory.unreadable(person, scene.desktop)
        if proposal == warning or (not proposal and not warning):
            return

        def unit(session: Session, trail: Trail) -> None:
            now = utcnow()
            self._parts.rooms.again(session, scene, now)
            if proposal and self._parts.rules.unreadable == "forbid":
                self._members.remove(session, trail, scene, username, by=RULES, now=now)
            else:
                store.warn_of(session, desktop_id, username, proposal)

        await trail.run(self._parts.db, unit)
        self._parts.bell.tell(desktop_id, scene.owner, username)
        self._parts.labs.kick()


def _alive(session: Session, desktops: Collection[str]) -> set[str]:
    """Sessions that live and are not being ended; workstations always do."""
    rows = session.scalars(
        select(LaunchRow.id).where(
            LaunchRow.id.in_(desktops),
            LaunchRow.state.in_(LIVE - {LaunchState.ENDING}),
            LaunchRow.target != Target.STOP,
        )
    )
    return set(rows) | {desktop for desktop in desktops if desktop.startswith("ws-")}
