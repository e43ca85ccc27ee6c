"""What holds for every forecast on every cluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from spawners.slurm.forecast import estimate
from spawners.slurm.models import Job, Node, Reservation
from spawners.slurm.snapshot import Snapshot
from tests.support.slurm_models import HOUR, NOW, ask, job, node, reservation, snapshot

TYPES = ("a100", "v100", "")
STATES = ("IDLE", "MIXED", "ALLOCATED", "IDLE+DRAIN", "IDLE+PLANNED", "IDLE+RESERVED", "MIXED+COMPLETING")

hours = st.integers(-3, 12).map(lambda n: NOW + n * HOUR / 2)
gpus = st.dictionaries(st.sampled_from(TYPES), st.integers(0, 4), max_size=2)
names = st.sampled_from(("n0", "n1", "n2", "n3"))


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Node:
    devices = draw(gpus)
    return node(
        name,
        states=draw(st.sampled_from(STATES)),
        cpus_used=draw(st.integers(0, 32)),
        memory_mib_used=draw(st.integers(0, 64)) * 1000,
        gpus=devices,
        gpus_used={kind: draw(st.integers(0, count)) for kind, count in devices.items()},
        partitions=draw(st.sampled_from((("cpu",), ("cpu", "all"), ("all",)))),
    )


@st.composite
def jobs(draw: st.DrawFn, number: int) -> Job:
    is_pending = draw(st.booleans())
    return job(
        number,
        *(() if is_pending else draw(st.lists(names, min_size=1, max_size=2, unique=True))),
        partition=draw(st.sampled_from(("cpu", "all", "cpu,all"))),
        cpus=draw(st.integers(1, 64)),
        memory_mib=draw(st.integers(0, 64)) * 1000,
        gpus=draw(gpus),
        starts_at=draw(st.none() | hours),
        ends_at=draw(st.none() | hours),
        time_limit=draw(st.sampled_from((None, HOUR, 3 * HOUR))),
        reason=draw(st.sampled_from(("Priority", "Resources", "Dependency"))),
    )


@st.composite
def reservations(draw: st.DrawFn, name: str) -> Reservation:
    begin = draw(hours)
    inside = draw(st.lists(names, max_size=2, unique=True))
    return reservation(name, *inside, starts_at=begin, ends_at=begin + draw(st.integers(1, 6)) * HOUR)


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    return snapshot(
        *(draw(nodes(f"n{number}")) for number in range(draw(st.integers(1, 4)))),
        partitions={"cpu": {}},
        jobs=tuple(draw(jobs(number)) for number in range(draw(st.integers(0, 6)))),
        reservations=tuple(draw(reservations(f"r{number}")) for number in range(draw(st.integers(0, 2)))),
    )


asks = st.builds(
    ask,
    st.integers(1, 33),
    hours=st.sampled_from((0.5, 1, 2, 5)),
    memory_mib=st.integers(1, 65).map(lambda n: n * 1000),
    gpus=st.integers(0, 5),
    gpu_type=st.sampled_from(TYPES),
)
moments = st.integers(0, 5).map(lambda n: NOW + n * timedelta(minutes=25))


@given(clusters(), asks, moments)
def test_start_is_never_in_the_past(cluster: Snapshot, wanted: object, now: datetime) -> None:
    found = estimate(cluster, "cpu", wanted, now).starts_at
    assert found is None or found >= now


@given(
    clusters(), asks, st.sampled_from(("cpus", "memory_mib", "gpus", "walltime")), st.integers(1, 20), moments
)
def test_larger_ask_never_starts_earlier(cluster, wanted, what, more, now) -> None:
    if what == "walltime":
        larger = replace(wanted, walltime=wanted.walltime + more * HOUR / 4)
    else:
        amount = getattr(wanted.size, what) + more * (1000 if what == "memory_mib" else 1)
        larger = replace(wanted, size=replace(wanted.size, **{what: amount}))

    first, second = (estimate(cluster, "cpu", x, now).starts_at for x in (wanted, larger))

    assert second is None or (first is not None and first <= second)


@given(clusters(), asks, moments)
def test_now_means_that_a_node_has_as_much_free(cluster, wanted, now) -> None:
    if estimate(cluster, "cpu", wanted, now).starts_at != now:
        return
    size = wanted.size
    assert any(
        "cpu" in one.partitions
        and "DRAIN" not in one.states
        and one.cpus - one.cpus_used >= size.cpus
        and one.memory_mib - one.memory_mib_used >= size.memory_mib
        and _gpus_free(one, size.gpu_type) >= size.gpus
        for one in cluster.nodes
    )


@given(clusters(), asks, moments)
def test_untyped_ask_never_starts_later_on_an_idle_cluster(cluster, wanted, now) -> None:
    idle = replace(cluster, jobs=())
    anyone = replace(wanted, size=replace(wanted.size, gpu_type=""))

    typed, untyped = (estimate(idle, "cpu", x, now).starts_at for x in (wanted, anyone))

    assert typed is None or (untyped is not None and untyped <= typed)


def _gpus_free(one: Node, kind: str) -> int:
    kinds = [kind] if kind else list(one.gpus)
    return sum(one.gpus.get(k, 0) - one.gpus_used.get(k, 0) for k in kinds)
