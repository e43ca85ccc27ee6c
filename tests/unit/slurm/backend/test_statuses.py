"""From what slurmctld lists to the status of a session."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from spawners.backend import InnerJob, State
from spawners.slurm.look import index
from spawners.slurm.models import JobState, mark
from spawners.slurm.statuses import inner_job, status_of
from tests.support.slurm_models import NOW, job, node, snapshot

LAUNCH = "0123456789abcdef"
START = NOW - timedelta(minutes=10)
END = NOW + timedelta(minutes=50)
RUNNING = job(7, "cpu1", comment=mark(LAUNCH), starts_at=START, ends_at=END)
PENDING = job(7, comment=mark(LAUNCH), reason="Priority")
LOOK = index(snapshot(node("cpu1", address="10.0.0.1")))


def flagged(state: JobState, *flags: str, **changes: object) -> object:
    return replace(RUNNING, state=state, flags=frozenset(flags), **changes)


STATES = [
    (PENDING, State.PENDING, "Waiting behind jobs of higher priority"),
    (replace(PENDING, restarts=1, reason="BeginTime"), State.PENDING, "It was put back into the queue."),
    (RUNNING, State.RUNNING, ""),
    (flagged(JobState.RUNNING, "CONFIGURING"), State.PENDING, "nodes are being prepared"),
    (flagged(JobState.SUSPENDED), State.RUNNING, "suspended"),
    (flagged(JobState.COMPLETED, "COMPLETING"), State.RUNNING, "It is ending."),
    (flagged(JobState.CANCELLED, "COMPLETING"), State.RUNNING, "It is ending."),
    (flagged(JobState.COMPLETED), State.GONE, "ended by itself"),
    (flagged(JobState.FAILED, exit_code=3), State.GONE, "exit code 3"),
    (flagged(JobState.OUT_OF_MEMORY), State.GONE, "more memory"),
    (flagged(JobState.TIMEOUT), State.GONE, "end of its time"),
    (flagged(JobState.NODE_FAIL), State.GONE, "node failed"),
    (flagged(JobState.PREEMPTED), State.GONE, "higher priority"),
    (flagged(JobState.CANCELLED), State.GONE, "cancelled"),
]


@pytest.mark.parametrize(("listed", "state", "reason"), STATES)
def test_state_and_reason(listed: object, state: State, reason: str) -> None:
    status = status_of(listed, LOOK)
    assert status.state is state
    assert reason in status.reason


def test_a_running_session_says_where_and_until_when() -> None:
    status = status_of(RUNNING, LOOK)
    assert (status.host, status.started_at, status.ends_at) == ("10.0.0.1", START, END)
    assert status_of(replace(RUNNING, nodes=("cpu9",)), LOOK).host == "cpu9"
    by_limit = replace(RUNNING, ends_at=None, time_limit=timedelta(hours=2))
    assert status_of(by_limit, LOOK).ends_at == START + timedelta(hours=2)


@pytest.mark.parametrize(("guess", "expected"), [(END, END), (START, None), (None, None)])
def test_a_start_that_should_have_been_is_no_expectation(guess: object, expected: object) -> None:
    status = status_of(replace(PENDING, starts_at=guess), LOOK)
    assert (status.expected_start, status.started_at) == (expected, None)


def test_a_job_from_inside_a_session_is_shown_in_slurms_own_word() -> None:
    waiting = replace(PENDING, name="dask", array_task=3, starts_at=END)
    shown = inner_job(waiting)
    assert (shown.id, shown.state, shown.started_at) == ("7_3", "PENDING", None)
    assert "higher priority" in shown.reason
    done = replace(RUNNING, name="fit", state=JobState.COMPLETED)
    assert inner_job(done) == InnerJob("7", "fit", "COMPLETED", "", START, END)
    assert inner_job(replace(RUNNING, name="fit")) == InnerJob("7", "fit", "RUNNING", "", START, None)
