"""The time limit that lets a job run until a moment, within what the site allows. Pure.

The limit is set by an operator's account, which Slurm does not hold to the limits of partition, account
and QOS: so they are checked here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spawners.backend import BackendError
from spawners.slurm.caps import caps_of
from spawners.slurm.index import index_of
from spawners.slurm.models import ALIVE, Job, JobState
from spawners.slurm.snapshot import Snapshot

_MINUTE = timedelta(minutes=1)


def limit_for(snapshot: Snapshot, job: Job, deadline: datetime) -> timedelta | None:
    """Time limit in whole minutes, rounded up; None if the job has it already.

    Raises
    ------
    BackendError
        If the job does not run, or if it is more than the partition, account or QOS allows.
    """
    if job.state not in ALIVE:
        raise BackendError("The session's job has ended.")
    if job.state is JobState.PENDING or job.starts_at is None:
        raise BackendError("The session has not started yet; its time can be changed once it runs.")
    limit = max(-(-(deadline - job.starts_at) // _MINUTE), 1) * _MINUTE
    if limit == job.time_limit:
        return None
    if job.time_limit is None or limit > job.time_limit:
        _check(snapshot, job, limit)
    return limit


def _check(snapshot: Snapshot, job: Job, limit: timedelta) -> None:
    index = index_of(snapshot)
    partition = index.partitions.get(job.partition)
    if partition is None:
        return
    own = [one for one in index.associations_of(job.user) if one.account == job.account]
    here = [one for one in own if one.partition == job.partition] or [one for one in own if not one.partition]
    cap = caps_of(index, partition, here[0] if here else None, job.qos or None).walltime_s
    if cap is not None and limit.total_seconds() > cap.most:
        most = _words(timedelta(seconds=cap.most))
        raise BackendError(f"{cap.whose} allows a session {most} at most, counted from its start.")


def _words(span: timedelta) -> str:
    minutes = int(span / _MINUTE)
    parts = ((minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute"))
    said = [f"{count} {unit}{'s' if count != 1 else ''}" for count, unit in parts if count]
    return " ".join(said) or "no time"
