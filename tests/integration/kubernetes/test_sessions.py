"""Whole sessions in pods of a real cluster, and a service that is killed at every point of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.control import GPU, GPU_LABEL
from tests.support.afterwards import (
    assert_books_are_right,
    assert_nothing_is_left,
    charges,
    is_reachable,
    wait_for_state,
    wait_until_reachable,
)
from tests.support.kernels import Kernel
from tests.support.kubernetes_platform import KubernetesPlatform, running_kubernetes_platform
from tests.support.platform import Visitor, wait_until

pytestmark = pytest.mark.timeout(300)

_DATA = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}]}
_STARTS_WITHIN_S = 120.0


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[KubernetesPlatform]:
    with running_kubernetes_platform(cluster) as platform:
        yield platform
        assert platform.blocked_loops() == []
        assert_books_are_right(platform)


@pytest.fixture(scope="module")
def maja(platform: KubernetesPlatform) -> Visitor:
    visitor = platform.sign_in("maja")
    assert visitor.token
    return visitor


@dataclass
class Scene:
    """Sessions that met a kill of the service, by what each was doing; ``pod`` is that of the running one."""

    visitor: Visitor
    runs: dict[str, Any]
    pod: dict[str, Any]
    kernel: Kernel
    starts: dict[str, Any]
    asked: dict[str, Any]
    stops: dict[str, Any]


@pytest.fixture(scope="module")
def scene(platform: KubernetesPlatform, maja: Visitor) -> Iterator[Scene]:
    """All points of a session's life, one kill -9, and the service started again."""
    runs, stops = maja.launch(**_DATA), maja.launch()
    runs, stops = (maja.wait_for(one["id"], "running", timeout_s=_STARTS_WITHIN_S) for one in (runs, stops))
    (pod,) = platform.pods_of(runs["id"])
    kernel = Kernel(maja.open_session(runs))
    kernel.run("kept = 6 * 7")
    starts = maja.launch()
    wait_for_state(platform, starts["id"], "submitted")
    maja.api("DELETE", f"/launches/{stops['id']}")
    asked = maja.launch()
    wait_for_state(platform, asked["id"], "requested", "planned", "held")
    platform.restart("service")
    yield Scene(maja, runs, pod, kernel, starts, asked, stops)
    for launch in (runs, starts, asked):
        maja.api("DELETE", f"/launches/{launch['id']}")
    for launch in (runs, starts, asked):
        assert_nothing_is_left(maja, launch)


def test_a_running_session_is_the_same_pod_and_keeps_its_state(
    platform: KubernetesPlatform, scene: Scene
) -> None:
    wait_until_reachable(scene.visitor, scene.runs)
    (pod,) = platform.pods_of(scene.runs["id"])
    assert pod["metadata"]["uid"] == scene.pod["metadata"]["uid"]
    assert scene.kernel.value("kept") == "42"


@pytest.mark.parametrize("point", ["starts", "asked"])
def test_a_start_goes_on_and_has_one_pod(platform: KubernetesPlatform, scene: Scene, point: str) -> None:
    launch = getattr(scene, point)
    started = scene.visitor.wait_for(launch["id"], "running", timeout_s=_STARTS_WITHIN_S)
    wait_until_reachable(scene.visitor, started)
    (pod,) = platform.pods_of(launch["id"])
    assert (platform.handle_of(launch["id"]) or {})["uid"] == pod["metadata"]["uid"]


def test_a_session_that_was_being_stopped_ends_is_charged_once_and_leaves_no_pod(
    platform: KubernetesPlatform, scene: Scene
) -> None:
    assert_nothing_is_left(scene.visitor, scene.stops)
    assert len(charges(platform, scene.stops["id"])) == 1
    assert not is_reachable(scene.visitor, scene.stops)
    wait_until(lambda: not platform.pods_of(scene.stops["id"]), "its pod is left")


def test_no_secret_is_where_others_can_read_it(platform: KubernetesPlatform, scene: Scene) -> None:
    wait_until_reachable(scene.visitor, scene.runs)
    pids = platform.session_processes(scene.runs["id"])
    tokens = _tokens(pids)
    of = f"/api/v1/namespaces/{platform.site.namespace}"
    said = json.dumps([platform.cluster.api.request("GET", f"{of}/{kind}") for kind in ("pods", "events")])
    said += "".join(path.read_text(errors="replace") for path in (platform.state / "logs").glob("*.log"))
    said += "".join(Path(f"/proc/{pid}/cmdline").read_text(errors="replace") for pid in pids)
    assert len(pids) >= 3
    for token in tokens:
        assert token not in said


def _tokens(pids: list[int]) -> set[str]:
    names = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")
    told = [_environment_of(pid) for pid in pids]
    found = {one[name] for one in told for name in names if name in one}
    assert found
    return found


def _environment_of(pid: int) -> dict[str, str]:
    parts = os.fsdecode(Path(f"/proc/{pid}/environ").read_bytes()).split("\0")
    return dict(part.split("=", 1) for part in parts if "=" in part)


def test_gpus_are_given_to_who_asked_and_are_charged(platform: KubernetesPlatform, scene: Scene) -> None:
    visitor = scene.visitor
    wanted = {"cpus": 1, "memory_mib": 2048, "gpus": 2, "gpu_type": "a100"}
    launch = visitor.launch(profile="lab-gpu", place="pods-gpu", resources=wanted)
    visitor.wait_for(launch["id"], "running", timeout_s=_STARTS_WITHIN_S)
    label, product = GPU_LABEL
    assert _gpus_of(platform, launch["id"]) == ("2", {label: product}, None)
    assert _gpus_of(platform, scene.runs["id"]) == (None, {}, "void")
    visitor.api("DELETE", f"/launches/{launch['id']}")
    assert_nothing_is_left(visitor, launch)
    usage = visitor.get(launch["id"])["usage"]
    assert usage["gpus"] == 2
    assert charges(platform, launch["id"], "gpu_seconds") == [2 * usage["elapsed_seconds"]]


def _gpus_of(platform: KubernetesPlatform, launch_id: str) -> tuple[str | None, dict[str, str], str | None]:
    """How many the pod holds, on nodes of which labels, and what its processes are told of them."""
    (pod,) = platform.pods_of(launch_id)
    held = pod["spec"]["containers"][0]["resources"]["limits"].get(GPU)
    told = _environment_of(platform.session_processes(launch_id)[0])
    return held, pod["spec"].get("nodeSelector", {}), told.get("NVIDIA_VISIBLE_DEVICES")


def test_a_pod_that_somebody_deletes_is_an_end_that_is_said_and_charged(
    platform: KubernetesPlatform, maja: Visitor
) -> None:
    launch = maja.launch()
    # Of one that ends before the hub has seen it answer, the hub keeps its server for `http_timeout`.
    wait_until_reachable(maja, maja.wait_for(launch["id"], "running", timeout_s=_STARTS_WITHIN_S))
    (pod,) = platform.pods_of(launch["id"])
    path = f"/api/v1/namespaces/{platform.site.namespace}/pods/{pod['metadata']['name']}"
    platform.cluster.api.request("DELETE", path)
    ended = maja.wait_for(launch["id"], "ended", timeout_s=90)
    assert ended["end_message"].startswith("The session's pod was deleted at the cluster, not here;")
    assert_nothing_is_left(maja, launch)
    wait_until(lambda: not platform.pods_of(launch["id"]), "its pod is left")
