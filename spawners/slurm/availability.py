"""What a partition has free now, from a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from spawners.backend import Availability, GpuCount
from spawners.slurm.index import Index, index_of
from spawners.slurm.models import Node, Partition
from spawners.slurm.snapshot import Snapshot


def availability_of(snapshot: Snapshot, partition: str) -> Availability:
    """Sums over the partition's nodes; a node of several partitions counts in each.

    Nodes that are down, drained, failing, not responding, reserved, in maintenance or planned for a
    waiting job count in the totals and never as free. A partition that Slurm does not have, or that
    is closed, is not reachable and says so. ``taken_at`` is the older of jobs and nodes.
    """
    index = index_of(snapshot)
    known = index.memo.get(("availability", partition))
    if known is None:
        known = index.memo["availability", partition] = _availability(index, partition)
    assert isinstance(known, Availability)
    return known


def _availability(index: Index, name: str) -> Availability:
    taken_at = min(index.taken_at, index.resources_at)
    partition = index.partitions.get(name)
    if partition is None:
        return Availability(
            is_reachable=False, note=f"The cluster has no partition {name} at present.", taken_at=taken_at
        )
    nodes = index.nodes_of[name]
    takes_jobs = index.usable if partition.is_up else frozenset()
    usable = [node for node in nodes if node.name in takes_jobs]
    free = [index.free[node.name] for node in usable]
    gpus_total = _sum(node.gpus for node in nodes if node.gpus)
    gpus_free = _sum(found.gpus for found in free if found.gpus)
    gpus = tuple(GpuCount(kind, gpus_free.get(kind, 0), n) for kind, n in sorted(gpus_total.items()) if n)
    return Availability(
        is_reachable=partition.is_up,
        cpus_free=sum([found.cpus for found in free]),
        cpus_total=sum([node.cpus for node in nodes]),
        memory_mib_free=sum([found.memory_mib for found in free]),
        memory_mib_total=sum([node.memory_mib for node in nodes]),
        gpus_free=sum(gpu.free for gpu in gpus),
        gpus_total=sum(gpu.total for gpu in gpus),
        gpus=gpus,
        nodes_free=sum([_is_idle(node) for node in usable]),
        nodes_total=len(nodes),
        jobs_pending=len(index.pending.get(name, ())),
        note=_note(partition, nodes, usable),
        taken_at=taken_at,
    )


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Devices of several nodes by type."""
    total: dict[str, int] = {}
    for gpus in parts:
        for kind, count in gpus.items():
            total[kind] = total.get(kind, 0) + count
    return total


def _is_idle(node: Node) -> bool:
    return not node.cpus_used and not node.memory_mib_used and not any(node.gpus_used.values())


def _note(partition: Partition, nodes: Sequence[Node], usable: Sequence[Node]) -> str:
    if not partition.is_up:
        return f"Partition {partition.name} is closed at present."
    if not nodes:
        return f"Partition {partition.name} has no nodes at present."
    return "" if usable else "No node takes jobs at present."
