"""Job states as Slurm writes them, and what they are to us.

Slurm keeps one base state and further flags (squeue(1), JOB STATE CODES). slurmrestd 0.0.40 and
newer gives both; squeue and 0.0.38 print one word, in which a flag hides the base.
"""

from __future__ import annotations

from collections.abc import Iterable

from spawners.slurm.models import JobState
from spawners.slurm.parse import NotUnderstoodError, plain

_BEHIND = {
    "COMPLETING": JobState.RUNNING,
    "CONFIGURING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "EXPEDITING": JobState.PENDING,
    "POWER_UP_NODE": JobState.RUNNING,
    "STOPPED": JobState.SUSPENDED,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "LAUNCH_FAILED": JobState.PENDING,
    "RECONFIG_FAIL": JobState.PENDING,
    "UPDATE_DB": JobState.PENDING,
    "REVOKED": JobState.CANCELLED,
}
"""Base state to assume where only a flag is said. COMPLETING: how it ended is said a moment later."""

_BASES = frozenset(JobState)


def job_state(words: Iterable[str]) -> tuple[JobState, frozenset[str]]:
    """Base state and flags of a job from Slurm's words.

    Raises
    ------
    NotUnderstoodError
        If a state is new to this.
    """
    said = [word.strip().upper() for word in words if word.strip()]
    bases = [JobState(word) for word in said if word in _BASES]
    flags = frozenset(word for word in said if word not in _BASES)
    if bases:
        return bases[0], flags
    for word in said:
        if word in _BEHIND:
            return _BEHIND[word], flags
    raise NotUnderstoodError(f"job state {plain(' '.join(said), 80)!r}")


REQUEUED = "Requeued"
"""`AccountedJob.reason` of a run that ended because the job was put back into the queue."""


def accounted_state(words: Iterable[str], reason: str) -> tuple[JobState, str]:
    """State and reason of one run in slurmdbd: a requeued run is over, whatever the job does next."""
    state, flags = job_state(words)
    if state == JobState.PENDING and "REQUEUED" in flags:
        return JobState.CANCELLED, REQUEUED
    return state, reason
