"""One look at a cluster, indexed: which jobs are ours, which came from inside our sessions. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from spawners.plan import LaunchId
from spawners.slurm.models import ALIVE, Job, JobState, marked
from spawners.slurm.snapshot import Snapshot

NEVER = datetime.min.replace(tzinfo=UTC)
"""``resources_at`` or ``limits_at`` of what has not been asked for yet."""

_ENDING_SOON = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Look:
    """A snapshot and what is found in it by id.

    ``ours`` are jobs that carry a launch id in their comment, ``inner`` those that carry one as wckey;
    whether they may is for the reader to judge by their user. ``fingerprint`` changes when a job does.
    ``addresses`` are those of the nodes by name.
    """

    snapshot: Snapshot
    jobs: Mapping[int, Job]
    ours: Mapping[LaunchId, tuple[Job, ...]]
    inner: Mapping[LaunchId, tuple[Job, ...]]
    fingerprint: int
    our_fingerprint: int
    addresses: Mapping[str, str]

    @property
    def taken_at(self) -> datetime:
        """When the jobs were asked for."""
        return self.snapshot.taken_at

    def address(self, node: str) -> str | None:
        """Address of a node; None if it is not known."""
        return self.addresses.get(node)

    def is_changing(self) -> bool:
        """Whether one of our jobs waits, starts, ends or is about to end."""
        soon = self.taken_at + _ENDING_SOON
        return any(
            job.state is JobState.PENDING
            or has_begun_to_end(job)
            or "CONFIGURING" in job.flags
            or (job.state in ALIVE and job.ends_at is not None and job.ends_at <= soon)
            for jobs in self.ours.values()
            for job in jobs
        )

    def lacks_node(self) -> bool:
        """Whether one of our jobs is on a node that is not known yet."""
        return any(
            job.nodes and job.nodes[0] not in self.addresses for jobs in self.ours.values() for job in jobs
        )


def has_begun_to_end(job: Job) -> bool:
    """Whether a job has ended but its processes may not have."""
    return job.state not in ALIVE and "COMPLETING" in job.flags


def index(snapshot: Snapshot) -> Look:
    """Index a snapshot's jobs: some 5 ms for 10,000 of them, so not on an event loop."""
    ours: dict[LaunchId, list[Job]] = defaultdict(list)
    inner: dict[LaunchId, list[Job]] = defaultdict(list)
    for job in snapshot.jobs:
        if (launch_id := marked(job.comment)) is not None:
            ours[LaunchId(launch_id)].append(job)
        elif (launch_id := marked(job.wckey.removeprefix("*"))) is not None:
            inner[LaunchId(launch_id)].append(job)
    return Look(
        snapshot=snapshot,
        jobs={job.id: job for job in snapshot.jobs},
        ours={key: tuple(jobs) for key, jobs in ours.items()},
        inner={key: tuple(jobs) for key, jobs in inner.items()},
        fingerprint=_fingerprint(snapshot.jobs),
        our_fingerprint=_fingerprint([job for jobs in ours.values() for job in jobs]),
        addresses=_addresses(snapshot),
    )


def renewed(look: Look, snapshot: Snapshot) -> Look:
    """The same jobs with other nodes or limits."""
    same_nodes = snapshot.nodes is look.snapshot.nodes
    addresses = look.addresses if same_nodes else _addresses(snapshot)
    return replace(look, snapshot=snapshot, addresses=addresses)


def _addresses(snapshot: Snapshot) -> dict[str, str]:
    return {node.name: node.address or node.name for node in snapshot.nodes}


def _fingerprint(jobs: Sequence[Job]) -> int:
    return hash(frozenset((job.id, job.state, job.flags, job.nodes, job.reason) for job in jobs))
