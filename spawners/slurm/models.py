"""What Slurm says, in one form for all its interfaces and versions.

Transports (`spawners.slurm.transport`) turn what they read into these; everything else sees only
these. Times are aware UTC, durations `timedelta`, memory MiB. None: not set, unlimited or not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class JobState(StrEnum):
    """Base state of a job, as slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES names them."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"


ALIVE = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED})
"""States in which a job has not ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as slurmctld knows it.

    ``flags`` are further states (``COMPLETING``, ``CONFIGURING``, ``REQUEUED`` …). ``comment`` holds
    the launch id of a session (`mark`), ``wckey`` that of a job from inside one. ``starts_at`` is
    the scheduler's guess while it is pending. ``nodes`` are expanded names. ``array_task`` is the
    index within a job array.
    """

    id: int
    state: JobState
    user: str
    name: str = ""
    flags: frozenset[str] = frozenset()
    reason: str = ""
    account: str = ""
    partition: str = ""
    qos: str = ""
    comment: str = ""
    wckey: str = ""
    reservation: str = ""
    nodes: tuple[str, ...] = ()
    cpus: int = 0
    memory_mib: int = 0
    gpus: Mapping[str, int] = field(default_factory=dict)
    submitted_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    time_limit: timedelta | None = None
    exit_code: int | None = None
    signal: int | None = None
    restarts: int = 0
    array_task: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node. ``gpus`` and ``gpus_used`` by type, ``""`` for an untyped one.

    ``states`` are base state and flags in upper case (``IDLE``, ``DRAIN``, ``DOWN``, ``RESERVED`` …).
    """

    name: str
    address: str
    architecture: str
    cpus: int
    cpus_used: int
    memory_mib: int
    memory_mib_used: int
    gpus: Mapping[str, int]
    gpus_used: Mapping[str, int]
    states: frozenset[str]
    partitions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition. Empty ``allowed_*``: everybody; ``max_memory_per_node_mib`` None: the node's."""

    name: str
    nodes: tuple[str, ...]
    is_up: bool
    is_default: bool = False
    max_time: timedelta | None = None
    default_time: timedelta | None = None
    max_nodes: int | None = None
    max_memory_per_node_mib: int | None = None
    max_memory_per_cpu_mib: int | None = None
    allowed_accounts: tuple[str, ...] = ()
    denied_accounts: tuple[str, ...] = ()
    allowed_qos: tuple[str, ...] = ()
    denied_qos: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    qos: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation. A person may use it by name or by account; ``partition`` empty: any."""

    name: str
    users: tuple[str, ...]
    accounts: tuple[str, ...]
    groups: tuple[str, ...]
    nodes: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Tres:
    """Limits by trackable resource; None: none. ``gpus`` maps types, ``""`` for any."""

    cpus: int | None = None
    memory_mib: int | None = None
    nodes: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)


NO_LIMITS = Tres()
"""Nothing is limited."""


@dataclass(frozen=True, slots=True)
class Association:
    """What an account lets a user do (sacctmgr(1)). ``user`` empty: the account itself.

    ``partition`` empty: any. ``qos`` are the allowed ones, parents' included.
    """

    account: str
    user: str = ""
    partition: str = ""
    parent: str = ""
    is_default: bool = False
    qos: tuple[str, ...] = ()
    default_qos: str = ""
    max_tres_per_job: Tres = NO_LIMITS
    group_tres: Tres = NO_LIMITS
    max_wall: timedelta | None = None
    max_jobs: int | None = None
    max_submit_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Qos:
    """A quality of service and its limits (sacctmgr(1))."""

    name: str
    priority: int = 0
    max_wall: timedelta | None = None
    max_tres_per_job: Tres = NO_LIMITS
    max_tres_per_user: Tres = NO_LIMITS
    group_tres: Tres = NO_LIMITS
    max_jobs_per_user: int | None = None
    preempts: tuple[str, ...] = ()
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountedJob:
    """One run of a job as slurmdbd has it; a requeued job has several with one id.

    ``started_at`` None: it never ran. ``cancelled_by`` is the user who cancelled it, or empty.
    ``max_rss_mib`` is the largest of its steps, where it was gathered.
    """

    id: int
    state: JobState
    user: str
    account: str
    partition: str
    comment: str
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: int
    cpus: int
    memory_mib: int
    gpus: int
    nodes: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: int | None = None
    cancelled_by: str = ""
    max_rss_mib: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job to submit: structured fields only; the script is fixed text of ours.

    ``log`` is the file for both outputs, ``workdir`` an absolute folder. ``comment`` is `mark` of the
    launch. The job is never requeued by Slurm on its own.
    """

    user: str
    script: str
    environment: Mapping[str, str] = field(repr=False)
    name: str
    comment: str
    partition: str
    cpus: int
    memory_mib: int
    time_limit: timedelta
    workdir: str
    log: str
    gpus: int = 0
    gpu_type: str = ""
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    constraint: str | None = None


_MARK = "panhub:"


def mark(launch_id: str) -> str:
    """Comment of a session's job, by which it is found again."""
    return f"{_MARK}{launch_id}"


def marked(comment: str) -> str | None:
    """Launch id in a job's comment; None for a job that is not ours."""
    found = comment.removeprefix(_MARK)
    is_ours = comment.startswith(_MARK) and len(found) == 16 and set(found) <= set("0123456789abcdef")
    return found if is_ours else None
