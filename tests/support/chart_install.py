"""The chart on a real cluster: the images that are built here, a facility's storage, an identity provider."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import helm_python

from hub.demo.kubernetes.addresses import NODE_NAME
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.people import account_table, numbers
from hub.demo.slurm.data import share_data
from spawners.kubernetes.naming import LAUNCH_LABEL
from tests.support.chart import CHART, RELEASE
from tests.support.chart_database import rows
from tests.support.chart_provider import make_certificate, running_provider
from tests.support.chart_values import NODE_PORT, PEOPLE, READERS, SLURM_KEY, STORAGE_CLASS, chart_values
from tests.support.facility import copy_facility
from tests.support.kubernetes import execute, runtime_profile

_NUMBERS = itertools.count(1)
_WAIT_S = 300
_PARTS = ("proxy", "hub", "service", "desktop", "database", "uninstall", "test")

SANDBOX_CALLS = ("clone", "mount", "pivot_root", "sethostname", "setns", "umount2", "unshare")
"""System calls that guacd's sandbox needs beside those that a runtime allows."""

_ACCOUNTS = {
    "passwd": "root:x:0:0::/:/bin/sh\nmaja:x:20001:20001::/:/bin/sh\nyuki:x:20002:20002::/:/bin/sh\n",
    "group": "root:x:0:\nmaja:x:20001:\nyuki:x:20002:\n",
}
"""Whom the token gateway knows; it may mint for one of them."""


@dataclass
class Installed:
    """A release on a cluster.

    Attributes
    ----------
    url
        Where browsers find it.
    values
        What it was made of last.
    slurm_key
        Key of the token gateway.
    tested, reached
        What was seen of it on the way: by ``helm test``, and of who reaches whom.
    """

    cluster: Cluster
    namespace: str
    sessions: str
    folder: Path
    url: str
    values: dict[str, Any]
    helm: helm_python.Config
    certificate: Path
    slurm_key: str
    tested: dict[str, Any] = field(default_factory=dict)
    reached: dict[str, dict[str, str]] = field(default_factory=dict)

    def upgrade(self, values: dict[str, Any]) -> None:
        """Change the release, and wait until all of it is ready. Blocking."""
        self.values = values
        self.helm.upgrade(CHART, RELEASE, values, wait="watcher", timeout=_WAIT_S)

    def objects(self, kind: str, namespace: str | None = None, query: str = "") -> list[dict[str, Any]]:
        """Objects of a kind of the core API."""
        path = f"/api/v1/namespaces/{namespace or self.namespace}/{kind}"
        found: list[dict[str, Any]] = self.cluster.api.request("GET", path + query)["items"]
        return found

    def pods_of(self, component: str) -> list[dict[str, Any]]:
        """Pods of one of the chart's processes."""
        return self.objects("pods", query=f"?labelSelector=app.kubernetes.io/component={component}")

    def session_pods(self, launch_id: str) -> list[dict[str, Any]]:
        """Pods of a launch."""
        return self.objects("pods", self.sessions, f"?labelSelector={LAUNCH_LABEL}%3D{launch_id}")

    def kill(self, component: str, *, grace_s: int = 0) -> None:
        """Delete the pod of a process without any grace. Blocking; another one comes by itself.

        With a second's grace the other one comes when the first has ended, which a database needs.
        """
        for pod in self.pods_of(component):
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
            self.cluster.api.request("DELETE", f"{path}?gracePeriodSeconds={grace_s}")

    def execute(self, component: str, *argv: str, container: str | None = None) -> str:
        """What a command prints in a container of a process; by default in that of the same name. Blocking.

        Raises
        ------
        AssertionError
            If it does not end with 0.
        """
        (pod,) = [pod for pod in self.pods_of(component) if "deletionTimestamp" not in pod["metadata"]]
        done = execute(self.cluster, pod, container or component, *argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def write_seccomp_profile(self, name: str) -> None:
        """Give the node a profile: what its runtime allows, and what guacd's sandbox needs. Blocking.

        ``desktop.seccompProfile`` of the how-to page, by the same steps.
        """
        (pod,) = self.pods_of("desktop")
        (container,) = pod["status"]["containerStatuses"]
        profile = runtime_profile(self.cluster, container["containerID"])
        profile["syscalls"].append({"names": list(SANDBOX_CALLS), "action": "SCMP_ACT_ALLOW"})
        path = self.cluster.folder / "kubelet/seccomp" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(profile))

    def books(self, query: str) -> list[tuple[str, ...]]:
        """Rows of the service's database, in text. Blocking."""
        return rows(self.execute("database", "psql", "-XAtU", "postgres", "-d", "panhub", "-c", query))

    def wait_ready(self, component: str, *, other_than: str = "") -> None:
        """Wait until a process's pod is ready, and is not the one with this uid. Blocking."""

        def is_ready() -> bool:
            pods = [pod for pod in self.pods_of(component) if "deletionTimestamp" not in pod["metadata"]]
            return any(_is_ready(pod) and pod["metadata"]["uid"] != other_than for pod in pods)

        try:
            wait(is_ready, f"{component} is not ready")
        except AssertionError as error:
            raise AssertionError(self.said(component)) from error

    def said(self, component: str) -> str:
        """State and last words of a process's pods, for a person who looks at a failure."""
        told = []
        for pod in self.pods_of(component):
            name, status = pod["metadata"]["name"], pod["status"]
            states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
            told.append(f"{name}: {status['phase']} {[(one['name'], one['state']) for one in states]}")
            for one in states:
                query = f"container={one['name']}&tailLines=30"
                path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/log?{query}"
                try:
                    told.append(self.cluster.api.text(path))
                except KubernetesDemoError as error:
                    told.append(str(error))
        return "\n".join(told)

    def failure(self) -> str:
        """What all of them said."""
        return "\n".join(self.said(name) for name in _PARTS)


def wait(what: Callable[[], Any], message: str, timeout_s: float = 120) -> Any:
    """First true answer of ``what``. Blocking."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, message
        time.sleep(0.1)
    return found


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


Database = Callable[["Installed"], AbstractContextManager[dict[str, Any]]]


@contextlib.contextmanager
def installed(cluster: Cluster, database: Database | None = None) -> Iterator[Installed]:
    """The chart installed and ready; everything is removed afterwards, whatever became of it.

    ``database`` runs one for the release, and gives the chart's values of it; by default it is bundled.
    """
    number = f"{os.getpid()}-{next(_NUMBERS)}"
    release = _prepared(cluster, f"notebooks-{number}", f"notebooks-{number}-sessions")
    secret = secrets.token_hex(16)
    try:
        with (
            running_provider(release.folder, cluster.host_address, release.url, secret) as issuer,
            database(release) if database else contextlib.nullcontext() as its,
        ):
            _given(release, secret)
            release.values = chart_values(cluster, sessions=release.sessions, url=release.url, issuer=issuer)
            if its is not None:
                release.values["database"] = its
            try:
                release.helm.install(CHART, RELEASE, release.values, wait="watcher", timeout=_WAIT_S)
            except helm_python.HelmError as error:
                raise AssertionError(f"{error}\n{release.failure()}") from error
            # The namespace of the sessions is the chart's; an operator puts the claims into it.
            for claim, part in {"homes": "homes", "visitor": "data/visitor"}.items():
                _volume(release, release.sessions, claim, release.folder / part)
            yield release
    finally:
        release.helm.close()
        _remove(release)


def _prepared(cluster: Cluster, namespace: str, sessions: str) -> Installed:
    folder = Path(tempfile.mkdtemp(prefix="panhub-chart-"))
    folder.chmod(0o755)
    copy_facility(folder)
    share_data(folder / "data/visitor", folder / "catalogue", datetime.now(UTC), names=numbers())
    # The service looks for data by a group of its own; sessions read it as their persons.
    subprocess.run(
        ["setfacl", "-R", "-m", f"g:{READERS}:rX", str(folder / "data"), str(folder / "catalogue")],
        check=True,
    )
    _make_homes(folder / "homes")
    # Kubernetes gives it to the group of the pod that mounts it.
    (folder / "database").mkdir()
    certificate = make_certificate(folder, cluster.host_address)
    return Installed(
        cluster,
        namespace,
        sessions,
        folder,
        f"http://{cluster.node_address}:{NODE_PORT}",
        {},
        helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace),
        certificate,
        secrets.token_hex(32),
    )


def _make_homes(homes: Path) -> None:
    homes.mkdir(mode=0o755)
    for name, entry in account_table(homes).items():
        (homes / name).mkdir(mode=0o700)
        os.chown(homes / name, entry["uid"], entry["gid"])


def _given(release: Installed, secret: str) -> None:
    """What an operator has made before: a namespace, claims, the client's secret, the site's authority."""
    api, of = release.cluster.api, f"/api/v1/namespaces/{release.namespace}"
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.apply(of, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": enforce}})
    for claim in ("data", "catalogue"):
        _volume(release, release.namespace, claim, release.folder / claim)
    # This claim is the chart's own: what would provide its volume is not here.
    _make_volume(
        release, release.namespace, f"{RELEASE}-database", release.folder / "database", STORAGE_CLASS
    )
    given = {"panhub-oidc": ("client-secret", secret), SLURM_KEY: ("jwt_hs256.key", release.slurm_key)}
    for name, (key, text) in given.items():
        data = {key: base64.b64encode(text.encode()).decode()}
        api.apply(f"{of}/secrets/{name}", {"apiVersion": "v1", "kind": "Secret", "data": data})
    known = {"facility-ca": {"ca.crt": release.certificate.read_text()}, PEOPLE: _ACCOUNTS}
    for name, data in known.items():
        api.apply(f"{of}/configmaps/{name}", {"apiVersion": "v1", "kind": "ConfigMap", "data": data})


def _volume(release: Installed, namespace: str, claim: str, folder: Path) -> None:
    """A claim as an operator makes it, and its volume."""
    _make_volume(release, namespace, claim, folder)
    release.cluster.api.apply(
        f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": f"{namespace}-{claim}",
                "resources": {"requests": {"storage": "1Ti"}},
            },
        },
    )


def _make_volume(
    release: Installed, namespace: str, claim: str, folder: Path, storage_class: str = ""
) -> None:
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    release.cluster.api.apply(
        f"/api/v1/persistentvolumes/{namespace}-{claim}",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "spec": {
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "storageClassName": storage_class,
                "capacity": {"storage": "1Ti"},
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": str(folder)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
                "claimRef": {"namespace": namespace, "name": claim},
            },
        },
    )


def _remove(release: Installed) -> None:
    """Everything that is left, with the finalizers of pods that nobody settles any more.

    A namespace goes in its own time; the port of the node that its services hold is the next release's.
    """
    api = release.cluster.api
    with contextlib.suppress(KubernetesDemoError):
        for pod in release.objects("pods", release.sessions):
            path = f"/api/v1/namespaces/{release.sessions}/pods/{pod['metadata']['name']}"
            gone = {"metadata": {"finalizers": None}}
            api.request("PATCH", path, gone, content_type="application/merge-patch+json")
    with contextlib.suppress(KubernetesDemoError):
        for service in release.objects("services"):
            path = f"/api/v1/namespaces/{release.namespace}/services/{service['metadata']['name']}"
            api.request("DELETE", path)
    for path in left_behind(release):
        with contextlib.suppress(KubernetesDemoError):
            api.request("DELETE", path)
    shutil.rmtree(release.folder, ignore_errors=True)


def left_behind(release: Installed) -> list[str]:
    """Paths of what the cluster has of a release, its namespaces and volumes included."""
    found = []
    for kind, base in (
        ("namespaces", "/api/v1"),
        ("persistentvolumes", "/api/v1"),
        ("priorityclasses", "/apis/scheduling.k8s.io/v1"),
        ("clusterroles", "/apis/rbac.authorization.k8s.io/v1"),
        ("clusterrolebindings", "/apis/rbac.authorization.k8s.io/v1"),
    ):
        for item in release.cluster.api.request("GET", f"{base}/{kind}")["items"]:
            if item["metadata"]["name"].startswith(release.namespace):
                found.append(f"{base}/{kind}/{item['metadata']['name']}")
    return found
