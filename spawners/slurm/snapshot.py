"""What is known of a cluster at one moment: the watcher makes it, everything else reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from spawners.slurm.models import Association, Job, Node, Partition, Qos, Reservation


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Snapshot:
    """Answers of one cluster. ``taken_at`` (aware UTC) is when the jobs were asked for.

    Nodes, partitions and reservations are asked for less often than jobs, associations and QOS less
    often still; ``resources_at`` and ``limits_at`` say when.
    """

    taken_at: datetime
    resources_at: datetime
    limits_at: datetime
    jobs: tuple[Job, ...]
    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]
    reservations: tuple[Reservation, ...]
    associations: tuple[Association, ...]
    qos: tuple[Qos, ...]
