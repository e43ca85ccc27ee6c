from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota.models import Window
from quota.windows import BEGINNING, Span, span_of, split_by_day

PARIS = ZoneInfo("Europe/Paris")
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("UTC", "Europe/Paris", "America/Santiago", "Asia/Kathmandu")]
)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by hypothesis' rule


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year, month, day, hour


@pytest.mark.parametrize(
    ("window", "at", "zone", "start", "end"),
    [
        (Window.DAY, utc(2026, 11, 18, 12), UTC, utc(2026, 11, 18), utc(2026, 11, 19)),
        (Window.DAY, utc(2026, 11, 18, 23), PARIS, utc(2026, 11, 18, 23), utc(2026, 11, 19, 23)),
        # The day on which clocks go back has 25 hours.
        (Window.DAY, utc(2026, 10, 25, 12), PARIS, utc(2026, 10, 24, 22), utc(2026, 10, 25, 23)),
        (Window.WEEK, utc(2026, 11, 18), UTC, utc(2026, 11, 16), utc(2026, 11, 23)),
        (Window.WEEK, utc(2026, 11, 16), UTC, utc(2026, 11, 16), utc(2026, 11, 23)),
        (Window.MONTH, utc(2026, 12, 31, 23), UTC, utc(2026, 12, 1), utc(2027, 1, 1)),
        (Window.MONTH, utc(2028, 2, 29), UTC, utc(2028, 2, 1), utc(2028, 3, 1)),
        (Window.NONE, utc(2026, 11, 18), UTC, BEGINNING, None),
    ],
)
def test_a_window_begins_and_ends_with_the_calendar_of_the_site(window, at, zone, start, end):
    assert span_of(window, at, zone) == Span(start, end)


@given(TIMES, st.sampled_from([Window.DAY, Window.WEEK, Window.MONTH]), ZONES)
def test_windows_follow_each_other_without_gap_or_overlap(at, window, zone):
    span = span_of(window, at, zone)
    assert span.end is not None
    assert span.start <= at < span.end
    assert span_of(window, span.end, zone).start == span.end
    assert span_of(window, span.start - timedelta(microseconds=1), zone).end == span.start


def test_use_is_shared_among_days_by_the_time_in_each():
    started, ended = utc(2026, 11, 17, 18), utc(2026, 11, 19, 6)
    assert split_by_day(3600, started, ended, UTC) == [
        (date(2026, 11, 17), 600),
        (date(2026, 11, 18), 2400),
        (date(2026, 11, 19), 600),
    ]


@given(st.integers(0, 10**9), TIMES, st.timedeltas(timedelta(), timedelta(days=40)), ZONES)
def test_shares_of_days_add_up_exactly(amount, started, length, zone):
    shares = split_by_day(amount, started, started + length, zone)
    assert sum(share for _, share in shares) == amount
    assert all(share > 0 for _, share in shares)
    assert len({day for day, _ in shares}) == len(shares)
