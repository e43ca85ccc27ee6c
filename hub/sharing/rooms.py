"""A desktop with everybody in it, read at once: what the rules decide on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.database import Database
from hub.desktop.models import Role
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.problems import RequestError
from hub.sharing import refusals, store
from hub.sharing.directory import Desktop, DesktopDirectory
from hub.sharing.models import OwnerLeaves
from hub.sharing.rules import Room, settled, wider
from hub.sharing.store import Facts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scene:
    """A desktop at one moment: what it is, who its people are, what they are by themselves."""

    desktop: Desktop
    directory: DesktopDirectory
    people: Mapping[str, Person]
    natural: Mapping[str, Role]
    room: Room

    @property
    def owner(self) -> str | None:
        """Username of a session's person."""
        return self.desktop.owner.username if self.desktop.owner else None

    def role(self, person: Person) -> Role | None:
        """Role of a person here."""
        return self.room.roles.get(person.username)

    def name(self, username: str) -> str:
        """Name of a person as people read it."""
        person = self.people.get(username)
        return person.display_name if person else username


class Rooms:
    """Reads desktops.

    Parameters
    ----------
    policy
        What holds while an owner is away, until the owner says otherwise.
    """

    def __init__(self, db: Database, directories: Sequence[DesktopDirectory], policy: OwnerLeaves) -> None:
        self._db = db
        self._directories = directories
        self._policy = policy

    async def find(self, desktop_id: str) -> tuple[Desktop, DesktopDirectory] | None:
        """A desktop that is there, and the directory that knows it."""
        for directory in self._directories:
            if (desktop := await directory.find(desktop_id)) is not None:
                return desktop, directory
        return None

    async def enter(self, desktop_id: str, person: Person) -> Scene:
        """The desktop for a person who has a role there.

        Raises
        ------
        RequestError
            ``desktop_not_found`` for an unknown one and for one that is not theirs alike.
        """
        scene = await self.look(desktop_id, person)
        if scene is None or scene.role(person) is None:
            raise refusals.desktop_not_found()
        return scene

    async def look(self, desktop_id: str, *further: Person) -> Scene | None:
        """The desktop with all its people and ``further`` ones; None if it is not there.

        Raises
        ------
        RequestError
            ``catalogue_unavailable`` if nobody can say what one of the further people is. Who is here
            already stays what they were.
        """
        found = await self.find(desktop_id)
        if found is None:
            return None
        desktop, directory = found
        now = utcnow()

        def read(session: Session) -> tuple[Facts, dict[str, Person]]:
            facts = self.facts(session, desktop, now)
            return facts, persons.by_usernames(session, _everybody(desktop, facts))

        facts, people = await self._db.run(read)
        asked = {person.username for person in further}
        people.update((person.username, person) for person in further)
        natural = {}
        for person in people.values():
            try:
                role = await directory.role_of(person, desktop, now)
            except RequestError:
                if person.username in asked:
                    raise
                role = facts.here.get(person.username)
                log.warning("Nobody can say what %s is at %s: left as it was", person.username, desktop.id)
            if role is not None:
                natural[person.username] = role
        return Scene(desktop, directory, people, natural, make_room(desktop, facts, people, natural, now))

    def facts(self, session: Session, desktop: Desktop, now: datetime) -> Facts:
        """What is stored of a desktop."""
        owner = desktop.owner.username if desktop.owner else None
        return store.facts(session, desktop.id, now, owner=owner, policy=self._policy)

    def again(self, session: Session, scene: Scene, now: datetime) -> Room:
        """The room as it is in this transaction, which nobody else changes until its end."""
        store.locked(session, scene.desktop.id, owner=scene.owner, policy=self._policy)
        facts = self.facts(session, scene.desktop, now)
        return make_room(scene.desktop, facts, scene.people, scene.natural, now)


def make_room(
    desktop: Desktop,
    facts: Facts,
    people: Mapping[str, Person],
    natural: Mapping[str, Role],
    now: datetime,
) -> Room:
    """Put together what is stored and what people are. Who is unknown or blocked has no role."""
    roles: dict[str, Role] = {}
    for username, person in people.items():
        member = facts.members.get(username)
        role = wider(natural.get(username), member.role if member else None)
        if role is not None and not person.is_blocked:
            roles[username] = role
    room = Room(
        owner=desktop.owner.username if desktop.owner else None,
        holder=facts.holder,
        policy=facts.policy,
        roles=roles,
        here=frozenset(facts.here),
        left=facts.left,
        closed_until=facts.closed_until,
    )
    return settled(room, now)


def _everybody(desktop: Desktop, facts: Facts) -> Iterable[str]:
    owner = {desktop.owner.username} if desktop.owner else set()
    holder = {facts.holder} if facts.holder else set()
    return owner | holder | set(facts.members) | set(facts.here)
