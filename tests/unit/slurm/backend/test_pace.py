"""How long the watcher waits between two questions."""

from __future__ import annotations

import pytest

from spawners.slurm.pace import Pace

PACE = Pace(poll_s=2, poll_idle_s=15)

DELAYS = [
    # is_changing, quiet_s, took_s, failures → seconds
    (True, 0, 0.01, 0, 2),
    (True, 10, 0.01, 0, 2),
    (True, 100, 0.01, 0, 10),
    (True, 5000, 0.01, 0, 15),
    (False, 0, 0.01, 0, 15),
    (True, 0, 1.0, 0, 5),
    (True, 0, 60.0, 0, 15),
    (True, 0, 0.01, 1, 4),
    (True, 0, 0.01, 2, 8),
    (False, 0, 0.01, 50, 15),
]


@pytest.mark.parametrize(("is_changing", "quiet_s", "took_s", "failures", "seconds"), DELAYS)
def test_a_question_comes_as_often_as_needed_and_no_more(
    is_changing: bool, quiet_s: float, took_s: float, failures: int, seconds: float
) -> None:
    found = PACE.delay(is_changing=is_changing, quiet_s=quiet_s, took_s=took_s, failures=failures)
    assert found == seconds


@pytest.mark.parametrize(
    ("took_s", "failures", "seconds"), [(0.01, 0, 0.2), (0.3, 0, 1.5), (0.01, 3, 2.0), (60, 0, 15)]
)
def test_who_waits_does_not_make_for_a_storm(took_s: float, failures: int, seconds: float) -> None:
    assert PACE.gap(took_s=took_s, failures=failures) == seconds


def test_an_answer_is_stale_after_two_periods() -> None:
    assert PACE.stale_after(15, 0.5) == 31
    assert PACE.stale_after(0.1, 0) == 4
