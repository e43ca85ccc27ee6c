"""When does a window begin and end, and on which day was something used?

Windows are those of the calendar in the site's time zone, so that a person can be told the exact
moment at which used amounts count from zero again. A week begins on Monday (ISO 8601).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from quota.models import Window

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of the window that never ends: before any entry."""


@dataclass(frozen=True, slots=True)
class Span:
    """One window: ``start`` ≤ t < ``end``, for ever where ``end`` is None."""

    start: datetime
    end: datetime | None


def midnight(day: date, zone: tzinfo) -> datetime:
    """First moment of a day, in UTC. Where clocks skip midnight it is the first moment after the gap."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def span_of(window: Window, at: datetime, zone: tzinfo) -> Span:
    """The window of this kind that ``at`` lies in."""
    day = at.astimezone(zone).date()
    match window:
        case Window.NONE:
            return Span(BEGINNING, None)
        case Window.DAY:
            first, after = day, day + timedelta(days=1)
        case Window.WEEK:
            first = day - timedelta(days=day.weekday())
            after = first + timedelta(days=7)
        case Window.MONTH:
            first = day.replace(day=1)
            after = (first + timedelta(days=31)).replace(day=1)
    return Span(midnight(first, zone), midnight(after, zone))


def split_by_day(amount: int, started: datetime, ended: datetime, zone: tzinfo) -> list[tuple[date, int]]:
    """Share ``amount`` among the days from ``started`` to ``ended``, in proportion to the time in each.

    The shares are whole numbers and add up to ``amount`` exactly: each is the difference of two
    rounded running totals. Days with nothing are left out.
    """
    if ended <= started:
        return [(ended.astimezone(zone).date(), amount)] if amount else []
    length = ended - started
    day = started.astimezone(zone).date()
    shares: list[tuple[date, int]] = []
    counted = 0
    while counted < amount:
        until = min(midnight(day + timedelta(days=1), zone), ended)
        total = amount * ((until - started) // timedelta.resolution) // (length // timedelta.resolution)
        if total > counted:
            shares.append((day, total - counted))
        counted = total
        day += timedelta(days=1)
    return shares
