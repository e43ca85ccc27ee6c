"""What the home page shows of sharing: who is in one's own sessions, and what others share with one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hub.database import Database
from hub.desktop.models import Role
from hub.identity import persons
from hub.identity.models import Person
from hub.launch.news import utcnow
from hub.launch.store import Launch
from hub.pages.sessionviews import ComingStation, SessionCard, SharedCard
from hub.problems import RequestError
from hub.sharing import passes, store
from hub.sharing.service import Sharing
from hub.sharing.workstations import Listed
from spawners.plan import LaunchId

if TYPE_CHECKING:
    from hub.app import App

_MOST = 24
"""Sessions of others on the page."""


@dataclass(frozen=True, slots=True)
class Company:
    """Who is in a session of one's own, and how many ask to be."""

    with_people: tuple[str, ...] = ()
    asking: int = 0
    thumbnail: str = ""


async def company_of(app: App, person: Person, launches: Sequence[Launch]) -> dict[LaunchId, Company]:
    """Who is in a person's sessions; empty where nothing can be shared."""
    if app.sharing is None:
        return {}
    now = utcnow()
    return await app.db.run(lambda s: {one.id: _company(s, one.id, person, now) for one in launches})


def _company(session: Session, desktop: str, person: Person, now: datetime) -> Company:
    here, _ = passes.presence(session, desktop, now)
    others = persons.by_usernames(session, set(here) - {person.username})
    return Company(
        with_people=tuple(sorted(one.display_name for one in others.values())),
        asking=len(store.asks(session, desktop)),
        thumbnail=_stamp(store.thumbnail_at(session, desktop)),
    )


def with_company(card: SessionCard, company: Mapping[LaunchId, Company]) -> SessionCard:
    """The card of a session with who is in it."""
    found = company.get(LaunchId(card.launch_id))
    if found is None:
        return card
    return replace(
        card,
        can_share=True,
        with_people=found.with_people,
        asking=found.asking,
        thumbnail=found.thumbnail if card.has_desktop else "",
    )


async def workstations_of(app: App, person: Person) -> tuple[Listed, ...]:
    """Workstations that are or will be open to a person; none while nobody can say."""
    try:
        return () if app.workstations is None else await app.workstations.listed(person, utcnow())
    except RequestError:
        return ()


def coming_of(stations: Sequence[Listed]) -> tuple[ComingStation, ...]:
    """Those that are not open yet, the next one first."""
    waiting = [(one.standing.opens_at, one) for one in stations if one.standing.opens_at is not None]
    waiting.sort(key=lambda pair: (pair[0], pair[1].desktop))
    return tuple(ComingStation(one.title, one.standing.proposal, at) for at, one in waiting)


async def shared_with(app: App, person: Person, listed: Sequence[Listed] = ()) -> tuple[SharedCard, ...]:
    """Sessions that others share with a person, and workstations that are open to them."""
    sharing, settings = app.sharing, app.settings.desktop
    if sharing is None or settings is None:
        return ()
    now = utcnow()
    given = await app.db.run(lambda s: store.desktops_of_member(s, person.username, now))
    stations = [f"ws-{name}" for name in settings.workstations]
    ids = dict.fromkeys([*stations, *given])
    has_lab = settings.sharing.lab
    found = await asyncio.gather(*(_card(app.db, sharing, person, one, has_lab=has_lab) for one in ids))
    closes = {one.desktop: one.standing.closes_at for one in listed}
    cards = (replace(one, until=one.until or closes.get(one.desktop)) for one in found if one is not None)
    return tuple(cards)[:_MOST]


async def _card(
    db: Database, sharing: Sharing, person: Person, desktop_id: str, *, has_lab: bool
) -> SharedCard | None:
    try:
        scene = await sharing.rooms.look(desktop_id, person)
    except RequestError:
        return None  # nobody can say now whether it is open to them
    role = scene.role(person) if scene is not None else None
    if scene is None or role is None or scene.owner == person.username:
        return None
    thumbnail = await db.run(lambda s: store.thumbnail_at(s, desktop_id))
    desktop = scene.desktop
    is_let_in = has_lab and role is not Role.VIEWER and scene.owner is not None
    return SharedCard(
        desktop=desktop.id,
        title=desktop.title,
        owner=scene.name(scene.owner) if scene.owner else "",
        role=role,
        has_picture=desktop.has_picture,
        is_running=desktop.target is not None,
        lab_url=f"/user/{scene.owner}/{desktop.server_name}/lab" if is_let_in and desktop.target else "",
        until=desktop.until,
        with_people=tuple(sorted(scene.name(one) for one in scene.room.here if one != person.username)),
        thumbnail=_stamp(thumbnail),
    )


def _stamp(at: datetime | None) -> str:
    """Something that changes with the picture, for its address."""
    return at.strftime("%H%M%S") if at else ""
