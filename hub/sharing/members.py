"""Who is given a role, and how: by the owner, on request, by a link; and how it is taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.desktop.models import Role
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.sharing import refusals, store, trail
from hub.sharing.directory import Desktop, DesktopDirectory
from hub.sharing.models import AnswerBody, MemberBody
from hub.sharing.parts import Parts
from hub.sharing.rooms import Scene
from hub.sharing.rules import control_refusal, may_use
from hub.sharing.trail import Trail, What

MOST_MEMBERS = 100
"""Members of one desktop; how many may be there at once is a setting."""

_WORKSTATION_GRANT = timedelta(hours=12)
"""A role given at a workstation ends by itself: the next team must not find the last one's guests."""


@dataclass(frozen=True, slots=True)
class Gift:
    """A role that is to be given, with what the data rule said."""

    username: str
    role: Role
    warning: str
    by: str


class Members:
    """Gives and takes roles."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def give(self, actor: Person, desktop_id: str, body: MemberBody) -> None:
        """Give somebody a role, or another one.

        Raises
        ------
        RequestError
            ``person_unknown``, ``already_owner``, ``confirm_needed`` or ``data_not_theirs``.
        """
        scene = await self._parts.enter_as_owner(desktop_id, actor)
        person = await self._person(body.username)
        if await scene.directory.role_of(person, scene.desktop, utcnow()) is Role.OWNER:
            raise refusals.already_owner()
        warning = await self.check_data(scene.directory, scene.desktop, person, confirm=body.confirm)
        gift = Gift(person.username, body.role, warning, actor.username)

        def unit(session: Session, trail: Trail) -> None:
            self._still_owner(session, scene, actor)
            self.put(session, trail, scene, gift, utcnow())

        await trail.run(self._parts.db, unit)
        self._told(scene, person.username)

    async def take(self, actor: Person, desktop_id: str, username: str) -> None:
        """Take somebody's role back; everybody may give up their own.

        Raises
        ------
        RequestError
            ``member_unknown`` if there is none to take.
        """
        scene = await self._parts.rooms.enter(desktop_id, actor)
        if username != actor.username and scene.role(actor) is not Role.OWNER:
            raise refusals.not_manager()

        def unit(session: Session, trail: Trail) -> None:
            now = utcnow()
            self._parts.rooms.again(session, scene, now)
            if not self.remove(session, trail, scene, username, by=actor.username, now=now):
                raise refusals.member_unknown()

        await trail.run(self._parts.db, unit)
        self._told(scene, username)

    async def answer(self, actor: Person, desktop_id: str, ask_id: str, body: AnswerBody) -> None:
        """Answer a request. Who has control may hand it to somebody who may have it, and asks.

        Raises
        ------
        RequestError
            ``not_open_any_more``, ``only_the_owner``, ``confirm_needed`` or ``data_not_theirs``.
        """
        scene = await self._parts.rooms.enter(desktop_id, actor)
        found = await self._parts.db.run(lambda s: store.asks(s, desktop_id))
        is_owner = scene.role(actor) is Role.OWNER
        asked = next((one for one in found if one.id == ask_id), None)
        if asked is None:
            raise refusals.item_unknown() if is_owner else refusals.not_manager()
        is_user = may_use(scene.room.roles.get(asked.username))
        is_holder = scene.room.holder == actor.username and is_user and body.answer != "viewer"
        if not is_owner and not is_holder:
            raise refusals.not_manager()
        if body.answer == "refuse":
            await self._refuse(actor, scene, asked)
            return
        role = Role(body.answer)
        gift = None
        if not (is_user or scene.room.roles.get(asked.username) is role):
            person = await self._person(asked.username)
            warning = await self.check_data(scene.directory, scene.desktop, person, confirm=body.confirm)
            gift = Gift(asked.username, role, warning, actor.username)
        await self._grant(actor, scene, asked, role, gift)

    async def _refuse(self, actor: Person, scene: Scene, asked: store.Ask) -> None:
        desktop = scene.desktop.id

        def unit(session: Session, trail: Trail) -> None:
            if not store.answer(session, desktop, asked.id, state="refused", by=actor.username, now=utcnow()):
                raise refusals.item_unknown()
            trail.add(actor.username, desktop, What.REFUSE, asked.username, asked.role.value)

        await trail.run(self._parts.db, unit)
        self._told(scene, asked.username)

    async def _grant(
        self, actor: Person, scene: Scene, asked: store.Ask, role: Role, gift: Gift | None
    ) -> None:
        desktop = scene.desktop.id

        def unit(session: Session, trail: Trail) -> None:
            now = utcnow()
            room = self._parts.rooms.again(session, scene, now)
            if gift is not None:
                self._still_owner(session, scene, actor)
            if not store.answer(session, desktop, asked.id, state="granted", by=actor.username, now=now):
                raise refusals.item_unknown()
            if gift is not None:
                self.put(session, trail, scene, gift, now)
                room = self._parts.rooms.again(session, scene, now)
            if role is Role.CONTROL and control_refusal(room, actor.username, asked.username, now) is None:
                store.change(session, desktop, holder=asked.username)
                trail.add(actor.username, desktop, What.CONTROL, asked.username)

        await trail.run(self._parts.db, unit)
        self._told(scene, asked.username)

    def put(self, session: Session, trail: Trail, scene: Scene, gift: Gift, now: datetime) -> None:
        """Give a role within a transaction."""
        desktop = scene.desktop
        known = store.members(session, desktop.id, now)
        if gift.username not in known and len(known) >= MOST_MEMBERS:
            raise refusals.too_many_items("members", MOST_MEMBERS)
        until = None
        if desktop.kind == "workstation":
            until = min(filter(None, (now + _WORKSTATION_GRANT, desktop.grants_end)))
        store.put_member(
            session,
            desktop.id,
            gift.username,
            gift.role,
            by=gift.by,
            warning=gift.warning,
            now=now,
            until=until,
        )
        store.close_asks(session, desktop.id, gift.username, state="granted", by=gift.by, now=now)
        self._parts.share_lab(session, scene, gift.username, gift.role)
        shown = f", who may not read {gift.warning}" if gift.warning else ""
        trail.add(gift.by, desktop.id, What.GRANT, gift.username, f"{gift.role}{shown}")
        self._parts.settle(session, scene, trail, now)

    def remove(
        self, session: Session, trail: Trail, scene: Scene, username: str, *, by: str, now: datetime
    ) -> bool:
        """Take a role within a transaction; whether there was one."""
        desktop = scene.desktop.id
        if not store.revoke_member(session, desktop, username, now):
            return False
        store.close_asks(session, desktop, username, state="refused", by=by, now=now)
        self._parts.share_lab(session, scene, username, None)
        trail.add(by, desktop, What.REVOKE, username)
        if username not in scene.natural:
            self._parts.put_out(session, desktop, [username], trail, now, "role taken back")
        self._parts.settle(session, scene, trail, now)
        return True

    async def check_data(
        self, directory: DesktopDirectory, desktop: Desktop, person: Person, *, confirm: bool
    ) -> str:
        """Proposal that is shown to somebody who may not read it; empty if they may.

        Raises
        ------
        RequestError
            ``data_not_theirs`` where the site forbids it, else ``confirm_needed`` without a yes.
        """
        proposal = await directory.unreadable(person, desktop)
        if proposal and self._parts.rules.unreadable == "forbid":
            raise refusals.data_not_theirs(proposal)
        if proposal and not confirm:
            raise refusals.confirm_needed(proposal)
        return proposal

    async def _person(self, username: str) -> Person:
        person = await self._parts.db.run(lambda s: persons.by_username(s, username))
        if person is None or person.is_blocked:
            raise refusals.person_unknown()
        return person

    def _still_owner(self, session: Session, scene: Scene, actor: Person) -> None:
        room = self._parts.rooms.again(session, scene, utcnow())
        if room.roles.get(actor.username) is not Role.OWNER:
            raise refusals.not_manager()

    def _told(self, scene: Scene, username: str) -> None:
        self._parts.bell.tell(scene.desktop.id, scene.owner, username)
        self._parts.labs.kick()
