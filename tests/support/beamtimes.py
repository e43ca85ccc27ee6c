"""Instruments, beamtimes and people for tests of workstations, and a beamtime that is now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import yaml

from hub.catalogue.base import CatalogueError
from hub.catalogue.models import (
    Instrument,
    Investigation,
    InvestigationId,
    ProposalName,
    Role,
    TeamMember,
)
from hub.identity.models import Person, StaffRole

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def person(user_id: str | None, *, is_blocked: bool = False, is_operator: bool = False) -> Person:
    """A person by the facility's id; their username says something else."""
    return Person(
        id=1,
        issuer="https://idp",
        subject=f"s-{user_id}",
        username=f"u-{user_id}",
        display_name="Somebody",
        user_id=user_id,
        is_blocked=is_blocked,
        roles=frozenset({StaffRole.OPERATOR} if is_operator else ()),
    )


def visit(
    name: str,
    *team: str,
    start: datetime = NOON,
    hours: float = 24,
    instrument: str = "id22",
    role: Role = Role.PARTICIPANT,
) -> Investigation:
    """A beamtime."""
    return Investigation(
        id=InvestigationId(f"{name}-{start:%d%H}"),
        proposal=ProposalName(name),
        title=name,
        instrument=instrument,
        start=start,
        end=start + timedelta(hours=hours),
        root=PurePosixPath(name),
        team=tuple(TeamMember(one, role) for one in team),
    )


def give_beamtime(state: Path, proposal: str, instrument: str) -> None:
    """Let a proposal of a platform's catalogue, which was not started yet, have beamtime from now on."""
    path, now = state / "catalogue" / "proposals" / f"{proposal}.yaml", datetime.now(UTC)
    content = yaml.safe_load(path.read_text())
    visit = {
        "id": f"{proposal}-now",
        "instrument": instrument,
        "start": now - HOUR,
        "end": now + 24 * HOUR,
        "root": f"{proposal}/{instrument}/{now:%Y%m%d}",
    }
    content["proposals"][0]["investigations"].append(visit)
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


class Beamtimes:
    """A catalogue of beamtimes; counts what it is asked, and may be silent."""

    def __init__(self, visits: Sequence[Investigation], scientists: dict[str, set[str]]) -> None:
        self.visits, self.scientists = list(visits), scientists
        self.is_silent = False
        self.asked = 0

    async def investigations_on(self, instrument: str) -> Sequence[Investigation]:
        """As `Catalogue.investigations_on`."""
        self._ask()
        return [one for one in self.visits if one.instrument == instrument]

    async def instruments_of(self, user_id: str) -> Sequence[Instrument]:
        """As `Catalogue.instruments_of`."""
        self._ask()
        return [Instrument(one, one) for one, people in self.scientists.items() if user_id in people]

    def _ask(self) -> None:
        self.asked += 1
        if self.is_silent:
            raise CatalogueError("silent")
