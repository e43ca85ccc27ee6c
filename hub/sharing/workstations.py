"""Workstations as desktops: machines with a screen of their own, open by beamtime.

The gate is `hub.sharing.beamtime`. The catalogue is asked anew every ten seconds; when it does not answer,
nobody is let in, not even staff: who is there already stays (`hub.sharing.rooms`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hub.catalogue.base import Catalogue, CatalogueError
from hub.catalogue.models import Instrument, Investigation
from hub.desktop.models import Role, WorkstationTarget
from hub.desktop.settings import WorkstationSettings
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.problems import Problem, RequestError
from hub.sharing.beamtime import Standing, is_on_team, is_staff, on_now, standing
from hub.sharing.directory import Desktop

PREFIX = "ws-"

SHOWN_AHEAD = timedelta(days=14)
"""A beamtime is listed this long before it opens the workstation."""

_LONG_OVER = timedelta(days=4)
"""More than the longest margin."""

_KEPT_S = 10.0
_MOST_KEPT = 5000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """A workstation as the home page of one person shows it."""

    desktop: str
    title: str
    instrument: str
    call_url: str | None
    standing: Standing


class Workstations:
    """The directory of workstations; a `hub.sharing.directory.DesktopDirectory`."""

    def __init__(
        self,
        settings: Mapping[str, WorkstationSettings],
        catalogue: Catalogue,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, object]] = OrderedDict()

    async def find(self, desktop_id: str) -> Desktop | None:
        """A workstation that the operator declared."""
        name = desktop_id.removeprefix(PREFIX)
        settings = self._settings.get(name)
        if settings is None or name == desktop_id:
            return None
        now, visits = utcnow(), await self._known_visits(settings)
        return Desktop(
            id=desktop_id,
            title=settings.title,
            kind="workstation",
            owner=None,
            target=WorkstationTarget(name=name),
            investigations=tuple(one.id for one in on_now(visits, settings.instrument, now)),
            call_url=settings.call_url,
            screens=settings.screens,
            grants_end=min((one.start for one in visits if one.start > now), default=None),
        )

    async def role_of(self, person: Person, desktop: Desktop, now: datetime) -> Role | None:
        """Owner for the instrument's scientists, viewer for the team whose beamtime it is."""
        return (await self._standing(person, self._of(desktop), now)).role

    async def unreadable(self, person: Person, desktop: Desktop) -> str:
        """Proposal whose beamtime it is, unless the person is on a team of now or the instrument's staff."""
        settings = self._of(desktop)
        running = on_now(await self._investigations(settings), settings.instrument, utcnow())
        if not running or any(is_on_team(person, one) for one in running):
            return ""
        instruments = await self._instruments(person)
        return "" if is_staff(person, settings.instrument, instruments) else running[0].proposal

    async def listed(self, person: Person, now: datetime) -> tuple[Listed, ...]:
        """Workstations that are open to a person, and those that will be soon.

        Raises
        ------
        RequestError
            ``catalogue_unavailable`` if nobody can say.
        """
        found = []
        for name, settings in self._settings.items():
            mine = await self._standing(person, settings, now)
            is_soon = mine.opens_at is not None and mine.opens_at <= now + SHOWN_AHEAD
            if mine.role is not None or is_soon:
                found.append(
                    Listed(f"{PREFIX}{name}", settings.title, settings.instrument, settings.call_url, mine)
                )
        return tuple(found)

    def _of(self, desktop: Desktop) -> WorkstationSettings:
        return self._settings[desktop.id.removeprefix(PREFIX)]

    async def _standing(self, person: Person, settings: WorkstationSettings, now: datetime) -> Standing:
        return standing(
            person,
            settings.instrument,
            scientist_of=await self._instruments(person),
            investigations=await self._investigations(settings),
            margin=timedelta(hours=settings.margin_hours),
            now=now,
        )

    async def _known_visits(self, settings: WorkstationSettings) -> Sequence[Investigation]:
        try:
            return await self._investigations(settings)
        except RequestError:
            return ()  # nobody gets or gives a role meanwhile: see `role_of`

    async def _instruments(self, person: Person) -> Sequence[Instrument]:
        if not person.user_id:
            return ()
        return await self._ask(("of", person.user_id), self._catalogue.instruments_of)

    async def _investigations(self, settings: WorkstationSettings) -> Sequence[Investigation]:
        return await self._ask(("on", settings.instrument), self._recent_on)

    async def _recent_on(self, instrument: str) -> Sequence[Investigation]:
        """Those whose margin may last: an instrument has thousands that are long over."""
        oldest = utcnow() - _LONG_OVER
        return tuple(one for one in await self._catalogue.investigations_on(instrument) if one.end > oldest)

    async def _ask(
        self, key: tuple[str, str], question: Callable[[str], Awaitable[Sequence[T]]]
    ) -> Sequence[T]:
        at, answer = self._kept.get(key, (0.0, None))
        if answer is not None and self._clock() - at < _KEPT_S:
            return answer  # type: ignore[return-value]  # one question, one type of answer
        try:
            fresh = await question(key[1])
        except (CatalogueError, RequestError) as error:
            raise catalogue_unavailable() from error
        self._kept[key] = (self._clock(), fresh)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return fresh


def catalogue_unavailable() -> RequestError:
    """The refusal while nobody can say whose beamtime it is."""
    return RequestError(
        Problem(
            code="catalogue_unavailable",
            status=503,
            title="The data catalogue does not answer",
            detail="Whose beamtime it is cannot be checked now, so nobody is let in to a workstation.",
            hint="Try again in a few minutes; people who are connected stay so.",
        )
    )
