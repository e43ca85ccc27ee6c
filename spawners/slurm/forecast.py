"""When would a session start? An estimate from one snapshot, where the scheduler cannot be asked.

It follows what Slurm does in outline: a node must have the room from the start until the end of the time
asked for, apart from reservations; jobs that wait come first. It knows nothing of priorities,
fair share, preemption, node features, jobs that end early (most do: the start is then sooner) or jobs
that are yet to come (the start is then later), nor of an account's limits.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from spawners.backend import Ask, Forecast
from spawners.slurm.index import KEPT, Index, index_of
from spawners.slurm.models import Job, Reservation
from spawners.slurm.room import (
    GRACE_S,
    Common,
    Counts,
    Interval,
    NodeRoom,
    common_room,
    counts,
    fits,
    node_rooms,
    outside,
    waits_for_room,
)
from spawners.slurm.snapshot import Snapshot

_HORIZON_S = 366 * 86400.0
"""Later than this is no forecast."""


def estimate(snapshot: Snapshot, partition: str, ask: Ask, now: datetime) -> Forecast:
    """Earliest start of such a session in a partition.

    Now, if a node that works has the room and no waiting job needs it; else the earliest time at which
    running jobs reach their time limits and free a node that fits. Never in the past, and never
    earlier for a larger ask. No time if it never fits, or if the partition is missing or closed.

    The first call for a snapshot lays out the partition's nodes and queue (0.2 s for 5,000
    busy nodes): call it in a thread.
    """
    index = index_of(snapshot)
    found = index.partitions.get(partition)
    if found is None or not found.is_up or (found.max_time is not None and ask.walltime > found.max_time):
        return Forecast(None)
    reservation = None
    if ask.scheduling.reservation is not None:
        reservation = index.reservations.get(ask.scheduling.reservation)
        if reservation is None:
            return Forecast(None)
    asked = _asked(index, ask)
    if asked is None:
        return Forecast(None)
    start = _earliest(index, partition, reservation, asked, ask.walltime.total_seconds(), now.timestamp())
    if start is None:
        return Forecast(None)
    return Forecast(max(now, datetime.fromtimestamp(start, UTC)), "estimate")


def _asked(index: Index, ask: Ask) -> Counts | None:
    size = ask.size
    if size.gpus and size.gpu_type and size.gpu_type not in index.gpu_types:
        return None
    return counts(index, size.cpus, size.memory_mib, {size.gpu_type: size.gpus})


def _earliest(
    index: Index,
    partition: str,
    reservation: Reservation | None,
    asked: Counts,
    lasts: float,
    now: float,
) -> float | None:
    rooms, common = _layout(index, partition, reservation)
    free = _starts(common, asked, lasts, now)
    planned = _planned(index, partition)
    best: float | None = None
    for room in rooms:
        # The first step is what is there; later ones are promises, and an old promise is not yet kept.
        for step, (at, have) in enumerate(room.steps):
            if fits(have, asked):
                begin = now if step == 0 else max(at, now + GRACE_S)
                break
        else:
            continue
        if best is not None and begin >= best:
            continue
        windows = _windows(index, room.name, reservation, planned)
        if windows is None:
            continue
        start = _common_start(begin, lasts, windows, free)
        if start is not None and (best is None or start < best):
            best = start
            if best <= now:
                break
    if best is None or best > now + _HORIZON_S:
        return None
    return best


def _layout(
    index: Index, partition: str, reservation: Reservation | None
) -> tuple[tuple[NodeRoom, ...], Common]:
    """Nodes that an ask may get, and their room together; laid out once for each snapshot."""
    key = ("layout", partition, reservation.name if reservation else None)
    if key not in index.memo:
        rooms = node_rooms(index, partition)
        if reservation is not None and reservation.nodes:
            inside = frozenset(reservation.nodes)
            rooms = tuple(room for room in rooms if room.name in inside)
        steps = [outside(room.steps, _reserved(index, room.name, reservation)) for room in rooms]
        index.memo[key] = rooms, common_room(index, steps, _waiting(index, partition, reservation))
    found: tuple[tuple[NodeRoom, ...], Common] = index.memo[key]
    return found


def _waiting(index: Index, partition: str, reservation: Reservation | None) -> list[Job]:
    """Jobs that wait for the same nodes, in the partitions that share some, by their age."""
    names = {name for node in index.nodes_of[partition] for name in node.partitions} | {partition}
    wanted = reservation.name if reservation else ""
    found = {
        job.id: job
        for name in names
        for job in index.pending.get(name, ())
        if job.reservation == wanted and waits_for_room(job)
    }
    return [found[key] for key in sorted(found)]


def _reserved(index: Index, node: str, own: Reservation | None) -> tuple[Interval, ...]:
    """When a node is kept for others, and with a reservation of one's own outside its time, too."""
    windows = [
        (found.starts_at.timestamp(), found.ends_at.timestamp())
        for found in index.windows.get(node, ())
        if own is None or found.name != own.name
    ]
    if own is not None:
        windows += [(-math.inf, own.starts_at.timestamp()), (own.ends_at.timestamp(), math.inf)]
    return tuple(sorted(windows))


def _windows(
    index: Index, name: str, reservation: Reservation | None, planned: Interval
) -> tuple[Interval, ...] | None:
    """When a node is not for this ask; None: nobody knows how long."""
    windows = _reserved(index, name, reservation)
    kept = index.states[name] & KEPT
    if reservation is None and kept - {"PLANNED"} and name not in index.reserved:
        return None
    if "PLANNED" in kept:
        windows = tuple(sorted((*windows, planned)))
    return windows


def _planned(index: Index, partition: str) -> Interval:
    """When nodes that are planned for waiting jobs are not free: while the first of these will run."""
    key = ("planned", partition)
    if key not in index.memo:
        first = min(
            (job for job in _waiting(index, partition, None) if job.starts_at is not None),
            key=lambda job: job.starts_at or index.taken_at,
            default=None,
        )
        begin = end = index.taken_at.timestamp()
        if first is None or first.starts_at is None or first.time_limit is None:
            end = math.inf
        else:
            begin = max(begin, first.starts_at.timestamp())
            end = begin + first.time_limit.total_seconds()
        index.memo[key] = begin, end
    found: Interval = index.memo[key]
    return found


def _starts(common: Common, asked: Counts, lasts: float, now: float) -> list[Interval]:
    """From when until when a start finds room for its whole time among all nodes, by time."""
    steps = common.steps
    found: list[Interval] = []
    since: float | None = None
    for place, (at, have) in enumerate(steps):
        begin = now if place == 0 else max(at, now + GRACE_S)
        if fits(have, asked):
            since = begin if since is None else since
        elif since is not None:
            if begin - lasts >= since:
                found.append((since, begin - lasts))
            since = None
    if since is not None:
        found.append((since, math.inf))
    first = max(common.queue_ends, now + GRACE_S) if common.queue_ends > steps[0][0] else now
    return [(max(begin, first), end) for begin, end in found if end >= first]


def _common_start(
    begin: float, lasts: float, windows: tuple[Interval, ...], free: list[Interval]
) -> float | None:
    """First start from ``begin`` on that meets no window and lies in a free interval."""
    start = begin
    while True:
        last = start
        for opens, closes in windows:
            if start < closes and start + lasts > opens:
                start = closes
        start = next((max(since, start) for since, until in free if until >= start), math.inf)
        if math.isinf(start):
            return None
        if start == last:
            return start
