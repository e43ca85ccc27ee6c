"""Small snapshots of a cluster, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from spawners.backend import Ask
from spawners.plan import Account, Environment, Interface, LaunchId, LaunchPlan, Scheduling, Size
from spawners.slurm.models import Job, JobState, Node, Partition, Reservation
from spawners.slurm.snapshot import Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERA = Account("vera", 2001, 2001, PurePosixPath("/home/vera"))


def node(name: str, *, states: str = "IDLE", **changes: Any) -> Node:
    """A node of 32 CPUs and 64,000 MiB in the partition ``cpu``; ``states`` as sinfo writes them."""
    fields: dict[str, Any] = {
        "address": name,
        "architecture": "x86_64",
        "cpus": 32,
        "cpus_used": 0,
        "memory_mib": 64000,
        "memory_mib_used": 0,
        "gpus": {},
        "gpus_used": {},
        "partitions": ("cpu",),
    }
    return Node(name=name, states=frozenset(states.split("+")), **{**fields, **changes})


def job(number: int, *nodes: str, state: JobState | None = None, **changes: Any) -> Job:
    """A job of 8 CPUs: running on the nodes, or pending where there are none."""
    fields: dict[str, Any] = {
        "user": "otto",
        "partition": "cpu",
        "cpus": 8,
        "memory_mib": 8000,
        "time_limit": HOUR,
    }
    state = state or (JobState.RUNNING if nodes else JobState.PENDING)
    return Job(id=number, state=state, nodes=nodes, **{**fields, **changes})


def reservation(name: str, *nodes: str, **changes: Any) -> Reservation:
    """A reservation of vera's that is on for two hours from now."""
    fields: dict[str, Any] = {
        "users": ("vera",),
        "accounts": (),
        "groups": (),
        "starts_at": NOW,
        "ends_at": NOW + 2 * HOUR,
    }
    return Reservation(name=name, nodes=nodes, **{**fields, **changes})


def snapshot(*nodes: Node, partitions: Mapping[str, Any] | None = None, **changes: Any) -> Snapshot:
    """A snapshot of ``NOW``. ``partitions``: fields by name; every partition that a node names is there."""
    named = dict.fromkeys(name for one in nodes for name in one.partitions)
    wanted = {name: {} for name in named} | dict(partitions or {})
    made = tuple(
        Partition(
            name=name,
            **{"nodes": tuple(n.name for n in nodes if name in n.partitions), "is_up": True, **fields},
        )
        for name, fields in wanted.items()
    )
    fields: dict[str, Any] = {
        "taken_at": NOW,
        "resources_at": NOW,
        "limits_at": NOW,
        "jobs": (),
        "reservations": (),
        "associations": (),
        "qos": (),
    }
    return Snapshot(nodes=nodes, partitions=made, **{**fields, **changes})


def size(cpus: int = 8, memory_mib: int = 8000, gpus: int = 0, gpu_type: str = "") -> Size:
    """A size."""
    return Size("one", "One", cpus, memory_mib, gpus, gpu_type)


def ask(cpus: int = 8, *, hours: float = 1, scheduling: Scheduling | None = None, **of_size: Any) -> Ask:
    """vera's ask."""
    return Ask(VERA, size(cpus, **of_size), hours * HOUR, scheduling or Scheduling())


def plan(
    cpus: int = 8,
    *,
    hours: float = 1,
    account: Account = VERA,
    scheduling: Scheduling | None = None,
    **of_size: Any,
) -> LaunchPlan:
    """vera's plan."""
    return LaunchPlan(
        launch_id=LaunchId("0123456789abcdef"),
        username=account.name,
        server_name="s1",
        interface=Interface.LAB,
        account=account,
        environment=Environment("base", "Base", PurePosixPath("/opt/base"), "0" * 64),
        size=size(cpus, **of_size),
        place="cpu",
        walltime=hours * HOUR,
        scheduling=scheduling or Scheduling(),
    )
