"""What room a pool has, from nodes, quotas and placeholders."""

from __future__ import annotations

import pytest

from spawners.kubernetes.models import Container, Node, Quota, Requests, Taint
from spawners.kubernetes.room import Room
from spawners.plan import Size
from tests.support.kubernetes_plans import a_cluster
from tests.support.kubernetes_pods import a_pod, running

GPU = "nvidia.com/gpu"


def node(name, cpus=16, memory_mib=64000, gpus=0, *, labels=None, taints=(), **more):
    return Node(
        **{
            "name": name,
            "uid": name,
            "version": 1,
            "is_ready": True,
            "is_schedulable": True,
            "labels": labels or {},
            "taints": tuple(taints),
            "millicpus": cpus * 1000,
            "memory_mib": memory_mib,
            "pods": 110,
            "devices": {GPU: gpus} if gpus else {},
            **more,
        }
    )


def size(cpus=1, memory_mib=1000, gpus=0, gpu_type=""):
    return Size("s", "S", cpus, memory_mib, gpus, gpu_type)


def taken(node_name, cpus, memory_mib, gpus=0, **more):
    devices = ((GPU, gpus),) if gpus else ()
    return running(node=node_name, requests=Requests(cpus * 1000, memory_mib, devices), **more)


def placeholder(node_name, state="running", **more):
    requests = Requests(4000, 8000)
    return a_pod(
        node=node_name,
        launch_id="",
        is_placeholder=True,
        container=Container(state),
        requests=requests,
        **more,
    )


A100 = {"gpu": "a100"}
GPU_POOL = {"gpus": {"a100": {"node_selector": A100}, "v100": {"node_selector": {"gpu": "v100"}}}}


def room(pods=(), nodes=None, quotas=None, *, pool=None, **cluster):
    settings = a_cluster(pools={"default": pool or {}}, **cluster)
    return Room(settings, "default", tuple(pods), nodes, quotas)


def test_what_is_free_is_what_no_session_has_asked_for() -> None:
    nodes = [node("a"), node("b"), node("down", is_ready=False), node("closed", is_schedulable=False)]
    pods = [taken("a", 4, 10000), placeholder("a"), taken("a", 8, 9000, phase="Succeeded")]
    found = room([*pods, a_pod(node="")], nodes).availability()
    assert (found.cpus_free, found.cpus_total) == (28, 64)
    assert (found.memory_mib_free, found.memory_mib_total) == (118000, 256000)
    assert (found.nodes_free, found.nodes_total) == (1, 4)
    assert found.sessions_pending == 1
    assert (found.gpus, found.gpus_free) == ((), None)


def test_gpus_are_counted_by_type() -> None:
    nodes = [node("a", gpus=4, labels=A100), node("v", gpus=2, labels={"gpu": "v100"}), node("c")]
    found = room([taken("a", 1, 1, gpus=3)], nodes, pool=GPU_POOL).availability()
    assert [(gpu.type, gpu.free, gpu.total) for gpu in found.gpus] == [("a100", 1, 4), ("v100", 2, 2)]
    assert (found.gpus_free, found.gpus_total) == (3, 6)


FITS = [
    (size(), {}, True),
    (size(cpus=17), {}, False),
    (size(cpus=17), {"cpu_reserved": 0.5}, True),
    (size(memory_mib=64001), {}, False),
    (size(gpus=2, gpu_type="a100"), {"pool": GPU_POOL}, True),
    (size(gpus=5, gpu_type="a100"), {"pool": GPU_POOL}, False),
    (size(gpus=1, gpu_type="v100"), {"pool": GPU_POOL}, False),
    (size(), {"pool": {"node_selector": {"zone": "x"}}}, False),
    (size(), {"quotas": [Quota("q", {"limits.cpu": "4"}, {"limits.cpu": "3500m"})]}, False),
    (size(), {"quotas": [Quota("q", {"limits.cpu": "4"}, {"limits.cpu": "3"})]}, True),
    (size(), {"quotas": [Quota("q", {"pods": "4"}, {"pods": "4"})]}, False),
    (size(memory_mib=1025), {"quotas": [Quota("q", {"requests.memory": "1Gi"}, {})]}, False),
    (
        size(gpus=1, gpu_type="a100"),
        {"pool": GPU_POOL, "quotas": [Quota("q", {f"requests.{GPU}": "0"}, {})]},
        False,
    ),
]


@pytest.mark.parametrize(("asked", "more", "is_so"), FITS)
def test_a_session_starts_at_once_where_one_node_has_room_for_it(asked, more, is_so) -> None:
    nodes = [
        node("a", gpus=4, labels=A100),
        node("tainted", cpus=64, taints=[Taint("own", "", "NoSchedule")]),
    ]
    assert room(nodes=nodes, **more).fits_now(asked) is is_so


def test_a_pool_takes_the_nodes_whose_taints_it_tolerates() -> None:
    nodes = [node("own", taints=[Taint("own", "x", "NoSchedule")])]
    toleration = {"key": "own", "value": "x", "effect": "NoSchedule"}
    assert room(nodes=nodes, pool={"tolerations": [toleration]}).fits_now(size())
    assert not room(nodes=nodes, pool={"tolerations": [{**toleration, "value": "y"}]}).fits_now(size())
    # Taints of a node's own condition pass; that it is not ready is seen otherwise.
    assert room(nodes=[node("a", taints=[Taint("node.kubernetes.io/x", "", "NoSchedule")])]).fits_now(size())


WARM = {"warm": {"pods": 3, "cpus": 4, "memory_mib": 8000}}


def test_without_sight_of_nodes_only_a_placeholder_tells_that_there_is_room() -> None:
    kept = [placeholder("a"), placeholder("b"), placeholder("", "")]
    known = room(kept, pool=WARM)
    assert known.warm() == (2, 3)
    assert known.fits_now(size(cpus=4, memory_mib=8000)) is True
    assert known.fits_now(size(cpus=5)) is None
    assert known.fits_now(size(memory_mib=8001)) is None
    assert room(pool=WARM).fits_now(size()) is None
    assert room().fits_now(size()) is None
    found = known.availability()
    assert (found.warm_free, found.warm_total, found.cpus_free) == (2, 3, None)


def test_what_waits_and_what_is_kept_is_the_pool_s_own() -> None:
    kept = [placeholder("a"), placeholder("a", pool="other"), placeholder("a", pool="other")]
    pods = [*kept, a_pod(node=""), a_pod(node="", pool="other"), taken("a", 4, 1000, pool="other")]
    found = room(pods, [node("a")], pool=WARM).availability()
    assert (found.warm_free, found.warm_total, found.sessions_pending) == (1, 3, 1)
    assert found.cpus_free == 12  # on a node all pools take room


def test_a_quota_says_what_is_left_and_what_is_the_most() -> None:
    hard = {"limits.cpu": "20", "requests.cpu": "6", "requests.memory": "64Gi", f"requests.{GPU}": "2"}
    known = room(quotas=[Quota("q", hard, {"requests.cpu": "5"})], cpu_reserved=0.5, pool=GPU_POOL)
    found = known.availability()
    assert (found.cpus_free, found.cpus_total) == (1, 6)
    assert (found.memory_mib_free, found.gpus_total) == (65536, 2)
    offer = known.largest()
    assert (offer.max_cpus, offer.max_memory_mib, offer.max_gpus) == (12, 65536, 2)


def test_the_largest_session_is_that_of_the_largest_node() -> None:
    nodes = [node("a"), node("b"), node("c", cpus=64, memory_mib=1000, gpus=4, labels=A100)]
    offer = room(nodes=nodes, pool=GPU_POOL, quotas=[Quota("q", {"limits.cpu": "32"}, {})]).largest()
    assert (offer.max_cpus, offer.max_memory_mib, offer.max_gpus) == (32, 64000, 4)
    assert [(shape.cpus, dict(shape.gpus), shape.count) for shape in offer.shapes] == [
        (64, {"a100": 4}, 1),
        (16, {}, 2),
    ]
    assert room().largest().max_cpus is None


def test_gpus_that_no_node_has_yet_may_come_with_one() -> None:
    assert room(nodes=[node("a")], pool=GPU_POOL).largest().max_gpus is None
    assert room(nodes=[node("a")]).largest().max_gpus == 0
    most = Quota("q", {f"requests.{GPU}": "2"}, {})
    assert room(nodes=[node("a")], pool=GPU_POOL, quotas=[most]).largest().max_gpus == 2


def test_no_more_is_free_on_nodes_than_a_quota_leaves() -> None:
    quota = Quota("q", {"requests.cpu": "6", "requests.memory": "1Ti"}, {"requests.cpu": "4"})
    found = room(nodes=[node("a")], quotas=[quota]).availability()
    assert (found.cpus_free, found.cpus_total) == (2, 16)
    assert found.memory_mib_free == 64000
