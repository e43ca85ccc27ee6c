"""Who used how much, when, and who paid? Sums for the pages, made by the database.

All of them read ``quota_use``: one row per launch, resource and day, written when the launch was
settled. Days are those of the site's calendar; both ends of a range are included. Running
sessions count once they are settled; adjustments by operators are not use and do not appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from quota.models import AccountRef, Meter, Resource
from quota.store import ACCOUNTS, USE


@dataclass(frozen=True, slots=True)
class Period:
    """Days from ``first`` to ``last``, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class DayUse:
    """What was used on one day for the data of one proposal; None: of none."""

    day: date
    proposal: str | None
    resource: Resource
    amount: int
    launches: int


@dataclass(frozen=True, slots=True)
class PayerUse:
    """What one account paid for."""

    payer: AccountRef
    resource: Resource
    amount: int
    launches: int
    persons: int


@dataclass(frozen=True, slots=True)
class ProposalUse:
    """What was used for the data of one proposal, whoever paid; None: of none."""

    proposal: str | None
    resource: Resource
    amount: int
    launches: int
    persons: int


@dataclass(frozen=True, slots=True)
class PersonUse:
    """What one person used, whoever paid."""

    username: str
    resource: Resource
    amount: int
    launches: int
    last_day: date


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long an allocation lasts at the pace so far. ``pace`` is an amount per day.

    ``runs_out_at`` is None where it lasts until the window ends, for ever, or nothing limits it.
    """

    pace: float
    runs_out_at: datetime | None


_FAR_DAYS = 3650
"""Ten years: proposals and their allocations end well before."""

_AMOUNT = func.sum(USE.c.amount).label("amount")
_LAUNCHES = func.count(USE.c.launch_id.distinct()).label("launches")
_PERSONS = func.count(USE.c.username.distinct()).label("persons")


def use_by_day(session: Session, period: Period, *, username: str | None = None) -> list[DayUse]:
    """Use by day and proposal of the data, oldest first; of one person, or of all."""
    query = _in(period, select(USE.c.day, USE.c.proposal, USE.c.resource, _AMOUNT, _LAUNCHES))
    if username is not None:
        query = query.where(USE.c.username == username)
    keys = (USE.c.day, USE.c.proposal, USE.c.resource)
    rows = session.execute(query.group_by(*keys).order_by(*keys))
    return [DayUse(row.day, row.proposal, row.resource, int(row.amount), row.launches) for row in rows]


def use_by_payer(
    session: Session, period: Period, *, resource: Resource | None = None, limit: int = 1000
) -> list[PayerUse]:
    """Use by the account that paid, largest first."""
    keys = (ACCOUNTS.c.kind, ACCOUNTS.c.key, USE.c.resource)
    query = select(*keys, _AMOUNT, _LAUNCHES, _PERSONS).join_from(
        USE, ACCOUNTS, USE.c.account_id == ACCOUNTS.c.id
    )
    rows = session.execute(_largest(query, period, resource, keys, limit))
    return [
        PayerUse(AccountRef(row.kind, row.key), row.resource, int(row.amount), row.launches, row.persons)
        for row in rows
    ]


def use_by_proposal(
    session: Session, period: Period, *, resource: Resource | None = None, limit: int = 1000
) -> list[ProposalUse]:
    """Use by proposal of the data, largest first."""
    keys = (USE.c.proposal, USE.c.resource)
    query = select(*keys, _AMOUNT, _LAUNCHES, _PERSONS)
    rows = session.execute(_largest(query, period, resource, keys, limit))
    return [
        ProposalUse(row.proposal, row.resource, int(row.amount), row.launches, row.persons) for row in rows
    ]


def use_by_person(
    session: Session,
    period: Period,
    *,
    resource: Resource | None = None,
    payer: AccountRef | None = None,
    limit: int = 1000,
) -> list[PersonUse]:
    """Use by person, largest first; of all, or of what one account paid for."""
    keys = (USE.c.username, USE.c.resource)
    query = select(*keys, _AMOUNT, _LAUNCHES, func.max(USE.c.day).label("last_day"))
    if payer is not None:
        accounts = select(ACCOUNTS.c.id).where(ACCOUNTS.c.kind == payer.kind, ACCOUNTS.c.key == payer.key)
        query = query.where(USE.c.account_id.in_(accounts))
    rows = session.execute(_largest(query, period, resource, keys, limit))
    return [
        PersonUse(row.username, row.resource, int(row.amount), row.launches, row.last_day) for row in rows
    ]


def forecast(meter: Meter, since: datetime, now: datetime) -> Forecast:
    """When an allocation runs out, should use go on at the mean pace since ``since``.

    Open holds count as used, as they do for a new hold. ``since`` is the start of the window, or
    the first use of an allocation that has none.
    """
    days = (now - since) / timedelta(days=1)
    pace = max(0.0, (meter.used + meter.held) / days) if days > 0 else 0.0
    if meter.left is None or pace == 0.0:
        return Forecast(pace, None)
    days_left = max(0, meter.left) / pace
    ends = [end for end in (meter.resets_at, meter.until) if end is not None]
    # A long way off is never: a date of the calendar cannot hold it, and nobody plans by it.
    if days_left > _FAR_DAYS:
        return Forecast(pace, None)
    runs_out_at = now + timedelta(days=days_left)
    return Forecast(pace, None if ends and runs_out_at >= min(ends) else runs_out_at)


def _in(period: Period, query: Select[Any]) -> Select[Any]:
    return query.where(USE.c.day.between(period.first, period.last))


def _largest(
    query: Select[Any],
    period: Period,
    resource: Resource | None,
    keys: tuple[ColumnElement[Any], ...],
    limit: int,
) -> Select[Any]:
    if resource is not None:
        query = query.where(USE.c.resource == resource)
    return _in(period, query).group_by(*keys).order_by(_AMOUNT.desc(), *keys).limit(limit)
