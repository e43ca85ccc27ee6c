"""A snapshot of a cluster, sorted once for everybody who asks about one partition.

Indexing five thousand nodes takes tens of milliseconds: `index_of` keeps the index as long as its
snapshot lives, and whoever takes a snapshot calls `Index.prepare` in a thread.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from spawners.slurm.models import ALIVE, Association, Job, JobState, Node, Partition, Qos, Reservation
from spawners.slurm.snapshot import Snapshot

BROKEN = frozenset(
    {
        "BLOCKED",
        "DOWN",
        "DRAIN",
        "DRAINED",
        "DRAINING",
        "ERROR",
        "FAIL",
        "FAILING",
        "FUTURE",
        "INVALID",
        "INVALID_REG",
        "NOT_RESPONDING",
        "NO_RESPOND",
        "POWERING_DOWN",
        "POWER_DOWN",
        "REBOOT",
        "REBOOT_ISSUED",
        "REBOOT_REQUESTED",
        "UNKNOWN",
    }
)
"""States (sinfo(1), NODE STATE CODES) in which a node takes no job, nobody knows for how long.

A node that is powered off to save energy (``POWERED_DOWN``) is not among them: Slurm boots it for a job.
"""

KEPT = frozenset({"RESERVED", "MAINT", "PLANNED"})
"""States in which a node that works is kept for others for a while."""


@dataclass(frozen=True, slots=True)
class NodeFree:
    """What one node has free at this moment, whatever its state. ``gpus`` by type."""

    cpus: int
    memory_mib: int
    gpus: Mapping[str, int]


_NO_GPUS: Mapping[str, int] = {}
NOTHING_FREE = NodeFree(0, 0, _NO_GPUS)


class Index:
    """One snapshot by partition, node and user. Parts are made when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        # Not the snapshot itself: this object lives as long as that one does.
        self.taken_at = snapshot.taken_at
        self.resources_at = snapshot.resources_at
        self.jobs = snapshot.jobs
        self.nodes = snapshot.nodes
        self.associations = snapshot.associations
        self.reservations: Mapping[str, Reservation] = {r.name: r for r in snapshot.reservations}
        self.partitions: Mapping[str, Partition] = {p.name: p for p in snapshot.partitions}
        self.qos: Mapping[str, Qos] = {q.name: q for q in snapshot.qos}
        self.memo: dict[Any, Any] = {}
        """Further parts, kept by the modules that make them; keys are tuples that begin with their name."""

    def prepare(self) -> Index:
        """Make the parts that everybody needs, away from the event loop."""
        _ = self.nodes_of, self.free, self.usable, self.pending
        return self

    @cached_property
    def nodes_of(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes of each partition; what the partition and what the node says are joined."""
        by_name = {node.name: node for node in self.nodes}
        found: dict[str, dict[str, Node]] = {
            partition.name: {name: by_name[name] for name in partition.nodes if name in by_name}
            for partition in self.partitions.values()
        }
        for node in self.nodes:
            for name in node.partitions:
                if name in found:
                    found[name][node.name] = node
        return {name: tuple(nodes.values()) for name, nodes in found.items()}

    @cached_property
    def free(self) -> Mapping[str, NodeFree]:
        """What each node has free, by its name."""
        return {node.name: node_free(node) for node in self.nodes}

    @cached_property
    def usable(self) -> frozenset[str]:
        """Nodes that take jobs of everybody now."""
        known: dict[frozenset[str], bool] = {}
        found = []
        for node in self.nodes:
            is_usable = known.get(node.states)
            if is_usable is None:
                is_usable = known[node.states] = node.states.isdisjoint(BROKEN | KEPT)
            if is_usable:
                found.append(node.name)
        return frozenset(found) - self.reserved

    @cached_property
    def states(self) -> Mapping[str, frozenset[str]]:
        """States of each node."""
        return {node.name: node.states for node in self.nodes}

    @cached_property
    def pending(self) -> Mapping[str, tuple[Job, ...]]:
        """Jobs that wait, by partition; one that named several waits in each."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            if job.state is JobState.PENDING:
                for name in job.partition.split(","):
                    found[name].append(job)
        return {name: tuple(jobs) for name, jobs in found.items()}

    @cached_property
    def on_node(self) -> Mapping[str, tuple[Job, ...]]:
        """Jobs that hold something of each node, or have just ended there."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            if job.state is not JobState.PENDING:
                for name in job.nodes:
                    found[name].append(job)
        return {name: tuple(jobs) for name, jobs in found.items()}

    @cached_property
    def windows(self) -> Mapping[str, tuple[Reservation, ...]]:
        """Reservations of each node, by their beginning."""
        found: dict[str, list[Reservation]] = defaultdict(list)
        for reservation in sorted(self.reservations.values(), key=lambda r: r.starts_at):
            for name in reservation.nodes:
                found[name].append(reservation)
        return {name: tuple(reservations) for name, reservations in found.items()}

    @cached_property
    def reserved(self) -> frozenset[str]:
        """Nodes in a reservation that was on when the snapshot was taken."""
        return frozenset(
            name
            for reservation in self.reservations.values()
            if is_on(reservation, self.taken_at)
            for name in reservation.nodes
        )

    @cached_property
    def gpu_types(self) -> tuple[str, ...]:
        """Every type of GPU that a node of the cluster names."""
        return tuple(sorted({kind for node in self.nodes for kind in node.gpus if kind}))

    @cached_property
    def no_gpus(self) -> tuple[int, ...]:
        """Zero for GPUs of any type and of each."""
        return (0,) * (1 + len(self.gpu_types))

    @cached_property
    def _associations_of(self) -> Mapping[str, tuple[Association, ...]]:
        found: dict[str, list[Association]] = defaultdict(list)
        for association in self.associations:
            found[association.user].append(association)
        return {user: tuple(associations) for user, associations in found.items()}

    @cached_property
    def knows_people(self) -> bool:
        """Whether the cluster's accounting has people at all; every one has root."""
        return any(user not in ("", "root") for user in self._associations_of)

    def associations_of(self, user: str) -> Sequence[Association]:
        """A person's associations."""
        return self._associations_of.get(user, ()) if user else ()

    @cached_property
    def _accounts(self) -> Mapping[str, Association]:
        return {found.account: found for found in self._associations_of.get("", ())}

    def lineage(self, association: Association) -> Sequence[Association]:
        """An association, its account's own, and those of the accounts above, upwards."""
        found = [association]
        name = association.account if association.user else association.parent
        seen = {association.account} if not association.user else set()
        while name and name not in seen and (account := self._accounts.get(name)) is not None:
            seen.add(name)
            found.append(account)
            name = account.parent
        return found


def is_on(reservation: Reservation, at: datetime) -> bool:
    """Whether a reservation is on at a moment."""
    return reservation.starts_at <= at < reservation.ends_at


def node_free(node: Node) -> NodeFree:
    """What a node has free: nothing at all where its CPUs or its memory are used up."""
    cpus, memory_mib = node.cpus - node.cpus_used, node.memory_mib - node.memory_mib_used
    if cpus <= 0 or memory_mib <= 0:
        return NOTHING_FREE
    if not node.gpus:
        return NodeFree(cpus, memory_mib, _NO_GPUS)
    # Use that Slurm reports without a type may be of any: none of them counts as free.
    untyped_used = node.gpus_used.get("", 0)
    gpus = {
        kind: max(total - node.gpus_used.get(kind, 0) - (untyped_used if kind else 0), 0)
        for kind, total in node.gpus.items()
    }
    if "" in gpus:
        typed_used = sum(node.gpus_used.values()) - untyped_used
        known = sum(used for kind, used in node.gpus_used.items() if kind in node.gpus and kind)
        gpus[""] = max(gpus[""] - (typed_used - known), 0)
    return NodeFree(cpus, memory_mib, gpus)


def is_alive(job: Job) -> bool:
    """Whether a job holds its nodes: it runs, is suspended or is being cleaned up."""
    return job.state in ALIVE or "COMPLETING" in job.flags


_KNOWN: dict[int, tuple[weakref.ref[Snapshot], Index]] = {}


def index_of(snapshot: Snapshot) -> Index:
    """Index of a snapshot, made once. May be called from any thread."""
    known = _KNOWN.get(id(snapshot))
    if known is not None and known[0]() is snapshot:
        return known[1]
    key = id(snapshot)

    def forget(reference: weakref.ref[Snapshot]) -> None:
        # Another snapshot may have come to lie where this one was.
        if (entry := _KNOWN.get(key)) is not None and entry[0] is reference:
            del _KNOWN[key]

    index = Index(snapshot)
    _KNOWN[key] = (weakref.ref(snapshot, forget), index)
    return index
