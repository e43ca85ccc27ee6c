"""The tunnel's side: tickets, their redeeming, and decisions on connections while they last."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.desktop.models import Admission, Decision, RedeemBody, ReportAnswer, ReportBody, Role
from hub.desktop.settings import SERVICE_PREFIX
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing import passes, refusals, store, trail
from hub.sharing.limits import TICKETS
from hub.sharing.models import TicketOut
from hub.sharing.parts import Parts
from hub.sharing.passes import Connection, Ticket
from hub.sharing.rooms import Scene
from hub.sharing.rules import CLIENT_FORBIDDEN, SESSION_CLOSED, Room, closed, decide
from hub.sharing.trail import Trail, What

TICKET_LIFE = timedelta(seconds=15)
TUNNEL_PATH = f"{SERVICE_PREFIX}/tunnel"

MOST_WINDOWS = 8
"""Live connections of one person at one desktop: two screens, and some that a lost tunnel left."""


class Doors:
    """Lets people in, and decides again and again whether they may stay."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def ticket(self, person: Person, desktop_id: str, screen: int) -> TicketOut:
        """Make a ticket for one window.

        Raises
        ------
        RequestError
            ``desktop_not_found``, ``no_picture``, ``desktop_not_ready``, ``may_not_join``,
            ``desktop_full`` or ``too_often``.
        """
        scene = await self._parts.rooms.enter(desktop_id, person)
        self._parts.limits.check(TICKETS, person.username)
        if not scene.desktop.has_picture:
            raise refusals.no_picture()
        if scene.desktop.target is None:
            raise refusals.not_ready()
        await self._check_data(scene, person)
        token = store.new_token()

        def unit(session: Session) -> None:
            now = utcnow()
            decision = self._admit(session, scene, person.username, now)
            ticket = Ticket(desktop_id, person.username, screen, decision.role, now + TICKET_LIFE)
            passes.add_ticket(session, store.digest(token), ticket, now)

        await self._parts.db.run(unit)
        return TicketOut(ticket=token, expires_in_s=int(TICKET_LIFE.total_seconds()), tunnel=TUNNEL_PATH)

    async def redeem(self, body: RedeemBody) -> Admission:
        """Use a ticket up, and admit its connection.

        Raises
        ------
        RequestError
            ``ticket_refused``, for any cause.
        """
        ticket = await self._parts.db.run(lambda s: passes.take_ticket(s, store.digest(body.ticket)))
        if ticket is None or ticket.expires_at <= utcnow() or ticket.username != body.username:
            raise refusals.ticket_refused()
        person = await self._parts.db.run(lambda s: persons.by_username(s, body.username))
        try:
            if person is None:
                raise refusals.ticket_refused()
            return await self._join(await self._parts.rooms.enter(ticket.desktop, person), person, ticket)
        except RequestError as error:
            raise refusals.ticket_refused() from error

    async def _join(self, scene: Scene, person: Person, ticket: Ticket) -> Admission:
        target, connection = scene.desktop.target, store.new_id()
        if target is None or not scene.desktop.has_picture:
            raise refusals.not_ready()

        def unit(session: Session, trail: Trail) -> Decision:
            now = utcnow()
            decision = self._admit(session, scene, person.username, now)
            if decision.role is not ticket.role:
                raise refusals.ticket_refused()  # it was made for another role than they have now
            passes.join(session, connection, ticket, decision.role, now)
            trail.add(person.username, ticket.desktop, What.JOIN, detail=f"{decision.role} {connection}")
            return self._decide(scene, self._parts.rooms.again(session, scene, now), person.username, now)

        decision = await trail.run(self._parts.db, unit)
        self._parts.bell.tell(ticket.desktop, scene.owner)
        return Admission(
            connection=connection,
            desktop=ticket.desktop,
            target=target,
            username=person.username,
            display_name=person.display_name,
            screen=ticket.screen,
            decision=decision,
        )

    async def report(self, body: ReportBody) -> ReportAnswer:
        """Keep what a tunnel reports, and decide on each of its connections."""
        states = {one.connection: one for one in body.connections}

        def unit(session: Session, trail: Trail) -> tuple[list[Connection], dict[str, Connection]]:
            now = utcnow()
            ended = passes.report(session, body.tunnel, states, now)
            for one in ended:
                trail.add(one.username, one.desktop, What.LEAVE, detail=one.id)
            return ended, passes.known(session, states)

        ended, known = await trail.run(self._parts.db, unit)
        for desktop in {one.desktop for one in ended}:
            self._parts.bell.tell(desktop)
        # Read before the decisions: what changes while they are made is news after it.
        position = self._parts.bell.position
        decisions = {one: closed(SESSION_CLOSED, "This connection has ended.") for one in states}
        for desktop in {one.desktop for one in known.values()}:
            mine = [one for one in known.values() if one.desktop == desktop]
            decisions.update(await self._decide_all(desktop, mine))
        return ReportAnswer(decisions=decisions, position=position)

    async def _decide_all(self, desktop_id: str, connections: list[Connection]) -> dict[str, Decision]:
        scene = await self._parts.rooms.look(desktop_id)
        if scene is None:
            over = closed(SESSION_CLOSED, "The session has ended.")
            return {one.id: over for one in connections}
        now, decisions = utcnow(), {}
        for one in connections:
            decision = self._decide(scene, scene.room, one.username, now)
            if decision.may_stay and not one.is_live:
                decision = closed(SESSION_CLOSED, "This connection has ended. Connect again.")
            decisions[one.id] = decision
        return decisions

    def _admit(self, session: Session, scene: Scene, username: str, now: datetime) -> Decision:
        """The decision on one more connection.

        Raises
        ------
        RequestError
            ``may_not_join`` or ``desktop_full``.
        """
        room = self._parts.rooms.again(session, scene, now)
        decision = self._decide(scene, room, username, now)
        if not decision.may_stay:
            raise refusals.may_not_join(decision.text)
        most = self._parts.rules.most_people
        if username not in room.here and len(room.here) >= most and decision.role is not Role.OWNER:
            raise refusals.full(most)
        if passes.windows(session, scene.desktop.id, username, now) >= MOST_WINDOWS:
            raise refusals.full(MOST_WINDOWS)
        return decision

    def _decide(self, scene: Scene, room: Room, username: str, now: datetime) -> Decision:
        person = scene.people.get(username)
        if person is not None and person.is_blocked:
            return closed(CLIENT_FORBIDDEN, "Your account is blocked here.")
        return decide(
            room,
            username,
            now,
            viewers_copy=self._parts.rules.viewers_copy,
            may_transfer=scene.desktop.kind == "session",
            until=scene.desktop.until,
        )

    async def _check_data(self, scene: Scene, person: Person) -> None:
        """Where the site forbids it, nobody joins who may not read the data (any more)."""
        if self._parts.rules.unreadable != "forbid" or person.username == scene.owner:
            return
        if proposal := await scene.directory.unreadable(person, scene.desktop):
            raise refusals.data_not_theirs(proposal)
