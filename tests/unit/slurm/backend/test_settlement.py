"""What a job used and why it ended, by its runs in slurmdbd."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from spawners.backend import EndCause
from spawners.slurm.models import AccountedJob, JobState, mark
from spawners.slurm.settlement import runs_of, settle

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LAUNCH = "0123456789abcdef"
OTHER = "fedcba9876543210"

RUN = AccountedJob(
    id=7,
    state=JobState.COMPLETED,
    user="maja",
    account="ma5501",
    partition="gpu",
    comment=mark(LAUNCH),
    submitted_at=T0,
    started_at=T0 + timedelta(seconds=5),
    ended_at=T0 + timedelta(seconds=65),
    elapsed_s=60,
    cpus=4,
    memory_mib=8000,
    gpus=1,
    nodes=("gpu1",),
    exit_code=0,
)


def later(seconds: int, **changes: object) -> AccountedJob:
    """The next run, after a requeue."""
    shift = timedelta(seconds=seconds)
    moved = replace(
        RUN, submitted_at=T0 + shift, started_at=RUN.started_at + shift, ended_at=RUN.ended_at + shift
    )
    return replace(moved, **changes)


def test_use_is_elapsed_time_of_what_was_allocated() -> None:
    usage = settle([RUN])
    assert usage is not None
    assert (usage.elapsed_seconds, usage.cpus, usage.memory_mib, usage.gpus) == (60, 4, 8000, 1)
    assert (usage.started_at, usage.ended_at) == (RUN.started_at, RUN.ended_at)
    assert (usage.cause, usage.detail, usage.exit_code) == (EndCause.EXITED, "COMPLETED", 0)


@pytest.mark.parametrize("first", [JobState.NODE_FAIL, JobState.PREEMPTED, JobState.CANCELLED])
def test_every_run_of_a_requeued_job_is_counted_once(first: JobState) -> None:
    usage = settle([later(100, elapsed_s=30), replace(RUN, state=first)])
    assert usage is not None
    assert usage.elapsed_seconds == 90
    assert (usage.started_at, usage.cause) == (RUN.started_at, EndCause.EXITED)
    assert usage.detail == "COMPLETED; 2 runs"


def test_runs_with_other_resources_add_up() -> None:
    usage = settle([RUN, later(100, elapsed_s=60, cpus=8, gpus=3)])
    assert usage is not None
    assert usage.elapsed_seconds * usage.cpus == 60 * 4 + 60 * 8
    assert usage.elapsed_seconds * usage.gpus == 60 * 1 + 60 * 3


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [replace(RUN, state=JobState.RUNNING, ended_at=None)],
        [replace(RUN, state=JobState.PENDING, started_at=None, ended_at=None, elapsed_s=0)],
        [RUN, later(100, state=JobState.PENDING, started_at=None, ended_at=None, elapsed_s=0)],
        [replace(RUN, state=JobState.PREEMPTED), later(100, state=JobState.RUNNING, ended_at=None)],
        [replace(RUN, ended_at=None)],
    ],
)
def test_nothing_is_settled_before_the_end_is_known(runs: list[AccountedJob]) -> None:
    assert settle(runs) is None


def test_a_job_that_never_ran_used_nothing() -> None:
    never = replace(RUN, state=JobState.CANCELLED, started_at=None, elapsed_s=0, cancelled_by="maja")
    usage = settle([never])
    assert usage is not None
    assert (usage.elapsed_seconds, usage.cpus, usage.gpus, usage.memory_mib) == (0, 0, 0, 0)
    assert usage.started_at == usage.ended_at == RUN.ended_at
    assert usage.cause is EndCause.CANCELLED


CAUSES = [
    ({"state": JobState.TIMEOUT}, EndCause.TIME_LIMIT, "TIMEOUT"),
    ({"state": JobState.DEADLINE}, EndCause.TIME_LIMIT, "DEADLINE"),
    ({"state": JobState.NODE_FAIL}, EndCause.NODE_FAILURE, "NODE_FAIL on gpu1"),
    ({"state": JobState.PREEMPTED}, EndCause.PREEMPTED, "PREEMPTED"),
    ({"state": JobState.OUT_OF_MEMORY}, EndCause.OUT_OF_MEMORY, "OUT_OF_MEMORY"),
    ({"state": JobState.CANCELLED, "cancelled_by": "root"}, EndCause.CANCELLED, "CANCELLED by root"),
    ({"state": JobState.FAILED, "exit_code": 3}, EndCause.EXITED, "FAILED, exit code 3"),
    (
        {"state": JobState.FAILED, "exit_code": 137, "max_rss_mib": 7990},
        EndCause.OUT_OF_MEMORY,
        "out of memory",
    ),
    (
        {"state": JobState.FAILED, "exit_code": 9, "max_rss_mib": 7990},
        EndCause.OUT_OF_MEMORY,
        "out of memory",
    ),
    ({"state": JobState.FAILED, "signal": 9, "max_rss_mib": 8100}, EndCause.OUT_OF_MEMORY, "out of memory"),
    (
        {"state": JobState.FAILED, "reason": "OutOfMemory", "exit_code": 1},
        EndCause.OUT_OF_MEMORY,
        "out of memory",
    ),
    ({"state": JobState.FAILED, "exit_code": 137, "max_rss_mib": 100}, EndCause.EXITED, "exit code 137"),
    ({"state": JobState.FAILED, "exit_code": 137}, EndCause.EXITED, "exit code 137"),
    ({"state": JobState.FAILED, "exit_code": 1, "max_rss_mib": 8000}, EndCause.EXITED, "exit code 1"),
    ({"state": JobState.COMPLETED, "max_rss_mib": 8000}, EndCause.EXITED, "COMPLETED"),
]


@pytest.mark.parametrize(("changes", "cause", "detail"), CAUSES)
def test_the_cause_is_slurms(changes: dict[str, object], cause: EndCause, detail: str) -> None:
    usage = settle([replace(RUN, **changes)])
    assert usage is not None
    assert usage.cause is cause
    assert detail in usage.detail


def test_what_we_stopped_was_stopped_unless_it_ended_otherwise() -> None:
    cancelled = replace(RUN, state=JobState.CANCELLED, cancelled_by="maja")
    stopped, timed_out = (
        settle([cancelled], was_stopped=True),
        settle([replace(RUN, state=JobState.TIMEOUT)], was_stopped=True),
    )
    assert stopped is not None
    assert timed_out is not None
    assert (stopped.cause, timed_out.cause) == (EndCause.STOPPED, EndCause.TIME_LIMIT)


def test_runs_of_another_launch_or_user_with_the_same_id_are_left_out() -> None:
    runs = [replace(RUN, comment=mark(OTHER)), replace(RUN, user="yuki", comment=""), later(100), RUN]
    assert runs_of(runs, LAUNCH, "maja") == (RUN, later(100))


def test_where_slurmdbd_keeps_no_comments_the_id_and_user_are_taken() -> None:
    bare = replace(RUN, comment="")
    assert runs_of([bare, replace(bare, user="yuki")], LAUNCH, "maja") == (bare,)
    assert runs_of([replace(RUN, comment=mark(OTHER))], LAUNCH, "maja") == ()
