"""Our side of a cluster for tests of the backend: sessions whose server is a script of the shell.

The engine is a service account with the rules of the chart's Role and nothing else, unless a test says so.
The image has a program where an environment's Python is; it runs the script that the session's secret
names (``ACT``), so that what a session does is up to the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from hub.demo.kubernetes.archives import write_archive
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.errors import KubernetesDemoError
from spawners.backend import Handle, State, Status, Usage
from spawners.kubernetes.backend import KubernetesBackend
from spawners.kubernetes.cluster import KubernetesCluster
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.plan import Account, Credentials, LaunchId, Size
from tests.support.kubernetes_plans import a_plan
from tests.support.required import require_program

RULES = Path(__file__).parents[2] / "helm" / "panhub" / "files" / "rbac"
ENGINE = "engine"
_RBAC = {"apiVersion": "rbac.authorization.k8s.io/v1"}
PREFIX = "/opt/panhub/environment"

SERVE = "trap 'exit 0' TERM; sleep 3600 & wait"
"""A session that runs until it is ended, and then ends well."""

_SCRIPT = """#!/bin/sh
eval "$(/bin/busybox sed -n 's/.*"ACT": "\\([^"]*\\)".*/\\1/p' /run/panhub/environment)"
"""
_WAIT_S = 60.0


def import_scripted(cluster: Cluster, script: str = _SCRIPT) -> str:
    """Bring the image of such sessions onto the node; returns its name by digest."""
    program = cluster.folder / "python"
    program.write_text(script)
    program.chmod(0o755)
    busybox = Path(require_program("busybox", package="busybox-static"))
    archive = cluster.folder / "scripted.tar"
    write_archive(
        archive,
        "localhost/scripted:1",
        {"/bin/busybox": busybox, f"{PREFIX}/bin/python": program},
        command=("/bin/sh",),
        links={f"/bin/{name}": "busybox" for name in ("sh", "sleep", "tail", "echo", "kill", "cat")},
        machine=os.uname().machine,
    )
    return cluster.import_image(archive)


@dataclass(frozen=True, slots=True)
class Site:
    """A namespace of a cluster with all that sessions of `Ours` need."""

    cluster: Cluster
    namespace: str
    image: str
    storage: Path
    kubeconfig: Path

    @property
    def pods(self) -> str:
        """Path of the pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        found: list[dict[str, Any]] = self.cluster.api.request(
            "GET", f"/api/v1/namespaces/{self.namespace}/{kind}"
        )["items"]
        return found


def make_site(cluster: Cluster, namespace: str, image: str, storage: Path) -> Site:
    """Prepare a namespace: service accounts, the engine's rights, a home on the node's disk."""
    (storage / "home" / "alice").mkdir(parents=True, exist_ok=True)
    api, rbac = cluster.api, "/apis/rbac.authorization.k8s.io/v1"
    for account in (ENGINE, "panhub-session"):
        body = {"apiVersion": "v1", "kind": "ServiceAccount"}
        api.apply(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}", body)
    grant(cluster, namespace, yaml.safe_load((RULES / "engine-role.yaml").read_text()))
    nodes = yaml.safe_load((RULES / "nodes-role.yaml").read_text())
    api.apply(f"{rbac}/clusterroles/{namespace}-nodes", {**_RBAC, "kind": "ClusterRole", "rules": nodes})
    subjects = [{"kind": "ServiceAccount", "name": ENGINE, "namespace": namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{namespace}-nodes"}
    api.apply(
        f"{rbac}/clusterrolebindings/{namespace}-nodes",
        {**_RBAC, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects},
    )
    return Site(cluster, namespace, image, storage, cluster.kubeconfig_for(ENGINE, namespace))


def grant(cluster: Cluster, namespace: str, rules: list[dict[str, Any]]) -> None:
    """Give the engine these rules in the namespace, and no others."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    cluster.api.apply(f"{path}/roles/{ENGINE}", {**_RBAC, "kind": "Role", "rules": rules})
    cluster.api.apply(
        f"{path}/rolebindings/{ENGINE}",
        {
            **_RBAC,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ENGINE},
            "subjects": [{"kind": "ServiceAccount", "name": ENGINE, "namespace": namespace}],
        },
    )


def settings_of(site: Site, **more: Any) -> KubernetesClusterSettings:
    """Settings of the cluster for an engine, changed."""
    return KubernetesClusterSettings.model_validate(
        {
            "kubeconfig": site.kubeconfig,
            "namespace": site.namespace,
            "image_pull_policy": "Never",
            "pause_image": "localhost/pause:1",
            "cpu_reserved": 0.05,
            "storage": [
                {"path": str(site.storage), "source": {"kind": "host", "path": str(site.storage)}},
            ],
            **more,
        }
    )


class Session:
    """One session of ours."""

    def __init__(self, ours: Ours, launch_id: LaunchId, handle: Handle) -> None:
        self.ours = ours
        self.launch_id = launch_id
        self.handle = handle
        self.name = str(handle["name"])

    @property
    def path(self) -> str:
        """Path of its pod."""
        return f"{self.ours.site.pods}/{self.name}"

    async def pod(self) -> dict[str, Any]:
        """Its pod as the administrator sees it."""
        return await self.ours.do(lambda: self.ours.site.cluster.api.request("GET", self.path))

    async def status(self) -> Status:
        """Its status now."""
        return (await self.ours.backend.status({self.launch_id: self.handle}))[self.launch_id]

    async def wait(self, state: State, *, reason: str = "", timeout_s: float = _WAIT_S) -> Status:
        """Wait for a state, and for words in its reason."""
        status = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    status = await self.status()
                    if status.state is state and reason in status.reason:
                        return status
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not {state} {reason!r} in time, but {status}") from None

    async def usage(self) -> Usage:
        """What it used; it is gone."""
        used = await self.ours.backend.usage(self.launch_id, self.handle)
        assert used is not None
        return used

    async def stop(self) -> None:
        """End it."""
        await self.ours.backend.stop(self.launch_id, self.handle)

    async def forget(self) -> None:
        """It is settled."""
        await self.ours.backend.forget(self.launch_id, self.handle)


class Ours:
    """An engine's side of a cluster."""

    def __init__(self, site: Site, cluster: KubernetesCluster) -> None:
        self.site = site
        self.cluster = cluster
        self.backend: KubernetesBackend = cluster.backend("default")

    async def until(self, is_so: Callable[[], object], what: str, timeout_s: float = _WAIT_S) -> None:
        """Wait until something, which may block, is so."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self.do(is_so):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{what}, after {timeout_s:g} s") from None

    @staticmethod
    async def do(work: Callable[[], Any]) -> Any:
        """Something blocking."""
        return await asyncio.to_thread(work)

    async def start(self, act: str = SERVE, **more: Any) -> Session:
        """Start a session that does something; ``more`` changes its plan."""
        plan, credentials = self.planned(act, **more)
        handle: Mapping[str, Any] = {}
        async for step in self.backend.start(plan, credentials):
            handle = step.handle
        return Session(self, plan.launch_id, handle)

    def planned(self, act: str = SERVE, **more: Any) -> tuple[Any, Credentials]:
        """A plan and its secrets."""
        home = PurePosixPath(self.site.storage) / "home" / "alice"
        plan = a_plan(
            **{
                "launch_id": LaunchId(secrets.token_hex(8)),
                "account": Account("alice", 21001, 21002, home, (21003,)),
                "size": Size("tiny", "Tiny", cpus=1, memory_mib=64),
                "mounts": (),
                **more,
            }
        )
        if "environment" not in more:
            plan = replace(plan, environment=replace(plan.environment, container=self.site.image))
        environment = {"JUPYTERHUB_API_TOKEN": "a-token", "ACT": act}
        report_url = f"http://198.51.100.1:1/internal/reports/{plan.launch_id}"
        return plan, Credentials(environment=environment, report_url=report_url, report_secret="")


@asynccontextmanager
async def connected(site: Site, **more: Any) -> AsyncIterator[Ours]:
    """An engine's side of a cluster, as long as the context lasts; its pods stay."""
    cluster = KubernetesCluster("demo", settings_of(site, **more))
    cluster.start()
    try:
        yield Ours(site, cluster)
    finally:
        await cluster.aclose()


def remove_all(site: Site) -> None:
    """Remove all pods of the namespace, whatever holds them."""
    for pod in site.objects("pods"):
        path = f"{site.pods}/{pod['metadata']['name']}"
        change = {"metadata": {"finalizers": None}}
        with contextlib.suppress(KubernetesDemoError):  # it has just gone
            site.cluster.api.request("PATCH", path, change, content_type="application/merge-patch+json")
    site.cluster.api.request("DELETE", site.pods, {"gracePeriodSeconds": 0})
