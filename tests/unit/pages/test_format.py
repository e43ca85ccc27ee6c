"""How values are written for people."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.launch.states import EndReason, LaunchState
from hub.pages import format as text
from quota.models import Resource


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.004, "< 0.01"),
        (-0.004, "> -0.01"),
        (0.1, "0.1"),
        (0.123, "0.12"),
        (0.996, "1"),
        (1, "1"),
        (12.44, "12.4"),
        (99.94, "99.9"),
        (99.96, "100"),
        (1240.2, "1,240"),
    ],
)
def test_a_number_is_rounded_as_a_person_would(value, expected):
    assert text.number(value) == expected


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_what_is_not_zero_never_shows_as_zero(value):
    assert text.number(value) not in {"0", "0.0", "0.00"}


@pytest.mark.parametrize(
    ("value", "resource", "expected"),
    [
        (44_640, Resource.CPU_SECONDS, "12.4 CPU-hours"),
        (3600, Resource.GPU_SECONDS, "1 GPU-hours"),
        (10, Resource.CPU_SECONDS, "< 0.01 CPU-hours"),
        (3600 * 2048, Resource.MIB_SECONDS, "2 GiB-hours"),
        (1, Resource.SESSIONS, "1 session"),
        (3, Resource.SESSIONS, "3 sessions"),
    ],
)
def test_an_amount_of_the_ledger_has_its_unit(value, resource, expected):
    assert text.amount(value, resource) == expected


def test_tables_use_short_units():
    assert text.short_amount(44_640, Resource.CPU_SECONDS) == "12.4 CPU-h"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59.4), "59 s"),
        (timedelta(seconds=59.6), "1 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=1, minutes=20), "1 h 20 min"),
        (timedelta(hours=47, minutes=59), "47 h 59 min"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=2, hours=4, minutes=30), "2 d 4 h"),
    ],
)
def test_a_duration_is_written_in_two_units_at_most(value, expected):
    assert text.duration(value) == expected


@pytest.mark.parametrize(
    ("mib", "expected"), [(512, "512 MB"), (1024, "1 GB"), (1536, "1.5 GB"), (65_536, "64 GB")]
)
def test_memory_is_written_in_everyday_units(mib, expected):
    assert text.memory(mib) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_100_000_000, "2.1 GB"), (10**18, "1,000 PB")],
)
def test_a_size_of_files_is_decimal(size, expected):
    assert text.bytesize(size) == expected


def test_a_number_agrees_with_its_noun():
    assert text.count(1, "frame") == "1 frame"
    assert text.count(1200, "frame") == "1,200 frames"
    assert text.count(2, "proposal of yours", "proposals of yours") == "2 proposals of yours"


def test_times_are_written_in_utc_whatever_their_zone():
    local = datetime(2026, 11, 3, 15, 20, tzinfo=timezone(timedelta(hours=1)))
    assert text.clock(local) == "14:20 UTC"
    assert text.moment(local) == "3 Nov 2026, 14:20 UTC"
    assert text.iso(local) == "2026-11-03T14:20:00Z"
    assert text.day(date(2026, 11, 3)) == "3 Nov 2026"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_share_is_between_nothing_and_all(part, whole):
    assert 0 <= text.percent(part, whole) <= 100


@pytest.mark.parametrize("state", LaunchState)
def test_every_state_has_icon_word_and_tone(state):
    look = text.chip(state)
    assert look.icon
    assert look.word
    assert look.tone in {"good", "warn", "bad", "info", "neutral"}


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_has_words_of_its_own(reason):
    assert text.chip(LaunchState.ENDED, reason).word != text.chip(LaunchState.ENDED).word


def test_a_session_whose_place_does_not_answer_is_not_shown_as_running():
    assert text.chip(LaunchState.RUNNING, is_unknown=True).word == "Not known"


NOON = datetime(2026, 11, 3, 12, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (timedelta(seconds=-90), "now"),
        (timedelta(seconds=30), "now"),
        (timedelta(seconds=31), "in about 1 min"),
        (timedelta(minutes=7, seconds=40), "in about 8 min"),
        (timedelta(minutes=21), "in about 20 min"),
        (timedelta(minutes=56), "in about 55 min"),
        (timedelta(minutes=59), "today about 13:00 UTC"),
        (timedelta(hours=5, minutes=11), "today about 17:15 UTC"),
        (timedelta(hours=20, minutes=58), "tomorrow about 09:00 UTC"),
        (timedelta(hours=11, minutes=57), "tomorrow about 00:00 UTC"),
        (timedelta(days=3), "Fri 6 Nov 2026 about 12:00 UTC"),
    ],
)
def test_a_start_is_said_as_a_person_would(ahead, words):
    assert text.start_words(NOON + ahead, NOON) == words


def test_memory_of_a_cluster_is_in_terabytes():
    assert text.memory(2_560_000) == "2.4 TB"
    assert text.memory(64 * 1024) == "64 GB"


def test_the_table_of_sessions_has_what_was_recorded_and_no_formula():
    from datetime import UTC, datetime, timedelta

    from hub.launch.states import LaunchState
    from hub.pages.home import sessions_csv
    from hub.pages.sessionviews import RecentRow
    from hub.pages.views import Amount

    recorded = (Amount(Resource.CPU_SECONDS, 120), Amount(Resource.MIB_SECONDS, 60 * 2048))
    row = RecentRow(
        launch_id="0" * 16,
        title="=cmd()",
        proposal="MX-1",
        data="",
        state=LaunchState.ENDED,
        at=datetime(2026, 11, 18, tzinfo=UTC),
        ran=timedelta(minutes=1),
        recorded=recorded,
    )
    head, line = sessions_csv([row]).splitlines()
    assert head.split(",")[-4:] == ["ran_s", "cpu_seconds", "gpu_seconds", "mib_seconds"]
    assert line.split(",")[-4:] == ["60", "120", "0", "122880"]
    assert line.split(",")[1] == "'=cmd()"
