"""Sharing put together: one object with all its parts, made once by `hub.app.App`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from hub.catalogue.base import Catalogue
from hub.database import Database
from hub.desktop.models import Role
from hub.desktop.settings import DesktopSettings
from hub.identity.models import Person
from hub.launch import store as launches
from hub.launch.feed import Feed
from hub.launch.hubclient import HubClient
from hub.launch.news import utcnow
from hub.launch.steering import every
from hub.sharing import refusals, trail
from hub.sharing.asking import Asking
from hub.sharing.bell import Bell
from hub.sharing.control import Control
from hub.sharing.directory import DesktopDirectory
from hub.sharing.doors import Doors
from hub.sharing.keeper import Keeper
from hub.sharing.labshares import LabShares
from hub.sharing.limits import Limits
from hub.sharing.members import Members
from hub.sharing.models import AuditOut, OwnerLeaves
from hub.sharing.parts import Parts
from hub.sharing.rooms import Rooms
from hub.sharing.suggestions import Suggestions
from hub.sharing.thumbnails import Thumbnails
from hub.sharing.views import Views

_LOOK_S = 2.0
_TIDY_S = 60.0


class Sharing:
    """Who may see and use which desktop, and everything that follows from it.

    Parameters
    ----------
    invitation_page
        Address of the page that invitation links lead to.
    recheck_s
        How often members' access to the data is decided anew [s].
    """

    def __init__(
        self,
        *,
        db: Database,
        feed: Feed,
        hub: HubClient,
        catalogue: Catalogue,
        directories: Sequence[DesktopDirectory],
        settings: DesktopSettings,
        invitation_page: str,
        recheck_s: float,
    ) -> None:
        policy = OwnerLeaves(settings.sharing.when_owner_leaves)
        self._db = db
        self._labs = LabShares(db, hub)
        self.bell = Bell(feed)
        self.rooms = Rooms(db, directories, policy)
        parts = Parts(db, self.rooms, self.bell, Limits(), self._labs, settings.sharing)
        self.members = Members(parts)
        self.asking = Asking(parts, self.members, invitation_page)
        self.control = Control(parts)
        self.doors = Doors(parts)
        self.views = Views(parts)
        self.thumbnails = Thumbnails(parts)
        self.suggestions = Suggestions(parts, catalogue)
        self.keeper = Keeper(
            parts, self.members, forget_after=timedelta(seconds=settings.recheck_grace_s + _TIDY_S)
        )
        self._recheck_s = recheck_s
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Keep looking at what time changes."""
        self._loops = [
            asyncio.create_task(every(_LOOK_S, "sharing", self.keeper.look)),
            asyncio.create_task(every(_TIDY_S, "sharing's tidying", self.keeper.tidy)),
            asyncio.create_task(every(self._recheck_s, "members' access", self.keeper.recheck)),
        ]

    async def aclose(self) -> None:
        """Stop looking; what is shared stays shared."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._labs.aclose()

    async def audit(self, person: Person, desktop_id: str) -> AuditOut:
        """What happened at a desktop, also once it is over; for its owner and for operators.

        Raises
        ------
        RequestError
            ``desktop_not_found`` for everybody else, and for what never was.
        """
        if not await self._may_audit(person, desktop_id):
            raise refusals.desktop_not_found()
        return AuditOut(items=await self._db.run(lambda s: trail.lines_of(s, desktop_id)))

    async def _may_audit(self, person: Person, desktop_id: str) -> bool:
        found = await self.rooms.find(desktop_id)
        if found is not None:
            desktop, directory = found
            return person.is_operator or await directory.role_of(person, desktop, utcnow()) is Role.OWNER
        launch = await self._db.run(lambda s: launches.get(s, desktop_id))
        return launch is not None and (person.is_operator or launch.person_id == person.id)
