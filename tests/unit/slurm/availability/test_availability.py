"""What a partition has free."""

from __future__ import annotations

import gc
from datetime import timedelta

import pytest

from spawners.backend import GpuCount
from spawners.slurm.availability import availability_of
from spawners.slurm.index import _KNOWN, index_of
from tests.support.slurm_models import HOUR, NOW, job, node, reservation, snapshot


def test_mixed_nodes_are_summed_and_none_wins() -> None:
    cluster = snapshot(
        node("a", cpus=32, cpus_used=8, memory_mib=64000, memory_mib_used=16000),
        node("b", cpus=128, cpus_used=0, memory_mib=512000),
        node("c", cpus=16, cpus_used=16, memory_mib=32000, memory_mib_used=1000),
    )

    free = availability_of(cluster, "cpu")

    assert (free.cpus_free, free.cpus_total) == (24 + 128, 176)
    # Memory of a node without a CPU left is of no use.
    assert (free.memory_mib_free, free.memory_mib_total) == (48000 + 512000, 608000)
    assert (free.nodes_free, free.nodes_total) == (1, 3)


@pytest.mark.parametrize(
    "states",
    [
        "DOWN",
        "IDLE+DRAIN",
        "MIXED+DRAIN",
        "IDLE+MAINT",
        "IDLE+FAIL",
        "IDLE+NOT_RESPONDING",
        "IDLE+RESERVED",
        "IDLE+PLANNED",
        "IDLE+POWERING_DOWN",
        "IDLE+REBOOT_REQUESTED",
        "UNKNOWN",
    ],
)
def test_node_that_takes_no_job_is_not_free(states: str) -> None:
    free = availability_of(snapshot(node("a", states=states, gpus={"a100": 4}), node("b")), "cpu")

    assert (free.cpus_free, free.cpus_total) == (32, 64)
    assert (free.memory_mib_free, free.memory_mib_total) == (64000, 128000)
    assert free.gpus == (GpuCount("a100", 0, 4),)
    assert (free.nodes_free, free.nodes_total) == (1, 2)


@pytest.mark.parametrize(
    "states", ["IDLE", "MIXED", "ALLOCATED", "IDLE+POWERED_DOWN", "MIXED+COMPLETING", "IDLE+CLOUD"]
)
def test_node_that_takes_jobs_is_free(states: str) -> None:
    assert availability_of(snapshot(node("a", states=states)), "cpu").cpus_free == 32


def test_node_of_a_reservation_that_is_on_is_not_free_whatever_its_state() -> None:
    nodes = node("a"), node("b")
    on, later = reservation("bt", "a"), reservation("bt", "a", starts_at=NOW + HOUR)

    assert availability_of(snapshot(*nodes, reservations=(on,)), "cpu").cpus_free == 32
    assert availability_of(snapshot(*nodes, reservations=(later,)), "cpu").cpus_free == 64


def test_gpus_are_counted_by_type_and_untyped_ones_too() -> None:
    cluster = snapshot(
        node("a", gpus={"a100": 4}, gpus_used={"a100": 1}),
        node("b", gpus={"a100": 2, "v100": 2}, gpus_used={"v100": 2}),
        node("c", gpus={"": 4}, gpus_used={"": 1}),
    )

    free = availability_of(cluster, "cpu")

    assert free.gpus == (GpuCount("", 3, 4), GpuCount("a100", 5, 6), GpuCount("v100", 0, 2))
    assert (free.gpus_free, free.gpus_total) == (8, 12)


def test_use_that_is_reported_without_a_type_is_never_free() -> None:
    cluster = snapshot(
        node("a", gpus={"a100": 4}, gpus_used={"": 3}), node("b", gpus={"": 4}, gpus_used={"t4": 1})
    )

    assert availability_of(cluster, "cpu").gpus == (GpuCount("", 3, 4), GpuCount("a100", 1, 4))


def test_overlapping_partitions_each_count_their_nodes() -> None:
    cluster = snapshot(node("a", partitions=("cpu", "all")), node("b", partitions=("all",)))

    assert availability_of(cluster, "cpu").cpus_total == 32
    assert availability_of(cluster, "all").cpus_total == 64


def test_job_that_named_several_partitions_waits_in_each() -> None:
    cluster = snapshot(
        node("a", partitions=("cpu", "gpu")),
        jobs=(job(1, partition="cpu,gpu"), job(2), job(3, "a")),
    )

    assert availability_of(cluster, "cpu").jobs_pending == 2
    assert availability_of(cluster, "gpu").jobs_pending == 1


def test_missing_partition_is_not_reachable_and_says_so() -> None:
    free = availability_of(snapshot(node("a")), "gone")

    assert not free.is_reachable
    assert "gone" in free.note


def test_closed_partition_has_nothing_free() -> None:
    free = availability_of(snapshot(node("a"), partitions={"cpu": {"is_up": False}}), "cpu")

    assert not free.is_reachable
    assert (free.cpus_free, free.cpus_total) == (0, 32)
    assert "closed" in free.note


def test_answer_is_as_old_as_its_oldest_part() -> None:
    then = NOW - timedelta(seconds=20)

    assert availability_of(snapshot(node("a"), resources_at=then), "cpu").taken_at == then


def test_index_is_made_once_and_goes_with_its_snapshot() -> None:
    cluster = snapshot(node("a"))
    index = index_of(cluster)
    key = id(cluster)

    assert index_of(cluster) is index
    assert index_of(snapshot(node("a"))) is not index

    del cluster
    gc.collect()
    assert key not in _KNOWN
