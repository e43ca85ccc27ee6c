"""From an API server's JSON to what is kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spawners.kubernetes import decode
from spawners.kubernetes.models import Requests, Taint
from spawners.kubernetes.quantity import count, mebibytes, millicpus
from spawners.kubernetes.warm import wanted_placeholders
from spawners.kubernetes.words import amount, sentence, several
from tests.support.kubernetes_plans import a_cluster

QUANTITIES = [
    (millicpus, "2", 2000),
    (millicpus, "250m", 250),
    (millicpus, "1500u", 2),
    (millicpus, 1.5, 1500),
    (mebibytes, "4Gi", 4096),
    (mebibytes, "128974848", 123),
    (mebibytes, "129M", 123),
    (mebibytes, "1e9", 953),
    (mebibytes, "2Ti", 2097152),
    (count, "4", 4),
    (count, "1k", 1000),
    (count, "nonsense", 0),
    (count, "NaN", 0),
    (count, "", 0),
]


@pytest.mark.parametrize(("read", "text", "value"), QUANTITIES)
def test_quantities(read, text, value) -> None:
    assert read(text) == value


WORDS = [
    ("requests.cpu", "500m", "0.5 CPUs"),
    ("limits.cpu", "1", "1 CPU"),
    ("requests.memory", "8Gi", "8 GiB of memory"),
    ("limits.memory", "512Mi", "512 MiB of memory"),
    ("requests.nvidia.com/gpu", "2", "2 GPUs"),
    ("count/pods", "1", "1 session"),
    ("requests.example.org/fpga", "2", "2 example.org/fpga"),
]


@pytest.mark.parametrize(("resource", "quantity", "words"), WORDS)
def test_amounts_in_words(resource, quantity, words) -> None:
    assert amount(resource, quantity) == words


def test_sentences_are_bounded_and_on_one_line() -> None:
    assert sentence("a\n b") == "a b."
    assert sentence("x" * 400) == "x" * 299 + "…"
    assert sentence("") == ""
    assert [several(["a"]), several(["a", "b"]), several(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


POD = {
    "metadata": {
        "name": "session-1",
        "uid": "uid",
        "resourceVersion": "42",
        "creationTimestamp": "2026-11-21T10:00:00Z",
        "deletionTimestamp": "2026-11-21T11:00:45Z",
        "deletionGracePeriodSeconds": 45,
        "labels": {
            "panhub.org/launch": "1",
            "panhub.org/pool": "gpu",
            "app.kubernetes.io/component": "session",
        },
        "annotations": {"panhub.org/cpus": "4", "panhub.org/memory-mib": "100", "panhub.org/gpus": "1"},
        "finalizers": ["panhub.org/settle"],
    },
    "spec": {
        "nodeName": "node-1",
        "schedulingGates": [{"name": "another"}],
        "containers": [
            {"name": "sidecar", "resources": {"requests": {"cpu": "100m"}}},
            {
                "name": "session",
                "resources": {
                    "requests": {"cpu": "400m", "memory": "1Gi", "nvidia.com/gpu": "1"},
                    "limits": {"cpu": "4", "memory": "1Gi", "nvidia.com/gpu": "1"},
                },
            },
        ],
    },
    "status": {
        "phase": "Running",
        "podIP": "fd00::7",
        "podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:01:00Z"}],
        "containerStatuses": [
            {"name": "sidecar", "state": {"waiting": {}}},
            {"name": "session", "state": {"running": {"startedAt": "2026-11-21T10:01:00Z"}}},
        ],
    },
}


def test_a_pod_is_read() -> None:
    pod = decode.pod(POD)
    assert (pod.name, pod.uid, pod.version, pod.launch_id, pod.pool) == ("session-1", "uid", 42, "1", "gpu")
    assert (pod.ip, pod.node, pod.phase) == ("10.0.0.7", "node-1", "Running")
    assert pod.deleted_at == datetime(2026, 11, 21, 11, 0, 45, tzinfo=UTC)
    assert (pod.deletion_grace_s, pod.has_finalizer, pod.is_gated, pod.is_placeholder) == (
        45,
        True,
        False,
        False,
    )
    assert pod.container.state == "running"
    assert pod.container.started_at == pod.ready.at == datetime(2026, 11, 21, 10, 1, tzinfo=UTC)
    # The size that was planned, not what the container happens to be limited to.
    assert (pod.cpus, pod.memory_mib, pod.gpus) == (4, 100, 1)
    assert pod.requests == Requests(500, 1024, (("nvidia.com/gpu", 1),))


def test_without_our_annotations_the_limits_are_the_size() -> None:
    pod = decode.pod({**POD, "metadata": {**POD["metadata"], "annotations": None}})
    assert (pod.cpus, pod.memory_mib, pod.gpus) == (4, 1024, 1)


@pytest.mark.parametrize(
    "raw", [{}, {"metadata": None, "spec": [], "status": "x"}, {"status": {"conditions": None}}]
)
def test_what_is_missing_is_empty(raw) -> None:
    assert decode.pod(raw).container.state == ""
    assert decode.node(raw).devices == {}
    assert decode.event(raw).reason == ""
    assert decode.quota(raw).hard == {}


@pytest.mark.parametrize("never", [None, "", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "soon"])
def test_a_time_that_never_was_is_none(never) -> None:
    state = {"terminated": {"startedAt": never, "finishedAt": "2026-11-21T10:00:00Z", "exitCode": 137}}
    pod = decode.pod({"status": {"containerStatuses": [{"state": state}]}})
    assert pod.container.started_at is None
    assert pod.container.finished_at is not None


def test_a_node_is_read() -> None:
    node = decode.node(
        {
            "metadata": {"name": "n", "labels": {"a": "b"}},
            "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "allocatable": {"cpu": "3920m", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": "4"},
                "conditions": [{"type": "Ready", "status": "Unknown"}],
            },
        }
    )
    assert (node.millicpus, node.memory_mib, node.pods, dict(node.devices)) == (
        3920,
        16384,
        110,
        {"nvidia.com/gpu": 4},
    )
    assert (node.is_ready, node.is_schedulable, node.taints) == (
        False,
        False,
        (Taint("k", "", "NoSchedule"),),
    )


def test_placeholders_have_names_of_their_own_and_are_made_anew_when_their_settings_change() -> None:
    pools = {
        "cpu": {"warm": {"pods": 2}},
        "CPU.x": {"warm": {"pods": 1}},
        "cpu-x": {"warm": {"pods": 1}},
        "none": {},
    }
    before = wanted_placeholders(a_cluster(pools=pools))
    assert len(before) == 4
    assert {"warm-cpu-0", "warm-cpu-1", "warm-cpu-x-0"} < set(before)
    marks = {body["metadata"]["annotations"]["panhub.org/spec"] for body in before.values()}
    assert len(marks) == 4
    assert wanted_placeholders(a_cluster(pools=pools)) == before
    pools["cpu"]["warm"]["cpus"] = 2
    after = wanted_placeholders(a_cluster(pools=pools))
    assert {name for name in before if before[name] != after[name]} == {"warm-cpu-0", "warm-cpu-1"}
