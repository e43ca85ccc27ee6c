"""The chart's Role for the engine has the verbs that are used, and no more: without each, something fails."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import yaml

from spawners.backend import BackendUnavailableError, State, SubmitError
from spawners.kubernetes import client, mirror
from spawners.kubernetes.client import KubernetesRefusedError
from tests.support.kubernetes_backends import RULES, Ours, Session, Site, connected, grant

ROLE: list[dict[str, Any]] = yaml.safe_load((RULES / "engine-role.yaml").read_text())
NODES: list[dict[str, Any]] = yaml.safe_load((RULES / "nodes-role.yaml").read_text())


def verbs(rules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Each verb of each resource."""
    return [(kind, verb) for rule in rules for kind in rule["resources"] for verb in rule["verbs"]]


def without(rules: list[dict[str, Any]], kind: str, verb: str) -> list[dict[str, Any]]:
    """The rules without one verb."""
    left = copy.deepcopy(rules)
    for rule in left:
        if kind in rule["resources"]:
            rule["verbs"].remove(verb)
    return [rule for rule in left if rule["verbs"]]


async def _no_start(ours: Ours, running: Session) -> None:
    with pytest.raises(SubmitError, match="may not start sessions"):
        await ours.start()


async def _no_takeover(ours: Ours, running: Session) -> None:
    assert (await ours.backend.locate(running.launch_id, running.handle)).state is State.UNKNOWN


async def _no_first_look(ours: Ours, running: Session) -> None:
    with pytest.raises(BackendUnavailableError):
        await ours.backend.find()


async def _no_news(ours: Ours, running: Session) -> None:
    async with asyncio.timeout(30):
        while not ours.cluster.watcher.pods.error:
            await asyncio.sleep(0.05)


async def _no_stop(ours: Ours, running: Session) -> None:
    with pytest.raises(BackendUnavailableError, match="does not end the session"):
        await running.stop()


async def _no_log(ours: Ours, running: Session) -> None:
    with pytest.raises(KubernetesRefusedError):
        await ours.cluster.client.text(f"{running.path}/log", most=100)
    assert await ours.backend.log_tail(running.launch_id, running.handle) == []


async def _no_events(ours: Ours, running: Session) -> None:
    async with asyncio.timeout(30):
        while not ours.cluster.watcher.events.error:
            await asyncio.sleep(0.05)
    assert (await running.status()).state is State.RUNNING


async def _no_quotas(ours: Ours, running: Session) -> None:
    assert await ours.cluster.quotas.known() is None
    assert (await ours.backend.availability()).is_reachable


async def _no_nodes(ours: Ours, running: Session) -> None:
    nodes = ours.cluster.watcher.nodes
    assert nodes is not None
    async with asyncio.timeout(30):
        while not nodes.error:
            await asyncio.sleep(0.05)


FAILS: dict[tuple[str, str], Callable[[Ours, Session], Awaitable[None]]] = {
    ("pods", "create"): _no_start,
    ("pods", "get"): _no_takeover,
    ("pods", "list"): _no_first_look,
    ("pods", "watch"): _no_news,
    ("pods", "patch"): _no_start,
    ("pods", "delete"): _no_stop,
    ("pods/log", "get"): _no_log,
    ("secrets", "create"): _no_start,
    ("events", "list"): _no_events,
    ("events", "watch"): _no_events,
    ("resourcequotas", "list"): _no_quotas,
    ("nodes", "list"): _no_nodes,
    ("nodes", "watch"): _no_nodes,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_RIGHTS_S", 0.5)
    monkeypatch.setattr("spawners.kubernetes.backend._FIRST_LOOK_S", 2.0)
    monkeypatch.setattr(mirror, "_PAUSE_S", 0.1)


@pytest.fixture
def rights(site: Site) -> Iterator[Callable[[str, str], None]]:
    """Take one verb away."""
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{site.namespace}-nodes"

    def nodes(rules: list[dict[str, Any]]) -> None:
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules}
        site.cluster.api.apply(path, body)

    def take(kind: str, verb: str) -> None:
        if (kind, verb) in verbs(NODES):
            nodes(without(NODES, kind, verb))
        else:
            grant(site.cluster, site.namespace, without(ROLE, kind, verb))

    yield take
    nodes(NODES)
    grant(site.cluster, site.namespace, ROLE)


async def test_every_verb_is_needed(site: Site, rights: Callable[[str, str], None]) -> None:
    assert sorted(FAILS) == sorted(verbs(ROLE) + verbs(NODES))
    async with connected(site) as whole:
        running = await whole.start()
        await running.wait(State.RUNNING)
        for (kind, verb), fails in FAILS.items():
            await whole.do(lambda kind=kind, verb=verb: rights(kind, verb))
            async with connected(site, sees_nodes=kind == "nodes") as less:
                session = Session(less, running.launch_id, running.handle)
                await _until_taken(less, kind, verb)
                if kind != "pods" or verb not in ("list", "watch"):
                    assert await less.cluster.watcher.pods.loaded(10)
                await fails(less, session)
            await whole.do(lambda: grant(site.cluster, site.namespace, ROLE))


async def _until_taken(ours: Ours, kind: str, verb: str) -> None:
    """The API server's authorizer hears of a change some milliseconds later."""
    namespace = "" if kind == "nodes" else ours.site.namespace
    resource, _, part = kind.partition("/")
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": namespace,
                "verb": verb,
                "resource": resource,
                "subresource": part,
            }
        },
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    async with asyncio.timeout(30):
        while (await ours.cluster.client.create(path, body))["status"].get("allowed"):
            await asyncio.sleep(0.05)
