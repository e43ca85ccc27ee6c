"""What an ended job used and why it ended, from its runs as slurmdbd has them. Pure.

Used is elapsed time × allocated resources, summed over all runs: a requeued or preempted job has
several, each counted once. ``Elapsed`` is Slurm's own, without the time that a job was suspended
(sacct(1)). A job that never ran has used nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from spawners.backend import EndCause, Usage
from spawners.slurm.models import ALIVE, AccountedJob, JobState, marked
from spawners.slurm.parse import plain
from spawners.slurm.reasons import word

_EPOCH = datetime.fromtimestamp(0, UTC)
_KILLED = 9
_KILLED_CODES = (128 + _KILLED, _KILLED)
"""How a shell reports a child that SIGKILL ended, and what sacct makes of it: 128 is taken off."""

_FULL = 0.95
"""A killed job whose memory was seen this full died of that: it is only looked at every few seconds."""

_CAUSES = {
    JobState.COMPLETED: EndCause.EXITED,
    JobState.FAILED: EndCause.EXITED,
    JobState.CANCELLED: EndCause.CANCELLED,
    JobState.TIMEOUT: EndCause.TIME_LIMIT,
    JobState.DEADLINE: EndCause.TIME_LIMIT,
    JobState.NODE_FAIL: EndCause.NODE_FAILURE,
    JobState.BOOT_FAIL: EndCause.NODE_FAILURE,
    JobState.PREEMPTED: EndCause.PREEMPTED,
    JobState.OUT_OF_MEMORY: EndCause.OUT_OF_MEMORY,
}


def runs_of(runs: Sequence[AccountedJob], launch_id: str, user: str) -> tuple[AccountedJob, ...]:
    """Runs of one launch among those with its job id, first to last.

    Ids begin anew after a cluster has lost its state, so another launch's runs are left out, and
    another user's. Where slurmdbd keeps no comments, what is left is taken.
    """
    own = [run for run in runs if run.user in ("", user) and marked(run.comment) in (None, launch_id)]
    with_comment = [run for run in own if marked(run.comment) == launch_id]
    return tuple(sorted(with_comment or own, key=_order))


def last_end(runs: Sequence[AccountedJob]) -> AccountedJob | None:
    """The last run, if the job is over; None if it is not, or if there are no runs."""
    last = max(runs, key=_order, default=None)
    return last if last is not None and last.state not in ALIVE and last.ended_at is not None else None


def settle(runs: Sequence[AccountedJob], *, was_stopped: bool = False) -> Usage | None:
    """Usage of all runs of one job; None while its end is not known.

    ``was_stopped``: we cancelled it, so who did is no news.
    """
    last = last_end(runs)
    if last is None or last.ended_at is None:
        return None
    ran = [run for run in runs if run.started_at is not None and run.elapsed_s > 0]
    elapsed = sum(run.elapsed_s for run in ran)
    starts = [run.started_at for run in runs if run.started_at is not None]
    cause = cause_of(last)
    return Usage(
        started_at=min(starts, default=last.ended_at) if ran else last.ended_at,
        ended_at=last.ended_at,
        elapsed_seconds=elapsed,
        cpus=_mean([(run.elapsed_s, run.cpus) for run in ran]),
        memory_mib=_mean([(run.elapsed_s, run.memory_mib) for run in ran]),
        gpus=_mean([(run.elapsed_s, run.gpus) for run in ran]),
        cause=EndCause.STOPPED if was_stopped and cause is EndCause.CANCELLED else cause,
        exit_code=last.exit_code,
        detail=_detail(last, len(ran)),
    )


def cause_of(run: AccountedJob) -> EndCause:
    """Why a run ended."""
    if run.state in (JobState.FAILED, JobState.CANCELLED) and _is_out_of_memory(run):
        return EndCause.OUT_OF_MEMORY
    return _CAUSES.get(run.state, EndCause.LOST)


def _is_out_of_memory(run: AccountedJob) -> bool:
    """Whether a job that Slurm calls failed died of its memory: the kernel killed its server, say."""
    words = run.reason.lower().replace("_", "").replace(" ", "")
    if "outofmemory" in words or "oom" in words:
        return True
    was_killed = run.state is JobState.FAILED and (run.signal == _KILLED or run.exit_code in _KILLED_CODES)
    return was_killed and bool(run.memory_mib) and (run.max_rss_mib or 0) >= _FULL * run.memory_mib


def _detail(run: AccountedJob, ran: int) -> str:
    said = word(run.state, cancelled_by=run.cancelled_by, exit_code=run.exit_code, signal=run.signal)
    if run.state in (JobState.NODE_FAIL, JobState.BOOT_FAIL) and run.nodes:
        said += f" on {plain(', '.join(run.nodes), 100)}"
    if run.state is not JobState.OUT_OF_MEMORY and cause_of(run) is EndCause.OUT_OF_MEMORY:
        said += ", out of memory"
    return f"{said}; {ran} runs" if ran > 1 else said


def _mean(parts: Sequence[tuple[int, int]]) -> int:
    """Mean amount, weighted by elapsed seconds: amount × all elapsed is what the parts add up to.

    Exact where all runs had the same, which is the rule; a run on another kind of node may differ.
    """
    weight = sum(elapsed for elapsed, _ in parts)
    return round(sum(elapsed * amount for elapsed, amount in parts) / weight) if weight else 0


def _order(run: AccountedJob) -> tuple[datetime, datetime]:
    return (run.submitted_at or _EPOCH, run.started_at or run.ended_at or datetime.max.replace(tzinfo=UTC))
