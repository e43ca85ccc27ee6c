"""A desktop as one person may see it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from hub.desktop.models import Role
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.sharing import store
from hub.sharing.models import (
    DesktopState,
    InvitationOut,
    Me,
    MemberOut,
    NamedPerson,
    PersonHere,
    RequestOut,
)
from hub.sharing.parts import Parts
from hub.sharing.rooms import Scene
from hub.sharing.rules import decide, holder_now, may_use
from hub.sharing.store import Ask, Facts, Invitation


@dataclass(frozen=True, slots=True)
class _Lists:
    facts: Facts
    asks: list[Ask]
    invitations: list[Invitation]
    names: dict[str, str]


class Views:
    """Says what there is to see."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def state(self, person: Person, desktop_id: str) -> DesktopState:
        """All of a desktop that a person of it may know.

        Raises
        ------
        RequestError
            ``desktop_not_found`` for who is nobody there, and for what is not there.
        """
        scene = await self._parts.rooms.enter(desktop_id, person)
        return self._state(scene, person, await self._parts.db.run(lambda s: self._lists(s, scene)))

    def _lists(self, session: Session, scene: Scene) -> _Lists:
        now, desktop = utcnow(), scene.desktop
        asks = store.asks(session, desktop.id)
        found = persons.by_usernames(session, {one.username for one in asks})
        return _Lists(
            facts=self._parts.rooms.facts(session, desktop, now),
            asks=[one for one in asks if one.username in found and not found[one.username].is_blocked],
            invitations=store.invitations(session, desktop.id, now),
            names={username: one.display_name for username, one in found.items()},
        )

    def _state(self, scene: Scene, person: Person, lists: _Lists) -> DesktopState:
        desktop, room, now = scene.desktop, scene.room, utcnow()
        role, holder = scene.role(person), holder_now(room, now)
        is_owner = role is Role.OWNER
        owner = desktop.owner
        return DesktopState(
            desktop=desktop.id,
            title=desktop.title,
            kind=desktop.kind,
            owner=NamedPerson(username=owner.username, name=owner.display_name) if owner else None,
            me=self._me(scene, person, lists),
            people=tuple(_people(scene, holder, shows_all=is_owner)),
            members=tuple(
                MemberOut(username=m.username, name=scene.name(m.username), role=m.role, warning=m.warning)
                for m in lists.facts.members.values()
                if is_owner
            ),
            requests=tuple(
                RequestOut(
                    id=ask.id,
                    username=ask.username,
                    name=lists.names[ask.username],
                    role=ask.role,
                    warning=ask.warning if is_owner else "",
                )
                for ask in lists.asks
                # Who has control can hand it on to those who may have it.
                if is_owner or (holder == person.username and may_use(room.roles.get(ask.username)))
            ),
            invitations=tuple(
                InvitationOut(id=one.id, role=one.role, expires_at=one.expires_at, used_by=one.used_by)
                for one in lists.invitations
                if is_owner
            ),
            holder=holder,
            when_owner_leaves=room.policy,
            until=desktop.until,
            idle_ends_at=desktop.idle_ends_at,
            has_picture=desktop.has_picture,
            lab_url=self._lab_url(scene, role),
            call_url=desktop.call_url,
            screens=desktop.screens,
            unreadable_policy=self._parts.rules.unreadable,
            thumbnail_at=lists.facts.thumbnail_at,
        )

    def _me(self, scene: Scene, person: Person, lists: _Lists) -> Me:
        decision = decide(
            scene.room,
            person.username,
            utcnow(),
            viewers_copy=self._parts.rules.viewers_copy,
            may_transfer=scene.desktop.kind == "session",
            until=None,
        )
        role = scene.role(person)
        return Me(
            username=person.username,
            name=person.display_name,
            role=role,
            has_control=decision.has_control,
            may_copy=decision.may_copy,
            may_transfer=decision.may_transfer,
            may_manage=role is Role.OWNER,
            asked=next((ask.role for ask in lists.asks if ask.username == person.username), None),
        )

    def _lab_url(self, scene: Scene, role: Role | None) -> str | None:
        """Path of JupyterLab: the owner's, and with the site's leave that of who may have control."""
        is_let_in = role is Role.OWNER or (self._parts.rules.lab and may_use(role))
        if scene.owner is None or scene.desktop.target is None or not is_let_in:
            return None
        return f"/user/{scene.owner}/{scene.desktop.server_name}/lab"


def _people(scene: Scene, holder: str | None, *, shows_all: bool) -> list[PersonHere]:
    """The owner first, then by name; who is not here is told to the owner alone."""
    room = scene.room
    shown = [
        PersonHere(
            username=username,
            name=scene.name(username),
            role=role,
            is_here=username in room.here,
            has_control=username == holder,
        )
        for username, role in room.roles.items()
        if shows_all or username in room.here or username == room.owner
    ]
    return sorted(shown, key=lambda one: (one.username != room.owner, one.name, one.username))
