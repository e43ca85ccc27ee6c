"""Dates of release."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.release import is_released, years_after


@pytest.mark.parametrize(
    ("start", "years", "expected"),
    [
        (date(2024, 2, 29), 3, date(2027, 2, 28)),
        (date(2024, 2, 29), 4, date(2028, 2, 29)),
        (date(2024, 2, 28), 3, date(2027, 2, 28)),
        (date(2023, 12, 31), 1, date(2024, 12, 31)),
        (date(2024, 2, 29), 0, date(2024, 2, 29)),
    ],
)
def test_years_after(start: date, years: int, expected: date) -> None:
    assert years_after(start, years) == expected


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(0, 50))
def test_the_same_day_or_the_one_before(start: date, years: int) -> None:
    later = years_after(start, years)
    assert (later.year, later.month) == (start.year + years, start.month)
    assert later.day in {start.day, start.day - 1}


def test_data_is_open_from_the_day_after_its_release_date() -> None:
    today = date(2026, 11, 21)
    assert is_released(today - timedelta(days=1), today)
    assert not is_released(today, today)
    assert not is_released(None, today)
