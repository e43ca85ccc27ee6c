"""Whom might the owner invite? People of the same team who have signed in here."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.catalogue.base import Catalogue, CatalogueError
from hub.catalogue.models import InvestigationId, ProposalName
from hub.identity.models import Person
from hub.identity.persons import PersonRow
from hub.sharing.models import NamedPerson
from hub.sharing.parts import Parts

_MOST = 50


class Suggestions:
    """Looks a team up."""

    def __init__(self, parts: Parts, catalogue: Catalogue) -> None:
        self._parts = parts
        self._catalogue = catalogue

    async def of(self, person: Person, desktop_id: str) -> tuple[NamedPerson, ...]:
        """Members of the teams of the data, by name. Only who is on a team is told who else is.

        Raises
        ------
        RequestError
            As `Parts.enter_as_owner`.
        """
        scene = await self._parts.enter_as_owner(desktop_id, person)
        team: set[str] = set()
        for name in scene.desktop.investigations:
            team |= await self._team(name, person)
        known = await self._parts.db.run(lambda s: _people(s, team))
        return tuple(one for one in known if one.username != person.username)

    async def _team(self, name: str, person: Person) -> set[str]:
        try:
            one = await self._catalogue.investigation(InvestigationId(name))
            visits = [one] if one else await self._catalogue.proposal(ProposalName(name))
        except CatalogueError:
            return set()
        teams = [{member.user_id for member in visit.team} for visit in visits]
        return set().union(*(team for team in teams if person.user_id in team))


def _people(session: Session, user_ids: set[str]) -> list[NamedPerson]:
    rows = session.execute(
        select(PersonRow.username, PersonRow.display_name)
        .where(PersonRow.user_id.in_(user_ids), PersonRow.is_blocked.is_(False))
        .order_by(PersonRow.display_name)
        .limit(_MOST)
    )
    return [NamedPerson(username=row[0], name=row[1]) for row in rows]
