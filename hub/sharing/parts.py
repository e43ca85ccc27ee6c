"""What the services of sharing work with, and what all of them do after a change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.database import Database
from hub.desktop.models import Role
from hub.desktop.settings import SharingSettings
from hub.identity.models import Person
from hub.sharing import labshares, passes, refusals, store
from hub.sharing.bell import Bell
from hub.sharing.labshares import LabShares
from hub.sharing.limits import Limits
from hub.sharing.rooms import Rooms, Scene
from hub.sharing.rules import Room
from hub.sharing.trail import RULES, Trail, What


@dataclass(frozen=True, slots=True)
class Parts:
    """What every service of sharing needs."""

    db: Database
    rooms: Rooms
    bell: Bell
    limits: Limits
    labs: LabShares
    rules: SharingSettings

    async def enter_as_owner(self, desktop_id: str, person: Person) -> Scene:
        """The desktop for somebody who may give and take roles.

        Raises
        ------
        RequestError
            ``desktop_not_found``, or ``only_the_owner`` for others who may see it.
        """
        scene = await self.rooms.enter(desktop_id, person)
        if scene.role(person) is not Role.OWNER:
            raise refusals.not_manager()
        return scene

    def settle(self, session: Session, scene: Scene, trail: Trail, now: datetime) -> Room:
        """Store the holder that the rules want, after a change in this transaction."""
        room = self.rooms.again(session, scene, now)
        stored = self.rooms.facts(session, scene.desktop, now).holder
        if room.holder != stored:
            store.change(session, scene.desktop.id, holder=room.holder)
            trail.add(RULES, scene.desktop.id, What.CONTROL, room.holder or "", f"from {stored}")
        return room

    def share_lab(self, session: Session, scene: Scene, username: str, role: Role | None) -> None:
        """Want, or no longer want, the session's JupyterLab for a person."""
        labshares.want(session, scene.desktop, username, role if self.rules.lab else None)

    def put_out(
        self, session: Session, desktop: str, usernames: Iterable[str], trail: Trail, now: datetime, why: str
    ) -> None:
        """End all connections of people, and forget their tickets."""
        names = set(usernames)
        for username in names:
            passes.drop_tickets(session, desktop, username)
        found = [one.id for one in passes.of_desktop(session, desktop) if one.username in names]
        for ended in passes.end(session, found, now):
            trail.add(ended.username, desktop, What.LEAVE, detail=why)
