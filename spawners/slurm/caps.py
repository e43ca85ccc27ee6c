"""How much one job may have: node shapes, partition, association and QOS, as Slurm joins them.

sacctmgr(1) and "Resource Limits" of Slurm: a limit of the partition's QOS holds, else that of the job's QOS,
else the association's, else that of the accounts above it; the first that is set. A QOS with the flag
``OverPartQOS`` comes before the partition's. What the partition itself says holds besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from spawners.backend import NodeShape
from spawners.slurm.index import Index
from spawners.slurm.models import NO_LIMITS, Association, Partition, Qos, Reservation, Tres

Shapes = tuple[NodeShape, ...]


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit and whose it is, for a person: ``Partition cpu``, ``QOS short`` …"""

    most: int
    whose: str


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of one job; None or missing: none. ``gpus`` by type, ``""`` for any; walltime in seconds."""

    cpus: Cap | None = None
    memory_mib: Cap | None = None
    gpus: dict[str, Cap] = field(default_factory=dict)
    walltime_s: Cap | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """Where limits are set."""

    whose: str
    per_job: Tres
    per_user: Tres
    group: Tres
    max_wall: timedelta | None


def caps_of(index: Index, partition: Partition, association: Association | None, qos: str | None) -> Caps:
    """Limits of a job of this association with this QOS, beside the nodes' own size.

    A limit for all jobs together is one, too: a job that alone is over it never starts.
    """
    of_job = _qos(index, qos)
    upper = _ordered(_qos(index, partition.qos), of_job)
    lower = [_of_association(a) for a in index.lineage(association)] if association else []
    sources = [*upper, *lower]
    own = f"Partition {partition.name}"

    def tightest(get: Callable[[Tres], int | None]) -> Cap | None:
        first_group = _first([(s.whose, get(s.group)) for s in upper])
        found = [
            _first([(s.whose, get(s.per_job)) for s in sources]),
            _first([(s.whose, get(s.per_user)) for s in upper]),
            first_group or _least([_first([(s.whose, get(s.group))]) for s in lower]),
        ]
        return _least(found)

    def of_gpu(kind: str) -> Cap | None:
        return tightest(lambda tres: tres.gpus.get(kind))

    own_wall = partition.max_time
    if of_job is not None and "PartitionTimeLimit" in of_job.flags:
        own_wall = None
    kinds = {kind for s in sources for tres in (s.per_job, s.per_user, s.group) for kind in tres.gpus}
    return Caps(
        cpus=tightest(lambda tres: tres.cpus),
        memory_mib=_least(
            [tightest(lambda tres: tres.memory_mib), _first([(own, partition.max_memory_per_node_mib)])]
        ),
        gpus={kind: cap for kind in sorted(kinds) if (cap := of_gpu(kind)) is not None},
        walltime_s=_least(
            [_first([(s.whose, _seconds(s.max_wall)) for s in sources]), _first([(own, _seconds(own_wall))])]
        ),
    )


def _qos(index: Index, name: str | None) -> Qos | None:
    return index.qos.get(name) if name else None


def _ordered(of_partition: Qos | None, of_job: Qos | None) -> list[_Source]:
    both = [found for found in (of_partition, of_job) if found is not None]
    if of_job is not None and "OverPartQOS" in of_job.flags:
        both.reverse()
    return [
        _Source(f"QOS {q.name}", q.max_tres_per_job, q.max_tres_per_user, q.group_tres, q.max_wall)
        for q in both
    ]


def _of_association(found: Association) -> _Source:
    whose = f"Account {found.account}"
    return _Source(whose, found.max_tres_per_job, NO_LIMITS, found.group_tres, found.max_wall)


def _first(limits: Iterable[tuple[str, int | None]]) -> Cap | None:
    return next((Cap(most, whose) for whose, most in limits if most is not None), None)


def _least(caps: Iterable[Cap | None]) -> Cap | None:
    return min((cap for cap in caps if cap is not None), key=lambda cap: cap.most, default=None)


def _seconds(limit: timedelta | None) -> int | None:
    return int(limit.total_seconds()) if limit is not None else None


def shapes_of(index: Index, partition: Partition, reservation: Reservation | None = None) -> Shapes:
    """Kinds of node of a partition (in a reservation), largest first.

    Nodes that are down count, as they come back.
    """
    key = ("shapes", partition.name, reservation.name if reservation else None)
    if key not in index.memo:
        found: dict[tuple[int, int, tuple[tuple[str, int], ...]], int] = {}
        for node in index.nodes_of[partition.name]:
            if "FUTURE" in node.states:
                continue
            if reservation is not None and reservation.nodes and node.name not in reservation.nodes:
                continue
            gpus = tuple(sorted((kind, count) for kind, count in node.gpus.items() if count))
            shape = (node.cpus, node.memory_mib, gpus)
            found[shape] = found.get(shape, 0) + 1
        index.memo[key] = tuple(
            NodeShape(cpus, memory_mib, dict(gpus), count)
            for (cpus, memory_mib, gpus), count in sorted(found.items(), reverse=True)
        )
    shapes: Shapes = index.memo[key]
    return shapes
