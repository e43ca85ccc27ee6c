"""Jobs at a scheduler as the cards show them: those a person submitted from inside, and a session's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hub.pages.format import Chip
from hub.pages.placeviews import JobLine
from spawners.backend import InnerJob
from spawners.kubernetes.handles import is_pod

_MOST = 20
"""Lines on a card; a farm of workers would bury the session."""

_RUNNING = Chip("play-circle-fill", "running", "good")
_WAITING = Chip("hourglass-split", "waiting", "info")
_STATES = {
    "PENDING": _WAITING,
    "CONFIGURING": Chip("hourglass-split", "starting", "info"),
    "REQUEUED": _WAITING,
    "RUNNING": _RUNNING,
    "COMPLETING": Chip("play-circle-fill", "ending", "good"),
    "SUSPENDED": Chip("hourglass-split", "suspended", "warn"),
    "COMPLETED": Chip("check-circle", "done", "neutral"),
    "CANCELLED": Chip("x-circle", "cancelled", "neutral"),
    "FAILED": Chip("x-octagon", "failed", "bad"),
    "OUT_OF_MEMORY": Chip("memory", "out of memory", "bad"),
    "TIMEOUT": Chip("clock-history", "time was up", "warn"),
    "NODE_FAIL": Chip("x-octagon", "node failed", "bad"),
    "PREEMPTED": Chip("x-octagon", "preempted", "warn"),
}
"""Slurm's words for the state of a job (squeue(1), "JOB STATE CODES")."""

_ORDER = (_RUNNING.word, "ending", "starting", _WAITING.word, "suspended")


def job_lines(jobs: Iterable[InnerJob]) -> tuple[JobLine, ...]:
    """Lines of a session's jobs: what runs first, then what waits, then what is over, newest first."""
    newest = sorted(jobs, key=lambda job: _number(job.id), reverse=True)
    lines = [_line(job) for job in newest]
    lines.sort(key=lambda line: _ORDER.index(line.state) if line.state in _ORDER else len(_ORDER))
    return tuple(lines[:_MOST])


def _line(job: InnerJob) -> JobLine:
    # ``CANCELLED by 1000`` and ``COMPLETED+`` are states too.
    first = job.state.split(" ", 1)[0].rstrip("+")
    look = _STATES.get(first.upper(), Chip("question-circle", first.lower().replace("_", " "), "neutral"))
    return JobLine(
        id=job.id,
        name=job.name,
        state=look.word,
        tone=look.tone,
        icon=look.icon,
        reason=job.reason if look.word in {_WAITING.word, "suspended"} else "",
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def _number(job_id: str) -> tuple[int, str]:
    """Jobs of an array are ``100_3``; the first number orders them."""
    digits = job_id.partition("_")[0]
    return (int(digits) if digits.isascii() and digits.isdigit() else 0, job_id)


def own_job(handle: Mapping[str, Any] | None) -> str:
    """Name of a session's own job or pod at its scheduler, in words; empty where there is none."""
    if not handle:
        return ""
    cluster = handle.get("cluster")
    if is_pod(handle):
        return f"Pod {handle['name']} in {handle['namespace']} on {cluster}"
    if "job" not in handle:
        return ""
    return f"Slurm job {handle['job']} on {cluster}" if cluster else f"Job {handle['job']}"


def log_path(launch_id: str, handle: Mapping[str, Any] | None) -> str:
    """Where a session at a scheduler keeps its whole log in its person's home; empty for others."""
    return f"~/.panhub/logs/{launch_id}.log" if own_job(handle) else ""
