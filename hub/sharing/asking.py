"""Asking for a role, and invitation links: the ways in for those whom the owner has not named yet."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from hub.desktop.models import Role
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing import refusals, store, trail
from hub.sharing.limits import INVITATIONS, REQUESTS
from hub.sharing.members import Gift, Members
from hub.sharing.models import Accepted, InvitationBody, InvitationMade
from hub.sharing.parts import Parts
from hub.sharing.rooms import Scene
from hub.sharing.rules import wider
from hub.sharing.trail import Trail, What

MOST_INVITATIONS = 20
MOST_REQUESTS = 50
"""Open ones at one desktop."""


class Asking:
    """Takes requests, makes and accepts invitations.

    Parameters
    ----------
    invitation_page
        Address of the page that a link leads to.
    """

    def __init__(self, parts: Parts, members: Members, invitation_page: str) -> None:
        self._parts = parts
        self._members = members
        self._page = invitation_page

    async def ask(self, person: Person, desktop_id: str, role: Role) -> None:
        """Tell the owner that a person asks; who asks learns nothing by it.

        Raises
        ------
        RequestError
            ``too_often``, for desktops that are there and for others alike.
        """
        self._parts.limits.check(REQUESTS, person.username)
        try:
            scene = await self._parts.rooms.look(desktop_id, person)
            if scene is None or not _is_more(scene.role(person), role):
                return
            warning = await scene.directory.unreadable(person, scene.desktop)
        except RequestError:
            return  # nobody can say what they are: as for a desktop that is not there

        def unit(session: Session, trail: Trail) -> bool:
            self._parts.rooms.again(session, scene, utcnow())
            if len(store.asks(session, desktop_id)) >= MOST_REQUESTS:
                return False
            if not store.ask(session, desktop_id, person.username, role, warning=warning, now=utcnow()):
                return False
            trail.add(person.username, desktop_id, What.REQUEST, person.username, role.value)
            return True

        if await trail.run(self._parts.db, unit):
            self._parts.bell.tell(desktop_id, scene.owner, scene.room.holder)

    async def invite(self, actor: Person, desktop_id: str, body: InvitationBody) -> InvitationMade:
        """Make a link that lets one person in.

        Raises
        ------
        RequestError
            ``sharing_limit`` if there are many open ones.
        """
        self._parts.limits.check(INVITATIONS, actor.username)
        scene = await self._parts.enter_as_owner(desktop_id, actor)
        token, now = store.new_token(), utcnow()
        expires_at = now + timedelta(hours=body.hours)

        def unit(session: Session, trail: Trail) -> str:
            self._parts.rooms.again(session, scene, now)
            known = [one for one in store.invitations(session, desktop_id, now) if one.used_by is None]
            if len(known) >= MOST_INVITATIONS:
                raise refusals.too_many_items("open invitations", MOST_INVITATIONS)
            trail.add(actor.username, desktop_id, What.INVITE, detail=f"{body.role} for {body.hours} h")
            return store.invite(
                session,
                desktop_id,
                body.role,
                token=token,
                by=actor.username,
                now=now,
                expires_at=expires_at,
            )

        invitation_id = await trail.run(self._parts.db, unit)
        self._parts.bell.tell(desktop_id)
        return InvitationMade(id=invitation_id, url=f"{self._page}#{token}", expires_at=expires_at)

    async def withdraw(self, actor: Person, desktop_id: str, invitation_id: str) -> None:
        """Take a link back; who came by it stays a member.

        Raises
        ------
        RequestError
            ``not_open_any_more`` for one that is not there.
        """
        await self._parts.enter_as_owner(desktop_id, actor)

        def unit(session: Session, trail: Trail) -> None:
            if not store.revoke_invitation(session, desktop_id, invitation_id, utcnow()):
                raise refusals.item_unknown()
            trail.add(actor.username, desktop_id, What.REVOKE, detail="invitation")

        await trail.run(self._parts.db, unit)
        self._parts.bell.tell(desktop_id)

    async def accept(self, person: Person, token: str) -> Accepted:
        """Use an invitation. Who may not read the data waits for the owner's word.

        Raises
        ------
        RequestError
            ``invitation_not_valid`` for whatever is wrong with it; ``data_not_theirs``.
        """
        self._parts.limits.check(INVITATIONS, person.username)
        invited = await self._parts.db.run(lambda s: store.invitation(s, token, utcnow()))
        scene = await self._parts.rooms.look(invited.desktop, person) if invited else None
        if invited is None or scene is None or not await self._is_owners(scene, invited.made_by):
            raise refusals.invitation_not_valid()
        desktop = scene.desktop.id
        if not _is_more(scene.role(person), invited.role) or scene.role(person) is invited.role:
            return Accepted(desktop=desktop, waits=False)
        warning = await scene.directory.unreadable(person, scene.desktop)
        if warning and self._parts.rules.unreadable == "forbid":
            raise refusals.data_not_theirs(warning)
        gift = Gift(person.username, invited.role, "", invited.made_by)

        def unit(session: Session, trail: Trail) -> None:
            now = utcnow()
            self._parts.rooms.again(session, scene, now)
            if not store.use_invitation(session, invited.id, person.username, now):
                raise refusals.invitation_not_valid()
            trail.add(person.username, desktop, What.ACCEPT, invited.made_by, invited.role.value)
            if warning:
                store.ask(session, desktop, person.username, invited.role, warning=warning, now=now)
                trail.add(person.username, desktop, What.REQUEST, person.username, invited.role.value)
            else:
                self._members.put(session, trail, scene, gift, now)

        await trail.run(self._parts.db, unit)
        self._parts.bell.tell(desktop, scene.owner, person.username)
        self._parts.labs.kick()
        return Accepted(desktop=desktop, waits=bool(warning))

    async def _is_owners(self, scene: Scene, username: str) -> bool:
        """Whether who made a link may still give roles."""
        person = await self._parts.db.run(lambda s: persons.by_username(s, username))
        if person is None or person.is_blocked:
            return False
        return await scene.directory.role_of(person, scene.desktop, utcnow()) is Role.OWNER


def _is_more(has: Role | None, asked: Role) -> bool:
    """Whether asking makes sense: for more than one has, or for control itself by who may have it."""
    return has is not Role.OWNER and (wider(has, asked) is not has or asked is has is Role.CONTROL)
