"""From a job as slurmctld lists it to the status of a session. Pure.

A job whose processes may not have ended yet (``COMPLETING``: signals, epilog) is not gone: it still
holds its node, its home may still be written, and a new start would meet its rest. It is *running* with
the reason that it ends; who asks ends that after `LONGEST_END`, as some nodes never finish.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spawners.backend import InnerJob, State, Status
from spawners.slurm.look import Look, has_begun_to_end
from spawners.slurm.models import ALIVE, Job, JobState
from spawners.slurm.reasons import ended, waiting

LONGEST_END = timedelta(minutes=2)
"""After which a job that has ended and is still being cleaned up counts as gone."""

HANDED_OVER = Status(State.PENDING, "Handed to Slurm.")
SILENT = Status(State.UNKNOWN, "Slurm does not answer; the session goes on meanwhile.")
NOT_LISTED = Status(
    State.UNKNOWN, "Slurm no longer lists the job, and its accounting does not say that it ended."
)
ELSEWHERE = Status(State.UNKNOWN, "Its cluster is not one that this service knows.")


def status_of(job: Job, look: Look) -> Status:
    """Status by a listed job."""
    if job.state is JobState.PENDING:
        return _pending(job, look.taken_at)
    if job.state in ALIVE:
        return _running(job, look)
    if has_begun_to_end(job):
        return Status(State.RUNNING, "It is ending.", host=_host(job, look), started_at=job.starts_at)
    return Status(State.GONE, ended(job.state, exit_code=job.exit_code, signal=job.signal))


def _pending(job: Job, now: datetime) -> Status:
    again = "It was put back into the queue. " if job.restarts else ""
    # A guess that has passed is one that the scheduler has not renewed.
    expected = job.starts_at if job.starts_at is not None and job.starts_at >= now else None
    return Status(State.PENDING, again + waiting(job.reason), expected_start=expected)


def _running(job: Job, look: Look) -> Status:
    if "CONFIGURING" in job.flags:  # nodes boot or run their prolog: nothing of the session runs yet
        return Status(State.PENDING, "Its nodes are being prepared.")
    reason = (
        "Slurm has suspended it for other work; it will go on." if job.state is JobState.SUSPENDED else ""
    )
    return Status(
        State.RUNNING,
        reason,
        host=_host(job, look),
        started_at=job.starts_at,
        ends_at=_ends_at(job),
        node=job.nodes[0] if job.nodes else "",
    )


def _host(job: Job, look: Look) -> str | None:
    return (look.address(job.nodes[0]) or job.nodes[0]) if job.nodes else None


def _ends_at(job: Job) -> datetime | None:
    if job.ends_at is not None or job.starts_at is None or job.time_limit is None:
        return job.ends_at
    return job.starts_at + job.time_limit


def inner_job(job: Job) -> InnerJob:
    """A job from inside a session, for its card."""
    number = f"{job.id}_{job.array_task}" if job.array_task is not None else str(job.id)
    is_pending = job.state is JobState.PENDING
    return InnerJob(
        id=number,
        name=job.name,
        state=job.state.value,
        reason=waiting(job.reason) if is_pending else "",
        started_at=None if is_pending else job.starts_at,
        ended_at=None if job.state in ALIVE else job.ends_at,
    )
