"""Whose workstation is it now? A pure function of a person, an instrument's beamtimes and the time.

- The instrument's scientists are its owners, always.
- The team of an investigation sees it in its beamtime, and for a margin before and after. The margin gives
  way to the beamtime of another team: nobody looks over the shoulder of those whose turn it is.
- Nobody else is anybody here: no role of the site, no right to read the data, no explicit grant.

People are told apart by the facility's user id alone. A team's role is to see; control is handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.catalogue.models import Instrument, Investigation
from hub.catalogue.models import Role as TeamRole
from hub.desktop.models import Role
from hub.identity.models import Person


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is at a workstation. Times are aware UTC.

    Without a ``role``, ``opens_at`` is when the next beamtime of theirs lets them in; with one,
    ``closes_at`` is when it ends (None for staff). ``proposal`` is that of the beamtime.
    """

    role: Role | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    proposal: str = ""


NOBODY = Standing()


def standing(
    person: Person,
    instrument: str,
    *,
    scientist_of: Iterable[Instrument],
    investigations: Sequence[Investigation],
    margin: timedelta,
    now: datetime,
) -> Standing:
    """Decide.

    Parameters
    ----------
    scientist_of
        Instruments that the person is a scientist of, as the catalogue says.
    investigations
        Those on the instrument.
    margin
        How long before and after a beamtime its team may see the workstation.
    """
    if person.is_blocked or not person.user_id:
        return NOBODY
    if is_staff(person, instrument, scientist_of):
        return Standing(Role.OWNER)
    here = [one for one in investigations if one.instrument == instrument]
    own = sorted((one for one in here if is_on_team(person, one)), key=lambda one: one.start)
    running = [one for one in here if _is_on(one, now)]
    for visit in own:
        is_turn = _is_on(visit, now)
        is_margin = visit.start - margin <= now < visit.end + margin and not running
        if is_turn or is_margin:
            closes_at = min([visit.end + margin, *_starts_of_others(person, here, visit.end)])
            return Standing(Role.VIEWER, closes_at=closes_at, proposal=visit.proposal)
    coming = next((one for one in own if one.start > now), None)
    if coming is None:
        return NOBODY
    # The beamtime of others may take all of the margin, but never of the beamtime.
    free_at = max((one.end for one in running), default=now)
    opens_at = min(max(coming.start - margin, free_at), coming.start)
    return Standing(opens_at=opens_at, proposal=coming.proposal)


def _starts_of_others(person: Person, here: Iterable[Investigation], after: datetime) -> list[datetime]:
    return [one.start for one in here if one.start >= after and not is_on_team(person, one)]


def is_staff(person: Person, instrument: str, scientist_of: Iterable[Instrument]) -> bool:
    """Whether a person is a scientist of the instrument."""
    return any(one.id == instrument for one in scientist_of) and not person.is_blocked


def is_on_team(person: Person, investigation: Investigation) -> bool:
    """Whether a person is on the team, in a role that the site knows."""
    return bool(person.user_id) and any(
        member.user_id == person.user_id and member.role is not TeamRole.UNKNOWN
        for member in investigation.team
    )


def on_now(investigations: Iterable[Investigation], instrument: str, now: datetime) -> list[Investigation]:
    """Investigations whose beamtime it is."""
    return [one for one in investigations if one.instrument == instrument and _is_on(one, now)]


def _is_on(investigation: Investigation, now: datetime) -> bool:
    return investigation.start <= now < investigation.end
