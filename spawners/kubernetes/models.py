"""What is kept of a cluster's objects: the few fields that a status, a charge or a sum of free room needs.

A pod as the API server sends it takes some 9 kB of JSON and 60 kB of Python; one of these 1 kB.
All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a pod and since when it is so."""

    status: str
    reason: str
    message: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Container:
    """State of a session's one container: ``waiting``, ``running``, ``terminated`` or empty (none yet)."""

    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Requests:
    """What a pod reserves on its node. ``devices`` by extended resource."""

    millicpus: int = 0
    memory_mib: int = 0
    devices: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of ours.

    ``version`` is its resourceVersion. ``deleted_at`` is its deletionTimestamp: when its grace is over,
    not when that was asked for. ``cpus``, ``memory_mib`` and ``gpus`` are the size that was planned.
    """

    name: str
    uid: str
    version: int
    created_at: datetime
    launch_id: str = ""
    pool: str = ""
    is_placeholder: bool = False
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    nominated_node: str = ""
    ip: str = ""
    deleted_at: datetime | None = None
    deletion_grace_s: int | None = None
    has_finalizer: bool = False
    is_gated: bool = False
    scheduled: Condition | None = None
    ready: Condition | None = None
    containers_ready: Condition | None = None
    disruption: Condition | None = None
    container: Container = Container()
    given_up: str = ""
    spec: str = ""
    cpus: int = 0
    memory_mib: int = 0
    gpus: int = 0
    requests: Requests = Requests()


@dataclass(frozen=True, slots=True)
class PodEvent:
    """Something that a component of the cluster said of a pod (``pod_uid``)."""

    name: str
    uid: str
    version: int
    pod_uid: str
    reason: str
    message: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node and what pods can have of it."""

    name: str
    uid: str
    version: int
    is_ready: bool
    is_schedulable: bool
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    millicpus: int
    memory_mib: int
    pods: int
    devices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Scope:
    """A condition by which a quota counts some pods only: ``PriorityClass``, ``NotIn``, its values."""

    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota of the sessions' namespace: quantities by resource, as Kubernetes writes them.

    It counts pods that are within all of its ``scopes``.
    """

    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]
    scopes: tuple[Scope, ...] = ()
