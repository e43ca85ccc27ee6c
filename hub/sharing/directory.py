"""Which desktops are there, and who is somebody at one without having been invited?

Two kinds answer: sessions (`hub.sharing.sessions`) and workstations (`hub.sharing.workstations`). What
people are given by others is not asked here: `hub.sharing.store` has it, and `hub.sharing.rules` joins both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from hub.desktop.models import Role, SessionTarget, WorkstationTarget
from hub.identity.models import Person


@dataclass(frozen=True, slots=True)
class Desktop:
    """What people connect to.

    ``owner`` is the person of a session; a workstation has none: there the instrument's staff have the
    role `Role.OWNER` by what they are. ``target`` is None while a session does not run yet. ``until`` is
    when it ends or closes (aware UTC), None where that is not known. ``server_name`` is that of a
    session's server at the hub, empty for workstations. ``investigations`` are those whose data it shows.
    ``grants_end`` is when roles that are given now end at the latest: at a workstation with the next
    beamtime, whose team must not find guests of the last one. ``idle_ends_at``: nobody uses it, and it ends
    then unless somebody does. ``screens`` are those that a workstation shows side by side.
    """

    id: str
    title: str
    kind: Literal["session", "workstation"]
    owner: Person | None
    target: SessionTarget | WorkstationTarget | None
    until: datetime | None = None
    investigations: tuple[str, ...] = ()
    server_name: str = ""
    has_picture: bool = True
    call_url: str | None = None
    grants_end: datetime | None = None
    idle_ends_at: datetime | None = None
    screens: int = 1


class DesktopDirectory(Protocol):
    """One kind of desktops.

    Both are made by `hub.app.App`: ``Sessions(db, access)`` and
    ``Workstations(settings.desktop.workstations, catalogue)``.
    """

    async def find(self, desktop_id: str) -> Desktop | None:
        """The desktop of that id while it is there; None for an unknown one and for one that is over."""
        ...

    async def role_of(self, person: Person, desktop: Desktop, now: datetime) -> Role | None:
        """Role that a person has by what they are: its owner, its staff, on the team in the beamtime.

        Raises
        ------
        hub.problems.RequestError
            ``catalogue_unavailable`` if nobody can say.
        """
        ...

    async def unreadable(self, person: Person, desktop: Desktop) -> str:
        """Name of the proposal whose data it shows and the person may not read; empty if they may all.

        Raises
        ------
        hub.problems.RequestError
            ``catalogue_unavailable`` if nobody can say.
        """
        ...
