"""Sessions as desktops: there while they live, owned by their person, with the data of their plan."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from hub.access.service import AccessService
from hub.database import Database
from hub.desktop.models import Role, SessionTarget
from hub.identity import persons
from hub.identity.models import Person
from hub.launch import store
from hub.launch.models import LaunchRequest
from hub.launch.states import LIVE, LaunchState, Target
from hub.launch.store import Launch
from hub.problems import RequestError
from hub.sharing.directory import Desktop
from spawners.plan import Interface

_ID = re.compile(r"[0-9a-f]{16}\Z")


class Sessions:
    """The directory of sessions; a `hub.sharing.directory.DesktopDirectory`.

    ``idle_ends_at`` says when one that nobody uses ends, if it was warned.
    """

    def __init__(
        self,
        db: Database,
        access: AccessService,
        idle_ends_at: Callable[[str], datetime | None] = lambda _: None,
    ) -> None:
        self._db = db
        self._access = access
        self._idle_ends_at = idle_ends_at

    async def find(self, desktop_id: str) -> Desktop | None:
        """A session that lives and is not being ended."""
        if not _ID.match(desktop_id):
            return None
        found = await self._db.run(lambda s: _launch_and_owner(s, desktop_id))
        if found is None:
            return None
        launch, owner = found
        return Desktop(
            id=launch.id,
            title=launch.display_name or launch.server_name,
            kind="session",
            owner=owner,
            target=_target(launch),
            until=launch.deadline,
            idle_ends_at=self._idle_ends_at(launch.id),
            investigations=(launch.proposal,) if launch.proposal else (),
            server_name=launch.server_name,
            has_picture=_interface(launch) is Interface.DESKTOP,
        )

    async def role_of(self, person: Person, desktop: Desktop, now: datetime) -> Role | None:
        """Its owner; nobody else is anybody there without the owner's word, staff included."""
        assert desktop.owner is not None, "a session has an owner"
        return Role.OWNER if person.id == desktop.owner.id and not person.is_blocked else None

    async def unreadable(self, person: Person, desktop: Desktop) -> str:
        """Proposal of the session, if a mount of it is closed to the person today."""
        launch = await self._db.run(lambda s: store.get(s, desktop.id))
        if launch is None or launch.plan is None:
            return ""
        shown = {mount.target for mount in launch.launch_plan().mounts}
        if not shown:
            return ""
        inputs = LaunchRequest.model_validate(launch.request).inputs
        try:
            granted = await self._access.mounts_now(person, inputs)
        except RequestError as error:
            if error.problem.status >= 500:
                raise  # nobody can say
            granted = ()
        is_open = shown <= {mount.target for mount in granted}
        return "" if is_open else (launch.proposal or "a proposal")


def _launch_and_owner(session: Session, launch_id: str) -> tuple[Launch, Person] | None:
    launch = store.get(session, launch_id)
    if launch is None or launch.state not in LIVE - {LaunchState.ENDING} or launch.target is Target.STOP:
        return None
    owner = persons.by_id(session, launch.person_id)
    return None if owner is None else (launch, owner)


def _target(launch: Launch) -> SessionTarget | None:
    if launch.state is not LaunchState.RUNNING or launch.url is None:
        return None
    path = f"/user/{launch.username}/{launch.server_name}/"
    return SessionTarget(launch_id=launch.id, url=f"{launch.url.rstrip('/')}{path}")


def _interface(launch: Launch) -> Interface:
    if launch.plan is not None:
        return launch.launch_plan().interface
    return LaunchRequest.model_validate(launch.request).interface
