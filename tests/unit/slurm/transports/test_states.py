"""Job states."""

from __future__ import annotations

import pytest

from spawners.slurm.models import JobState
from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.states import REQUEUED, accounted_state, job_state


@pytest.mark.parametrize(
    ("words", "state", "flags"),
    [
        (["RUNNING"], JobState.RUNNING, set()),
        (["COMPLETING", "FAILED"], JobState.FAILED, {"COMPLETING"}),
        (["COMPLETING"], JobState.RUNNING, {"COMPLETING"}),
        (["CONFIGURING"], JobState.RUNNING, {"CONFIGURING"}),
        (["REQUEUED"], JobState.PENDING, {"REQUEUED"}),
        (["pending", "REQUEUED"], JobState.PENDING, {"REQUEUED"}),
        (["SPECIAL_EXIT"], JobState.PENDING, {"SPECIAL_EXIT"}),
        (["OUT_OF_MEMORY"], JobState.OUT_OF_MEMORY, set()),
    ],
)
def test_states(words, state, flags):
    assert job_state(words) == (state, frozenset(flags))


@pytest.mark.parametrize("words", [[], [""], ["BRAND_NEW"]])
def test_an_unknown_state_is_not_guessed(words):
    with pytest.raises(NotUnderstoodError):
        job_state(words)


def test_a_requeued_run_is_over():
    assert accounted_state(["REQUEUED"], "") == (JobState.CANCELLED, REQUEUED)
    assert accounted_state(["PENDING", "REQUEUED"], "x") == (JobState.CANCELLED, REQUEUED)
    assert accounted_state(["PREEMPTED"], "x") == (JobState.PREEMPTED, "x")
