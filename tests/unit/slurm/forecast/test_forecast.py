"""When a session would start, on small clusters that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from spawners.backend import Ask
from spawners.plan import Scheduling
from spawners.slurm.forecast import estimate
from spawners.slurm.models import JobState
from spawners.slurm.snapshot import Snapshot
from tests.support.slurm_models import HOUR, NOW, ask, job, node, reservation, snapshot

BUSY = {"cpus_used": 32, "memory_mib_used": 32000, "states": "ALLOCATED"}


def start(cluster: Snapshot, wanted: Ask, partition: str = "cpu") -> datetime | None:
    """Start in hours from now, None: never."""
    forecast = estimate(cluster, partition, wanted, NOW)
    assert forecast.basis == ("unknown" if forecast.starts_at is None else "estimate")
    return forecast.starts_at


def full(*jobs: Any, **changes: Any) -> Snapshot:
    """One full node with these jobs."""
    return snapshot(node("a", **BUSY), jobs=jobs, **changes)


def test_room_on_a_node_is_now() -> None:
    assert start(snapshot(node("a", cpus_used=24)), ask(8)) == NOW


def test_room_that_is_spread_over_nodes_is_none() -> None:
    cluster = snapshot(node("a", cpus_used=20), node("b", cpus_used=20))

    assert start(cluster, ask(16)) is None


@pytest.mark.parametrize(
    ("of_size", "fits"),
    [
        ({"memory_mib": 64000}, True),
        ({"memory_mib": 64001}, False),
        ({"gpus": 4}, True),
        ({"gpus": 5}, False),
        ({"gpus": 2, "gpu_type": "a100"}, True),
        ({"gpus": 3, "gpu_type": "a100"}, False),
        ({"gpus": 1, "gpu_type": "h100"}, False),
        ({"gpus": 0, "gpu_type": "h100"}, True),
    ],
)
def test_memory_and_gpus_count_as_cpus_do(of_size: Mapping[str, Any], fits: bool) -> None:
    cluster = snapshot(node("a", gpus={"a100": 2, "v100": 2}))

    assert start(cluster, ask(1, **of_size)) == (NOW if fits else None)


def test_start_is_when_the_running_jobs_that_are_in_the_way_end() -> None:
    jobs = [job(n, "a", cpus=8, memory_mib=8000, ends_at=NOW + n * HOUR) for n in (1, 2, 3, 4)]

    assert [start(full(*jobs), ask(8 * n)) for n in (1, 2, 3, 4)] == [NOW + n * HOUR for n in (1, 2, 3, 4)]


def test_first_node_to_be_free_counts() -> None:
    cluster = snapshot(
        node("a", **BUSY),
        node("b", **BUSY),
        jobs=(job(1, "a", cpus=32, ends_at=NOW + 5 * HOUR), job(2, "b", cpus=32, ends_at=NOW + 2 * HOUR)),
    )

    assert start(cluster, ask(32)) == NOW + 2 * HOUR


def test_job_of_several_nodes_frees_its_part_on_each() -> None:
    cluster = snapshot(
        node("a", **BUSY),
        node("b", **BUSY),
        jobs=(job(1, "a", "b", cpus=64, memory_mib=64000, ends_at=NOW + HOUR),),
    )

    assert start(cluster, ask(32)) == NOW + HOUR


def test_gpus_of_a_job_without_a_type_are_those_of_its_node() -> None:
    cluster = snapshot(
        node("a", gpus={"a100": 4}, gpus_used={"a100": 4}),
        jobs=(
            job(1, "a", cpus=1, gpus={"": 2}, ends_at=NOW + HOUR),
            job(2, "a", cpus=1, gpus={"": 2}, ends_at=NOW + 2 * HOUR),
        ),
    )

    assert start(cluster, ask(1, gpus=2, gpu_type="a100")) == NOW + HOUR
    assert start(cluster, ask(1, gpus=3, gpu_type="a100")) == NOW + 2 * HOUR


def test_job_over_its_time_ends_soon_and_one_without_end_never() -> None:
    late = full(job(1, "a", cpus=32, ends_at=NOW - HOUR))
    endless = full(job(1, "a", cpus=32, ends_at=None, time_limit=None))

    assert start(late, ask(32)) == NOW + timedelta(minutes=1)
    assert start(endless, ask(32)) is None


def test_use_of_a_job_that_has_just_ended_goes_soon_and_use_of_no_job_stays() -> None:
    ended = job(1, "a", state=JobState.COMPLETED, cpus=32, ends_at=NOW - timedelta(seconds=5))

    assert start(full(ended), ask(32)) == NOW + timedelta(minutes=1)
    assert start(full(), ask(32)) is None


def test_job_that_began_after_the_nodes_were_asked_for_counts() -> None:
    cluster = snapshot(node("a", cpus_used=0), jobs=(job(1, "a", cpus=32, ends_at=NOW + HOUR),))

    assert start(cluster, ask(1)) == NOW + HOUR


@pytest.mark.parametrize(
    "states", ["DOWN", "IDLE+DRAIN", "IDLE+NOT_RESPONDING", "IDLE+RESERVED", "IDLE+MAINT"]
)
def test_node_that_takes_no_job_is_not_waited_for(states: str) -> None:
    assert start(snapshot(node("a", states=states)), ask()) is None


def test_missing_or_closed_partition_and_too_long_a_time_never_start() -> None:
    assert start(snapshot(node("a")), ask(), "gone") is None
    assert start(snapshot(node("a"), partitions={"cpu": {"is_up": False}}), ask()) is None
    limited = snapshot(node("a"), partitions={"cpu": {"max_time": HOUR}})
    assert start(limited, ask(hours=1)) == NOW
    assert start(limited, ask(hours=1.1)) is None


# Those who wait come first.


def test_waiting_job_that_needs_the_room_comes_first() -> None:
    waiting = job(7, cpus=32, memory_mib=32000, time_limit=2 * HOUR)

    assert start(snapshot(node("a"), jobs=(waiting,)), ask(1)) == NOW + 2 * HOUR


def test_small_session_starts_beside_a_waiting_job_when_there_is_room_for_both() -> None:
    cluster = snapshot(node("a"), node("b"), jobs=(job(7, cpus=32, starts_at=NOW),))

    assert start(cluster, ask(32)) == NOW
    assert start(snapshot(node("a"), jobs=(job(7, cpus=32, starts_at=NOW),)), ask(32)) == NOW + HOUR


def test_short_session_starts_before_a_job_that_is_expected_later() -> None:
    waiting = job(7, cpus=32, starts_at=NOW + 2 * HOUR, time_limit=4 * HOUR)
    cluster = snapshot(node("a"), jobs=(waiting,))

    assert start(cluster, ask(8, hours=2)) == NOW
    assert start(cluster, ask(8, hours=2.5)) == NOW + 6 * HOUR


def test_jobs_of_an_overlapping_partition_wait_for_the_same_nodes() -> None:
    cluster = snapshot(
        node("a", partitions=("cpu", "all")), jobs=(job(7, partition="all", cpus=32, starts_at=NOW),)
    )

    assert start(cluster, ask(8)) == NOW + HOUR


@pytest.mark.parametrize(
    "reason", ["JobHeldUser", "Dependency", "BeginTime", "QOSMaxJobsPerUserLimit", "AssocGrpCpuLimit"]
)
def test_job_that_waits_for_something_else_is_not_in_the_way(reason: str) -> None:
    assert start(snapshot(node("a"), jobs=(job(7, cpus=32, reason=reason),)), ask()) == NOW


@pytest.mark.parametrize("reason", ["", "None", "Priority", "Resources"])
def test_job_that_waits_for_room_is_in_the_way(reason: str) -> None:
    assert start(snapshot(node("a"), jobs=(job(7, cpus=32, reason=reason),)), ask()) == NOW + HOUR


def test_job_that_no_working_node_can_take_does_not_block_the_queue() -> None:
    cluster = snapshot(node("a"), node("b", states="DOWN"), jobs=(job(7, cpus=64, reason="Resources"),))

    assert start(cluster, ask()) == NOW


def test_node_that_is_planned_for_a_job_is_left_to_it() -> None:
    waiting = job(7, cpus=1, starts_at=NOW + 2 * HOUR, time_limit=HOUR)
    cluster = snapshot(node("a", states="IDLE+PLANNED"), jobs=(waiting,))

    assert start(cluster, ask(hours=2)) == NOW
    assert start(cluster, ask(hours=3)) == NOW + 3 * HOUR


# Reservations.


def test_reservation_of_others_is_gone_round_before_and_after() -> None:
    cluster = snapshot(
        node("a"), reservations=(reservation("bt", "a", starts_at=NOW + 2 * HOUR, ends_at=NOW + 5 * HOUR),)
    )

    assert start(cluster, ask(hours=2)) == NOW
    assert start(cluster, ask(hours=3)) == NOW + 5 * HOUR


def test_reservation_that_is_on_keeps_its_nodes_until_it_ends() -> None:
    cluster = snapshot(node("a", states="IDLE+RESERVED"), reservations=(reservation("bt", "a"),))

    assert start(cluster, ask()) == NOW + 2 * HOUR


def test_named_reservation_has_its_nodes_within_its_time() -> None:
    mine = Scheduling(reservation="bt")
    cluster = snapshot(
        node("a", states="IDLE+RESERVED"),
        node("b"),
        reservations=(reservation("bt", "a", starts_at=NOW + HOUR, ends_at=NOW + 4 * HOUR),),
    )

    assert start(cluster, ask(scheduling=mine)) == NOW + HOUR
    assert start(cluster, ask(hours=3, scheduling=mine)) == NOW + HOUR
    assert start(cluster, ask(hours=3.5, scheduling=mine)) is None
    assert start(cluster, ask(scheduling=Scheduling(reservation="other"))) is None


def test_waiting_jobs_outside_a_reservation_do_not_count_inside() -> None:
    cluster = snapshot(
        node("a", states="IDLE+RESERVED"), reservations=(reservation("bt", "a"),), jobs=(job(7, cpus=32),)
    )

    assert start(cluster, ask(scheduling=Scheduling(reservation="bt"))) == NOW


def test_an_old_snapshot_promises_nothing_as_past() -> None:
    cluster = full(job(1, "a", cpus=32, ends_at=NOW + HOUR))
    later = NOW + 3 * HOUR

    assert estimate(cluster, "cpu", ask(), later).starts_at == later + timedelta(minutes=1)
