"""Shapes of slurmrestd's answers: the fields that are read, of 0.0.38 and of 0.0.40 and newer.

Field names: ``/openapi/v3`` of slurmrestd 22.05 and 24.11. The newer ones wrap numbers
(``{"set": …, "infinite": …, "number": …}``) and list states; both forms are read by the same types.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter
from typing_extensions import TypedDict

from spawners.slurm.rest.wire import Envelope, WireTres


def _number(value: Any) -> Any:
    """Plain number of a "no-val" struct; None where nothing is set or there is no limit."""
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") and not value.get("infinite") else None
    return int(value) if isinstance(value, float) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Number = Annotated[int | None, BeforeValidator(_number)]
Words = Annotated[list[str], BeforeValidator(_listed)]
Text = str | None


class Signal(TypedDict, total=False):
    signal_id: Number
    id: Number


class Exit(TypedDict, total=False):
    status: Words
    return_code: Number
    signal: Signal | None


def _exit(value: Any) -> Any:
    """0.0.38 gives the status of wait(2) of a job of slurmctld."""
    if isinstance(value, int):
        return {"status": [], "return_code": (value >> 8) & 0xFF, "signal": {"id": (value & 0x7F) or None}}
    return value


class Job(TypedDict, total=False):
    job_id: int
    job_state: Words
    state_reason: Text
    user_name: str
    name: Text
    account: Text
    partition: Text
    qos: Text
    comment: Text
    wckey: Text
    resv_name: Text
    nodes: Text
    cpus: Number
    tres_alloc_str: Text
    tres_req_str: Text
    tres_per_node: Text
    tres_per_job: Text
    tres_per_task: Text
    gres_detail: list[str] | None
    submit_time: Number
    start_time: Number
    end_time: Number
    time_limit: Number
    exit_code: Annotated[Exit | None, BeforeValidator(_exit)]
    restart_cnt: Number
    array_task_id: Number


class Jobs(Envelope):
    jobs: list[Job]


class Node(TypedDict, total=False):
    name: str
    address: Text
    architecture: Text
    cpus: int
    effective_cpus: int
    alloc_cpus: int
    real_memory: int
    alloc_memory: int
    gres: Text
    gres_used: Text
    state: Words
    state_flags: list[str]
    partitions: list[str]


class Nodes(Envelope):
    nodes: list[Node]


class OldPartition(TypedDict, total=False):
    """Partition of 0.0.38."""

    name: str
    nodes: Text
    state: str
    flags: list[str]
    max_time_limit: Number
    default_time_limit: Number
    maximum_nodes_per_job: Number
    maximum_memory_per_node: Number
    maximum_memory_per_cpu: Number
    allowed_accounts: Text
    denied_accounts: Text
    allowed_qos: Text
    denied_qos: Text
    allowed_groups: Text
    qos: Text


class OldPartitions(Envelope):
    partitions: list[OldPartition]


class PartitionNodes(TypedDict):
    configured: Text


class Access(TypedDict, total=False):
    allowed: Text
    deny: Text
    assigned: Text


class Defaults(TypedDict, total=False):
    time: Number


class Maximums(TypedDict, total=False):
    nodes: Number
    time: Number
    partition_memory_per_cpu: Number
    partition_memory_per_node: Number


class PartitionState(TypedDict):
    state: Words


class Partition(TypedDict, total=False):
    """Partition of 0.0.40 and newer."""

    name: str
    nodes: PartitionNodes
    accounts: Access
    groups: Access
    qos: Access
    defaults: Defaults
    maximums: Maximums
    partition: PartitionState
    flags: list[str]


class Partitions(Envelope):
    partitions: list[Partition]


class Reservation(TypedDict, total=False):
    name: str
    users: Text
    accounts: Text
    groups: Text
    node_list: Text
    start_time: Number
    end_time: Number
    partition: Text


class Reservations(Envelope):
    reservations: list[Reservation]


class PerJob(TypedDict):
    job: list[WireTres]


class AssociationTres(TypedDict):
    total: list[WireTres]
    per: PerJob


class WallClock(TypedDict):
    wall_clock: Number


class AssociationJobs(TypedDict):
    per: WallClock
    active: Number
    total: Number


class AssociationMax(TypedDict):
    jobs: AssociationJobs
    tres: AssociationTres


class Default(TypedDict, total=False):
    qos: Text


class Association(TypedDict):
    account: str
    cluster: str
    user: Text
    partition: Text
    parent_account: Text
    is_default: int | bool
    qos: list[str]
    default: Default
    max: AssociationMax


class Associations(Envelope):
    associations: list[Association]


class QosTresPer(TypedDict):
    job: list[WireTres]
    user: list[WireTres]


class QosTres(TypedDict):
    total: list[WireTres]
    per: QosTresPer


class WallPer(TypedDict):
    job: Number


class Wall(TypedDict):
    per: WallPer


class PerUser(TypedDict):
    user: Number


class ActiveJobs(TypedDict):
    per: PerUser


class QosJobs(TypedDict):
    active_jobs: ActiveJobs


class QosMax(TypedDict):
    tres: QosTres
    wall_clock: Wall
    jobs: QosJobs


class QosLimits(TypedDict):
    max: QosMax


class Preempt(TypedDict):
    list: list[str]


class Qos(TypedDict):
    name: str
    priority: Number
    flags: list[str]
    limits: QosLimits
    preempt: Preempt


class OldAllQos(Envelope):
    QOS: list[Qos]


class AllQos(Envelope):
    qos: list[Qos]


class Cluster(TypedDict):
    name: str


class Clusters(Envelope):
    clusters: list[Cluster]


class Ping(TypedDict, total=False):
    ping: str
    pinged: str


class Pings(Envelope):
    pings: list[Ping]


class Comment(TypedDict):
    job: Text


class State(TypedDict):
    current: Words
    reason: Text


class Time(TypedDict):
    elapsed: Number
    start: Number
    end: Number
    submission: Number


class Allocated(TypedDict):
    allocated: list[WireTres]


class Largest(TypedDict):
    max: list[WireTres]


class StepTres(TypedDict):
    requested: Largest


class Step(TypedDict):
    tres: StepTres


class Accounted(TypedDict):
    job_id: int
    user: Text
    account: Text
    partition: Text
    comment: Comment
    state: State
    time: Time
    tres: Allocated
    nodes: Text
    exit_code: Exit
    kill_request_user: Text
    steps: list[Step]


class AllAccounted(Envelope):
    jobs: list[Accounted]


JOBS = TypeAdapter(Jobs)
NODES = TypeAdapter(Nodes)
OLD_PARTITIONS = TypeAdapter(OldPartitions)
PARTITIONS = TypeAdapter(Partitions)
RESERVATIONS = TypeAdapter(Reservations)
ASSOCIATIONS = TypeAdapter(Associations)
OLD_QOS = TypeAdapter(OldAllQos)
QOS = TypeAdapter(AllQos)
CLUSTERS = TypeAdapter(Clusters)
PINGS = TypeAdapter(Pings)
ACCOUNTED = TypeAdapter(AllAccounted)
