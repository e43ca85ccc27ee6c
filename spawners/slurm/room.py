"""How much room nodes and partitions will have, by time: the base of a forecast.

Room is a tuple of counts (`Counts`): CPUs, memory [MiB], GPUs of any type, then GPUs of each type in the
order of ``Index.gpu_types``. Times are POSIX seconds, which compare faster than datetimes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add, ge, sub

from spawners.slurm.index import BROKEN, Index, is_alive
from spawners.slurm.models import Job, Node

Counts = tuple[int, ...]
Interval = tuple[float, float]
Steps = tuple[tuple[float, Counts], ...]

GRACE_S = 60.0
"""What should have ended but is still there ends soon: Slurm ends jobs some seconds after their time."""

_UNTRACKED = 2**40

_ELSEWHERE = (
    "Assoc",
    "BadConstraints",
    "BeginTime",
    "Dependency",
    "Job",  # JobHeldUser, JobHeldAdmin, JobArrayTaskLimit
    "Licenses",
    "MaxCpu",
    "Partition",
    "QOS",
    "Reservation",
)
"""Beginnings of the reasons (squeue(1), JOB REASON CODES) of jobs that wait for something else than room."""


def counts(index: Index, cpus: int, memory_mib: int, gpus: Mapping[str, int]) -> Counts:
    """Room of these amounts."""
    if not gpus:
        return (cpus, memory_mib, *index.no_gpus)
    return (cpus, memory_mib, sum(gpus.values()), *[gpus.get(kind, 0) for kind in index.gpu_types])


def fits(room: Counts, asked: Counts) -> bool:
    """Whether there is room for what is asked."""
    return all(map(ge, room, asked))


def plus(a: Counts, b: Counts) -> Counts:
    """Sum."""
    return tuple(map(add, a, b))


def minus(a: Counts, b: Counts) -> Counts:
    """Difference."""
    return tuple(map(sub, a, b))


def _least(a: Counts, b: Counts) -> Counts:
    return tuple(map(min, a, b))


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """What a node will have: ``steps`` of (from when, room), growing; the first is what is seen now."""

    name: str
    steps: Steps


def node_rooms(index: Index, partition: str) -> tuple[NodeRoom, ...]:
    """Room of the partition's nodes that work."""
    made = index.memo.setdefault(("node_room",), {})
    rooms = []
    for node in index.nodes_of[partition]:
        if node.states & BROKEN:
            continue
        if node.name not in made:
            made[node.name] = _node_room(index, node)
        rooms.append(made[node.name])
    return tuple(rooms)


def _capacity(index: Index, node: Node) -> Counts:
    # RealMemory is 1 where a site does not track memory (slurm.conf(5)).
    return counts(index, node.cpus, node.memory_mib if node.memory_mib > 1 else _UNTRACKED, node.gpus)


def _node_room(index: Index, node: Node) -> NodeRoom:
    begin = index.taken_at.timestamp()
    capacity = _capacity(index, node)
    free = index.free[node.name]
    room = counts(index, free.cpus, free.memory_mib, free.gpus)
    if node.memory_mib <= 1:
        room = (room[0], _UNTRACKED, *room[2:])
    jobs = index.on_node.get(node.name, ())
    ends: list[tuple[float | None, Counts]] = []
    for job in jobs:
        if is_alive(job):
            until = job.ends_at if "COMPLETING" not in job.flags else index.taken_at
            end = max(until.timestamp(), begin + GRACE_S) if until is not None else None
            ends.append((end, _share(index, node, job)))
    # Nodes are asked for less often than jobs: what began since holds something, too.
    if ends:
        held = ends[0][1]
        for _, share in ends[1:]:
            held = plus(held, share)
        room = tuple([max(count, 0) for count in _least(room, minus(capacity, held))])
    return NodeRoom(
        node.name, _growing(room, capacity, ends, begin, is_explained=_is_explained(index, node, jobs))
    )


def _growing(
    room: Counts,
    capacity: Counts,
    ends: list[tuple[float | None, Counts]],
    begin: float,
    *,
    is_explained: bool,
) -> Steps:
    """Steps of a node's room as its jobs end; what no job explains ends with the last of them."""
    steps = [(begin, room)]
    known = sorted((end, share) for end, share in ends if end is not None)
    for end, share in known:
        room = _least(plus(room, share), capacity)
        steps.append((end, room))
    if len(known) == len(ends) and room != capacity and (known or is_explained):
        steps.append((known[-1][0] if known else begin + GRACE_S, capacity))
    return tuple(steps)


def _is_explained(index: Index, node: Node, jobs: tuple[Job, ...]) -> bool:
    """Whether use without a job is that of one that has just ended; else nobody knows its end."""
    since = index.resources_at.timestamp() - GRACE_S
    return "COMPLETING" in node.states or any(
        not is_alive(job) and job.ends_at is not None and job.ends_at.timestamp() >= since for job in jobs
    )


def _share(index: Index, node: Node, job: Job) -> Counts:
    """A job's part on one node: Slurm tells the sum, so equal parts, rounded down."""
    parts = max(len(job.nodes), 1)
    gpus = {kind: count // parts for kind, count in job.gpus.items()}
    if (untyped := gpus.get("")) and len(node.gpus) == 1:
        kind = next(iter(node.gpus))
        gpus = {**gpus, "": 0, kind: gpus.get(kind, 0) * bool(kind) + untyped}
    return counts(index, job.cpus // parts, job.memory_mib // parts, gpus)


def asked_by(index: Index, job: Job) -> Counts:
    """Room that a waiting job takes; GPUs without a type are taken from every type, to be safe."""
    untyped = job.gpus.get("", 0)
    typed = (job.gpus.get(kind, 0) + untyped for kind in index.gpu_types)
    return (job.cpus, job.memory_mib, sum(job.gpus.values()), *typed)


@dataclass(frozen=True, slots=True)
class Common:
    """Room of all nodes together after the jobs that wait have got theirs.

    ``steps`` of (from when, room); ``queue_ends`` is when the last waiting job of which the scheduler has
    told no start would begin.
    """

    steps: Steps
    queue_ends: float


def outside(steps: Steps, windows: Sequence[Interval]) -> Steps:
    """Room outside the windows: none in them. ``windows`` are sorted by their beginning."""
    if not windows:
        return steps
    begin = steps[0][0]
    inner = {edge for window in windows for edge in window if begin < edge < math.inf}
    nothing = tuple(0 for _ in steps[0][1])
    found: list[tuple[float, Counts]] = []
    for at in sorted(inner | {at for at, _ in steps}):
        have = next(room for since, room in reversed(steps) if since <= at)
        found.append((at, nothing if any(opens <= at < closes for opens, closes in windows) else have))
    return tuple(found)


def common_room(index: Index, nodes: Sequence[Steps], waiting: list[Job]) -> Common:
    """Let waiting jobs start: at the time that Slurm tells, else one after the other where there is room.

    A cluster is taken as one large node here, so jobs start too early rather than too late; that they
    come before any new job, however small, outweighs it.
    """
    begin = index.taken_at.timestamp()
    total = tuple(0 for _ in counts(index, 0, 0, {}))
    events: list[tuple[float, Counts]] = []
    capacity = total
    for steps in nodes:
        last = steps[0][1]
        total = plus(total, last)
        for at, step in steps[1:]:
            events.append((at, minus(step, last)))
            last = step
        capacity = plus(capacity, last)
    queue: list[tuple[Counts, float | None]] = []
    for job in waiting:
        asked = asked_by(index, job)
        lasts = job.time_limit.total_seconds() if job.time_limit is not None else None
        if job.starts_at is None:
            if fits(capacity, asked):  # else it waits for nodes that do not work now
                queue.append((asked, lasts))
            continue
        at = max(job.starts_at.timestamp(), begin)
        events.append((at, minus(tuple(0 for _ in asked), asked)))
        if lasts is not None:
            events.append((at + lasts, asked))
    return _run(begin, total, events, queue)


def _run(
    begin: float,
    room: Counts,
    events: list[tuple[float, Counts]],
    queue: list[tuple[Counts, float | None]],
) -> Common:
    heapq.heapify(events)
    steps: list[tuple[float, Counts]] = []
    queue_ends = now = begin
    place = 0
    while True:
        while events and events[0][0] <= now:
            room = plus(room, heapq.heappop(events)[1])
        while place < len(queue) and (fits(room, queue[place][0]) or not events):
            asked, lasts = queue[place]
            room = minus(room, asked)
            if lasts is not None:
                heapq.heappush(events, (now + lasts, asked))
            queue_ends = now
            place += 1
        steps.append((now, room))
        if not events:
            return Common(tuple(steps), queue_ends)
        now = events[0][0]


def waits_for_room(job: Job) -> bool:
    """Whether a pending job competes for nodes; one with an expected start always does."""
    return job.starts_at is not None or not job.reason.startswith(_ELSEWHERE)
