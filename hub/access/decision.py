"""May this person see this investigation now? The access table as a pure function.

Rows 1 and 2 deny, the first that holds wins. Rows 3 to 8 grant, and their union counts, so a
further role never takes anything away. Row 9 is everybody else. Row 0 (a catalogue that cannot
answer) is the caller's: there is nothing to decide on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from hub.access.policy import AccessPolicy, Rights
from hub.access.rights import (
    RELEASED_ROW,
    BreakGlass,
    Decision,
    Grant,
    Right,
    Subject,
    Visibility,
    most_visible,
    widest,
)
from hub.catalogue.models import Investigation, Role, TeamMember
from hub.catalogue.release import is_released

_ROLE_WORDS = {
    Role.PI: "principal investigator",
    Role.CO_PROPOSER: "co-proposer",
    Role.PARTICIPANT: "participant",
    Role.LOCAL_CONTACT: "local contact",
    Role.COLLABORATOR: "collaborator",
    Role.UNKNOWN: "in a role this site has no rule for",
}


def decide(
    subject: Subject, investigation: Investigation, *, now: datetime, policy: AccessPolicy
) -> Decision:
    """Apply the access table.

    Parameters
    ----------
    now
        Aware UTC; the table's *today* is its date.

    Returns
    -------
    Decision
        Union of all grants with their reasons, or the row that denies.
    """
    if denial := _unusable(subject, policy):
        return Decision(investigation.id, row=1, metadata=Visibility.HIDDEN, denial=denial)
    if investigation.is_proprietary and not _may_know(subject, investigation, now, policy):
        return Decision(investigation.id, row=2, metadata=Visibility.HIDDEN, denial=_NOT_OPEN)
    grants = tuple(_grants(subject, investigation, now, policy))
    if not grants:
        return _otherwise(investigation, now.date(), policy)
    return Decision(
        investigation.id,
        row=grants[0].row,
        metadata=most_visible(tuple(grant.metadata for grant in grants)),
        raw=widest(tuple(grant.raw for grant in grants)),
        processed=widest(tuple(grant.processed for grant in grants)),
        scripts=widest(tuple(grant.scripts for grant in grants)),
        grants=grants,
    )


def _unusable(subject: Subject, policy: AccessPolicy) -> str:
    if subject.is_blocked:
        return "Your account is blocked."
    if subject.user_id is None and not policy.identity.unbound_reads_released:
        return "Your sign-in is not bound to an account of this facility."
    return ""


def _may_know(subject: Subject, investigation: Investigation, now: datetime, policy: AccessPolicy) -> bool:
    if _membership(subject, investigation):
        return True
    if any(_explicit(subject, investigation, now.date(), policy)):
        return True
    return policy.proprietary.open_to_break_glass and any(_break_glass(subject, now, policy))


def _grants(
    subject: Subject, investigation: Investigation, now: datetime, policy: AccessPolicy
) -> Iterator[Grant]:
    today = now.date()
    if subject.user_id is not None:
        yield from _team(subject, investigation, policy)
        yield from _instrument(subject, investigation, policy)
        yield from _explicit(subject, investigation, today, policy)
        yield from _break_glass(subject, now, policy)
    yield from _released(investigation, today, policy)


def _membership(subject: Subject, investigation: Investigation) -> tuple[TeamMember, ...]:
    return tuple(member for member in investigation.team if member.user_id == subject.user_id)


def _team(subject: Subject, investigation: Investigation, policy: AccessPolicy) -> Iterator[Grant]:
    members = _membership(subject, investigation)
    # Full members first: the decision's row is that of its first grant.
    for member in sorted(members, key=lambda one: one.role not in policy.team.roles):
        reason = f"you are on the team ({_ROLE_WORDS[member.role]})"
        if member.role in policy.team.roles:
            yield _grant(3, reason, policy.team.rights)
        else:
            yield _grant(4, reason, policy.other_members.rights)


def _instrument(subject: Subject, investigation: Investigation, policy: AccessPolicy) -> Iterator[Grant]:
    row = policy.instrument_scientist
    if not row.is_on or investigation.instrument not in subject.scientist_of:
        return
    # Who may read proprietary data is for the payer to say: by naming a local contact.
    roles = {member.role for member in _membership(subject, investigation)}
    if investigation.is_proprietary and Role.LOCAL_CONTACT not in roles:
        return
    yield _grant(5, f"you are a scientist of the instrument {investigation.instrument}", row.rights)


def _explicit(
    subject: Subject, investigation: Investigation, today: date, policy: AccessPolicy
) -> Iterator[Grant]:
    row = policy.explicit_grant
    if not row.is_on:
        return
    for given in investigation.grants:
        if given.user_id == subject.user_id and given.expires >= today:
            rights = row.writable if given.may_write_processed else row.rights
            reason = f"given to you by {given.given_by} until {_day(given.expires)} ({given.reason})"
            yield _grant(6, reason, rights, until=given.expires)


def _break_glass(subject: Subject, now: datetime, policy: AccessPolicy) -> Iterator[Grant]:
    row, taken = policy.break_glass, subject.break_glass
    if not row.is_on or taken is None or not subject.is_steward:
        return
    if is_in_force(taken, now, max_hours=row.max_hours):
        reason = f"emergency access until {taken.until.astimezone(UTC):%H:%M} UTC ({taken.reason})"
        yield _grant(7, reason, row.rights, until=taken.until.date())


def is_in_force(taken: BreakGlass, now: datetime, *, max_hours: int) -> bool:
    """Whether emergency access holds at ``now``: with a reason, and not for longer than allowed."""
    is_short = taken.until - taken.since <= timedelta(hours=max_hours)
    return bool(taken.reason.strip()) and is_short and taken.since <= now < taken.until


def _released(investigation: Investigation, today: date, policy: AccessPolicy) -> Iterator[Grant]:
    row = policy.released
    if not row.is_on or investigation.is_proprietary or investigation.release_date is None:
        return
    has_sign = investigation.doi is not None or investigation.is_published
    if is_released(investigation.release_date, today) and (has_sign or not row.needs_doi_or_published):
        doi = f", DOI {investigation.doi}" if investigation.doi else ""
        yield _grant(RELEASED_ROW, f"released on {_day(investigation.release_date)}{doi}", row.rights)


def _otherwise(investigation: Investigation, today: date, policy: AccessPolicy) -> Decision:
    seen = policy.otherwise.metadata
    until = investigation.release_date
    if seen is Visibility.HIDDEN or until is None or is_released(until, today):
        return Decision(investigation.id, row=9, metadata=seen, denial=_NOT_OPEN)
    denial = f"The data is under embargo until {_day(until)}."
    return Decision(investigation.id, row=9, metadata=seen, denial=denial, embargoed_until=until)


def _grant(row: int, reason: str, rights: Rights, *, until: date | None = None) -> Grant:
    # A policy made without validation must not open raw data for writing either.
    raw = Right.READ if rights.raw is not Right.NONE else Right.NONE
    return Grant(row, reason, rights.metadata, raw, rights.processed, rights.scripts, until)


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


_NOT_OPEN = "There is no such data, or you may not read it."
