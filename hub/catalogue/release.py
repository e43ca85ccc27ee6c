"""When does data become public? Dates of embargo and release."""

from __future__ import annotations

import calendar
from datetime import date


def years_after(start: date, years: int) -> date:
    """The same day ``years`` later; 29 February becomes 28 where the year has none."""
    year = start.year + years
    last = calendar.monthrange(year, start.month)[1]
    return date(year, start.month, min(start.day, last))


def is_released(release_date: date | None, today: date) -> bool:
    """Whether a release date has passed. No date means never."""
    return release_date is not None and release_date < today
