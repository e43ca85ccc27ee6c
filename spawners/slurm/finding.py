"""Which job is the session of which launch? From what lists say, after a crash of the engine. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spawners.plan import LaunchId
from spawners.slurm.look import Look, has_begun_to_end
from spawners.slurm.memory import Link
from spawners.slurm.models import ALIVE, AccountedJob, Job, marked

IsOwner = Callable[[LaunchId, Job], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """Sessions by launch, and jobs that were submitted twice for one (a crash in the middle)."""

    links: Mapping[LaunchId, Link]
    twins: tuple[tuple[LaunchId, Link], ...]


def in_look(look: Look, partition: str, known: Mapping[LaunchId, Link], owns: IsOwner) -> Found:
    """Jobs of a partition that live, carry a launch in their comment and are of its account.

    Of several for one launch the one whose handle is known counts, else the first; the others are twins.
    """
    links: dict[LaunchId, Link] = {}
    twins: list[tuple[LaunchId, Link]] = []
    for launch_id, marked_jobs in look.ours.items():
        jobs = [job for job in marked_jobs if _is_in(job, partition) and _lives(job) and owns(launch_id, job)]
        if not jobs:
            continue
        link = known.get(launch_id)
        first = min(jobs, key=lambda job: (link is None or job.id != link.job, job.id))
        links[launch_id] = Link(first.id, first.user)
        if link is None or link.job == first.id:
            own = [job for job in jobs if job.id != first.id and job.user == first.user]
            twins += [(launch_id, Link(job.id, job.user)) for job in own]
    return Found(links, tuple(twins))


def ended_in_look(look: Look, partition: str, missing: Mapping[LaunchId, str]) -> dict[LaunchId, Link]:
    """Missing launches whose job has ended and is still listed, by comment and account."""
    return {
        launch_id: Link(job.id, job.user)
        for launch_id, user in missing.items()
        for job in sorted(look.ours.get(launch_id, ()), key=lambda job: job.id)
        if _is_in(job, partition) and job.user == user
    }


def in_accounting(
    runs: Sequence[AccountedJob], partition: str, missing: Mapping[LaunchId, str]
) -> dict[LaunchId, Link]:
    """Missing launches among what slurmdbd has, by comment and account; the last job of each."""
    found: dict[LaunchId, Link] = {}
    for run in sorted(runs, key=lambda run: run.id):
        launch_id = LaunchId(marked(run.comment) or "")
        # slurmdbd has no partition for a job that ended within seconds.
        if missing.get(launch_id) == run.user and run.partition in ("", partition):
            found[launch_id] = Link(run.id, run.user)
    return found


def _is_in(job: Job, partition: str) -> bool:
    return partition in job.partition.split(",")


def _lives(job: Job) -> bool:
    return job.state in ALIVE or has_begun_to_end(job)
