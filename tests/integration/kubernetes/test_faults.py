"""What goes wrong at a cluster: sessions are unknown, never gone, and what ended is charged by what ran."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import pytest

from hub.demo.kubernetes.api import Api
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.control import FAKE_NODE
from hub.demo.kubernetes.errors import KubernetesDemoError
from spawners.backend import BackendUnavailableError, EndCause, State, SubmitError
from spawners.kubernetes import mirror
from spawners.plan import Size
from tests.support.kubernetes import wait
from tests.support.kubernetes_backends import SERVE, Ours, Session, Site, connected

STRICT = {"pod-security.kubernetes.io/enforce": "restricted"}
MERGE = "application/merge-patch+json"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed soon."""
    monkeypatch.setattr(mirror, "_SILENCE_S", 2.0)


def end_inside(site: Site, session: Session) -> None:
    """End the session's server from inside, without the API."""
    for pid in site.cluster.processes(str(session.handle["uid"])):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def priorities(cluster: Cluster) -> Iterator[None]:
    """Priority classes as the chart makes them."""
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name, value in (("panhub-warm", -10), ("panhub-sessions", 0)):
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": value}
        with suppress(KubernetesDemoError):  # one of another platform's: what it says cannot be changed
            cluster.api.request("DELETE", f"{path}/{name}")
        cluster.api.apply(f"{path}/{name}", body)
    yield
    for name in ("panhub-warm", "panhub-sessions"):
        cluster.api.request("DELETE", f"{path}/{name}")


@pytest.mark.usefixtures("priorities")
async def test_a_session_takes_the_room_that_was_kept_for_it(site: Site) -> None:
    node = site.cluster.api.request("GET", f"/api/v1/nodes/{site.cluster.node}")
    most = int(int(node["status"]["allocatable"]["memory"].removesuffix("Ki")) / 1024 * 0.6)
    warm = {"pods": 1, "cpus": 0.05, "memory_mib": most, "image": site.image}
    async with connected(site, pools={"default": {"warm": warm}}, priority_class="panhub-sessions") as ours:
        await _until_warm(ours, 1)
        session = await ours.start(size=_large(most))
        await session.wait(State.RUNNING)
        await _until_warm(ours, 0)
        await session.stop()
        await session.forget()
        await _until_warm(ours, 1)
        assert await ours.backend.find() == {}
    # Settings without placeholders: the next engine removes them.
    async with connected(site) as ours:
        await ours.until(lambda: not site.objects("pods"), "the placeholder is there")


async def _until_warm(ours: Ours, free: int) -> None:
    async with asyncio.timeout(60):
        while True:
            found = await ours.backend.availability()
            if (found.warm_free, found.warm_total) == (free, 1):
                return
            await asyncio.sleep(0.1)


def _large(memory_mib: int) -> Size:
    return Size("large", "Large", cpus=1, memory_mib=memory_mib)


@pytest.mark.usefixtures("impatient")
async def test_without_the_api_server_sessions_are_unknown_and_nothing_is_lost(
    ours: Ours, restored_cluster: Cluster
) -> None:
    runs, ends = await asyncio.gather(ours.start(), ours.start())
    await asyncio.gather(runs.wait(State.RUNNING), ends.wait(State.RUNNING))
    assert ours.cluster.watcher.pods.requests["lists"] == 1
    await ours.do(restored_cluster.stop_apiserver)
    await runs.wait(State.UNKNOWN)
    await ours.do(lambda: end_inside(ours.site, ends))
    with pytest.raises(BackendUnavailableError):
        await ours.backend.find()
    assert (await ours.backend.locate(runs.launch_id, runs.handle)).state is State.UNKNOWN
    assert not (await ours.backend.availability()).is_reachable
    await ours.do(restored_cluster.start_apiserver)
    await asyncio.gather(runs.wait(State.RUNNING), ends.wait(State.GONE))
    used = await ends.usage()
    assert (used.cause, used.exit_code) == (EndCause.EXITED, 137)
    assert "137" in used.detail
    assert set(await ours.backend.find()) == {runs.launch_id, ends.launch_id}
    # Where the watch was is too long ago for the server: it says 410, and all is listed anew.
    pods = ours.cluster.watcher.pods
    lists = pods.requests["lists"]
    await pods.aclose()
    pods._version = "1"
    await ours.do(lambda: end_inside(ours.site, runs))
    pods.start()
    await runs.wait(State.GONE)
    assert pods.requests["lists"] == lists + 1


@pytest.mark.usefixtures("impatient")
async def test_a_start_against_a_silent_server_is_unknown_and_found_later(
    ours: Ours, restored_cluster: Cluster
) -> None:
    plan, credentials = ours.planned()
    start = ours.backend.start(plan, credentials)
    handle = (await anext(start)).handle
    await ours.do(restored_cluster.stop_apiserver)
    handing_over = asyncio.ensure_future(anext(start, None))
    await Session(ours, plan.launch_id, handle).wait(State.UNKNOWN)
    await ours.do(restored_cluster.start_apiserver)
    # The pod's secret was tried again all the time.
    assert await handing_over is None
    await Session(ours, plan.launch_id, handle).wait(State.RUNNING)


@pytest.mark.timeout(300)
async def test_sessions_on_a_node_that_is_silent_and_on_one_that_is_removed(
    site: Site, restored_cluster: Cluster
) -> None:
    # Where all nodes are silent, the node controller takes the fault for its own and ends nothing.
    _, removed = await Ours.do(lambda: restored_cluster.add_nodes(2))
    async with asyncio.TaskGroup() as both:  # most of either is to wait for the cluster's own controllers
        both.create_task(_silent_node(site, restored_cluster))
        both.create_task(_removed_node(site, removed))


async def _silent_node(site: Site, cluster: Cluster) -> None:
    """A session there is unknown until its pod has ended."""
    async with connected(site, sees_nodes=True) as ours, connected(site) as without_nodes:
        session = await ours.start()
        await session.wait(State.RUNNING)
        await ours.do(cluster.stop_kubelet)
        other = Session(without_nodes, session.launch_id, session.handle)
        # The node controller needs its grace; then the taint manager deletes the pod, which nobody ends.
        await asyncio.gather(session.wait(State.UNKNOWN), other.wait(State.UNKNOWN))
        assert f"Its node {site.cluster.node} does not answer" in (await other.status()).reason
        await ours.until(lambda: "deletionTimestamp" in _metadata(session), "the pod is not deleted")
        assert (await session.status()).state is (await other.status()).state is State.UNKNOWN
        assert await ours.backend.usage(session.launch_id, session.handle) is None
        await ours.do(cluster.start_kubelet)
        await session.wait(State.GONE)
        used = await session.usage()
        assert used.cause is EndCause.NODE_FAILURE
        assert used.elapsed_seconds > 5
        await session.forget()


async def _removed_node(site: Site, node: str) -> None:
    """Sessions there end with the last that is known of them, and leave nothing."""
    toleration = {"key": FAKE_NODE, "value": "fake", "effect": "NoSchedule"}
    pool = {"node_selector": {"kubernetes.io/hostname": node}, "tolerations": [toleration]}
    async with (
        connected(site, pools={"default": pool}, sees_nodes=True) as ours,
        connected(site, pools={"default": pool}) as without_nodes,
    ):
        left, stopped = await asyncio.gather(without_nodes.start(), ours.start())
        began = [(await one.wait(State.RUNNING)).started_at for one in (left, stopped)]
        await ours.do(lambda: site.cluster.api.request("DELETE", f"/api/v1/nodes/{node}"))
        # No kubelet will end it: the engine does, once it sees that its node is no more.
        await stopped.wait(State.UNKNOWN)
        await stopped.stop()
        # Nobody stops the other: the cluster finds that it is nowhere.
        assert (await left.wait(State.GONE, timeout_s=120)).reason.startswith("Its node failed.")
        used = [await one.usage() for one in (left, stopped)]
        assert used[0].cause is EndCause.NODE_FAILURE
        assert "node no longer exists" in used[0].detail
        assert [one.started_at for one in used] == began
        known = (await left.pod())["status"]["conditions"]
        (found,) = (one["lastTransitionTime"] for one in known if one["type"] == "DisruptionTarget")
        assert used[0].ended_at == datetime.fromisoformat(found)
        assert used[1].ended_at <= used[0].ended_at  # whole seconds
        for session in (left, stopped):
            await session.forget()
        names = {left.name, stopped.name}
        await ours.until(
            lambda: not names & {pod["metadata"]["name"] for pod in site.objects("pods")}, "a pod is left"
        )


def _metadata(session: Session) -> dict:
    return session.ours.site.cluster.api.request("GET", session.path)["metadata"]


async def test_who_else_ends_a_session_is_told(ours: Ours) -> None:
    evicted, deleted = await asyncio.gather(ours.start(), ours.start())
    await asyncio.gather(evicted.wait(State.RUNNING), deleted.wait(State.RUNNING))
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": evicted.name}}
    api = ours.site.cluster.api
    await ours.do(lambda: api.request("POST", f"{evicted.path}/eviction", body))
    await ours.do(lambda: api.request("DELETE", deleted.path))
    await asyncio.gather(evicted.wait(State.GONE), deleted.wait(State.GONE))
    assert (await evicted.usage()).cause is EndCause.EVICTED
    # An engine that looks later sees the kubelet's own last removal, of a later time.
    await ours.until(lambda: _metadata(deleted)["deletionGracePeriodSeconds"] == 0, "it is not removed")
    used = await deleted.usage()
    assert used.cause is EndCause.CANCELLED
    ended = (await deleted.pod())["status"]["containerStatuses"][0]["state"]["terminated"]
    assert used.ended_at == datetime.fromisoformat(ended["finishedAt"])


async def test_a_pod_removed_with_its_record_is_gone_and_charged_by_what_was_seen(ours: Ours) -> None:
    seen, unseen = await asyncio.gather(ours.start(), ours.start())
    began = (await seen.wait(State.RUNNING)).started_at
    await unseen.wait(State.RUNNING)
    api = ours.site.cluster.api
    for session in (seen, unseen):
        await ours.do(lambda path=session.path: _remove(api, path))
    gone = await seen.wait(State.GONE)
    assert gone.reason
    used = await seen.usage()
    assert used.started_at == began
    assert used.elapsed_seconds < 30
    assert await ours.backend.find() == {}
    async with connected(ours.site) as another:  # which never saw it
        forgotten = Session(another, unseen.launch_id, unseen.handle)
        assert (await forgotten.wait(State.GONE)).reason.startswith("Its pod was removed by somebody")
        used = await forgotten.usage()
        assert (used.cause, used.elapsed_seconds) == (EndCause.LOST, 0)
        await forgotten.forget()


async def test_a_policy_of_the_cluster_refuses_with_its_own_sentence(ours: Ours, cluster: Cluster) -> None:
    namespace = f"/api/v1/namespaces/{ours.site.namespace}"
    await ours.do(lambda: _label(cluster, namespace, STRICT))
    try:
        with pytest.raises(SubmitError) as refused:
            await ours.start()
    finally:
        await ours.do(lambda: _label(cluster, namespace, dict.fromkeys(STRICT)))
    assert "pod security standard “restricted:latest” does not allow the session: restricted volume" in str(
        refused.value
    )
    with policy(cluster, ours.site.namespace):
        async with asyncio.timeout(60):  # until the API server has taken it up
            while True:
                try:
                    session = await ours.start("exit 0")
                except SubmitError as error:
                    text = str(error)
                    break
                await session.stop()
                await asyncio.sleep(0.5)
    assert text == "A policy of the cluster (no-tuesdays) refused the session: Not on Tuesdays."


def _remove(api: Api, path: str) -> None:
    api.request("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE)
    api.request("DELETE", path, {"gracePeriodSeconds": 0})


def _label(cluster: Cluster, path: str, labels: dict) -> None:
    cluster.api.request("PATCH", path, {"metadata": {"labels": labels}}, content_type=MERGE)


@contextmanager
def policy(cluster: Cluster, namespace: str) -> Iterator[None]:
    """A policy that refuses every pod of a namespace."""
    api = {"apiVersion": "admissionregistration.k8s.io/v1"}
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmission"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    rules = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "Not on Tuesdays."}],
    }
    binding = {
        "policyName": "no-tuesdays",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }
    made = {"policies": ("Policy", rules), "policybindings": ("PolicyBinding", binding)}
    for plural, (kind, spec) in made.items():
        body = {**api, "kind": f"ValidatingAdmission{kind}", "spec": spec}
        cluster.api.apply(f"{path}{plural}/no-tuesdays", body)
    try:
        yield
    finally:
        for plural in made:
            cluster.api.request("DELETE", f"{path}{plural}/no-tuesdays")
        wait(lambda: takes_pods(cluster, namespace), "the policy is still in force")


def takes_pods(cluster: Cluster, namespace: str) -> bool:
    """Whether a pod would be taken; none is made."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asked"},
        "spec": {"containers": [{"name": "asked", "image": "localhost/none:1"}]},
    }
    try:
        cluster.api.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except KubernetesDemoError as error:
        if "no-tuesdays" not in str(error):
            raise
        return False
    return True


async def test_a_start_that_stays_cut_off_is_ended_with_the_reason(
    ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawners.kubernetes.states._CUT_OFF_AFTER", timedelta(0))
    plan, credentials = ours.planned(SERVE)
    start = ours.backend.start(plan, credentials)
    handle = (await anext(start)).handle
    await start.aclose()
    session = Session(ours, plan.launch_id, handle)
    assert await ours.backend.find() == {plan.launch_id: handle}
    gone = await session.wait(State.GONE)
    assert gone.reason.startswith("Its start was cut off")
    used = await session.usage()
    assert (used.elapsed_seconds, used.detail) == (0, gone.reason)
