"""The chart on a real cluster: the images that are built here, a facility's storage, an identity provider."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import helm_python
import yaml

from hub.demo.install import ROOT
from hub.demo.kubernetes.addresses import NODE_NAME
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.configuration import PAUSE_IMAGE
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.images import build_image
from hub.demo.kubernetes.people import account_table, numbers
from hub.demo.slurm.data import share_data
from spawners.kubernetes.naming import LAUNCH_LABEL
from tests.support.chart import CHART, RELEASE
from tests.support.chart_provider import make_certificate, running_provider
from tests.support.facility import copy_facility

_NUMBERS = itertools.count(1)
_NODE_PORT = 30480
_OURS, _READERS = 64010, 64020
"""Account of the chart's processes, and the group by which the service may look at the data."""

_WAIT_S = 300


@dataclass
class Installed:
    """A release on a cluster. ``url`` is where browsers find it, ``values`` what it was made of last."""

    cluster: Cluster
    namespace: str
    sessions: str
    folder: Path
    url: str
    values: dict[str, Any]
    helm: helm_python.Config
    certificate: Path
    tested: dict[str, Any] = field(default_factory=dict)

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

    def kill(self, component: str) -> None:
        """Delete the pod of a process without any grace. Blocking; another one comes by itself."""
        for pod in self.pods_of(component):
            path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}?gracePeriodSeconds=0"
            self.cluster.api.request("DELETE", path)

    def wait_ready(self, component: str, *, other_than: str = "") -> None:
        """Wait until a process's pod is ready, and is not the one with this uid. Blocking."""

        def is_ready() -> bool:
            pods = [pod for pod in self.pods_of(component) if "deletionTimestamp" not in pod["metadata"]]
            return any(_is_ready(pod) and pod["metadata"]["uid"] != other_than for pod in pods)

        wait(is_ready, f"{component} is not ready: {self.said(component)}")

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
        return "\n".join(
            self.said(name) for name in ("proxy", "hub", "service", "desktop", "uninstall", "test")
        )


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


@contextlib.contextmanager
def installed(cluster: Cluster) -> Iterator[Installed]:
    """The chart installed and ready; everything is removed afterwards, whatever became of it."""
    number = f"{os.getpid()}-{next(_NUMBERS)}"
    release = _prepared(cluster, f"notebooks-{number}", f"notebooks-{number}-sessions")
    secret = secrets.token_hex(16)
    try:
        with running_provider(release.folder, cluster.host_address, release.url, secret) as issuer:
            _given(release, secret)
            release.values = _values(release, issuer)
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
        ["setfacl", "-R", "-m", f"g:{_READERS}:rX", str(folder / "data"), str(folder / "catalogue")],
        check=True,
    )
    _make_homes(folder / "homes")
    for name in ("hub", "service"):
        (folder / "state" / name).mkdir(parents=True)
        os.chown(folder / "state" / name, _OURS, _OURS)
    certificate = make_certificate(folder, cluster.host_address)
    return Installed(
        cluster,
        namespace,
        sessions,
        folder,
        f"http://{cluster.node_address}:{_NODE_PORT}",
        {},
        helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace),
        certificate,
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
    claims = {"data": "data", "catalogue": "catalogue", "state": "state"}
    for claim, folder in claims.items():
        _volume(release, release.namespace, claim, release.folder / folder)
    api.apply(
        f"{of}/secrets/panhub-oidc",
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "data": {"client-secret": base64.b64encode(secret.encode()).decode()},
        },
    )
    api.apply(
        f"{of}/configmaps/facility-ca",
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": release.certificate.read_text()}},
    )


def _volume(release: Installed, namespace: str, claim: str, folder: Path) -> None:
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeMode": "Filesystem"}
    where = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    release.cluster.api.apply(
        f"/api/v1/persistentvolumes/{namespace}-{claim}",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "spec": {
                **common,
                "capacity": {"storage": "1Ti"},
                "persistentVolumeReclaimPolicy": "Retain",
                "local": {"path": str(folder)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
                "claimRef": {"namespace": namespace, "name": claim},
            },
        },
    )
    release.cluster.api.apply(
        f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "spec": {
                **common,
                "volumeName": f"{namespace}-{claim}",
                "resources": {"requests": {"storage": "1Ti"}},
            },
        },
    )


def _values(release: Installed, issuer: str) -> dict[str, Any]:
    cluster = release.cluster
    image = cluster.import_image(build_image("hub"))
    repository, _, digest = image.partition("@")
    few = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    return {
        "image": {"repository": repository, "digest": digest, "pullPolicy": "Never"},
        "runAs": {"supplementaryGroups": [_READERS]},
        "settings": {
            "site": {"name": "Chart", "public_url": release.url, "support": "who runs the tests"},
            "identity": {
                "issuer": issuer,
                "timeout_s": 30,
                "accounts": {"kind": "static", "accounts": account_table(Path("/home"))},
            },
            "catalogue": {"folder": "/data/catalogue"},
            "data": {"root": "/data/visitor"},
            "quota": {
                "enforcement": "enforced",
                "roles": [
                    {"group": "panhub:users", "resource": "cpu_hours", "limit": 60, "window": "week"},
                    {"group": "panhub:users", "resource": "sessions", "limit": 4},
                ],
            },
            "kubernetes": {
                "clusters": {
                    "here": {
                        "sees_nodes": True,
                        "cpu_reserved": 0.1,
                        "image_pull_policy": "Never",
                        "pause_image": PAUSE_IMAGE,
                        "tmp_mib": 512,
                        "storage": [
                            {"path": "/home", "source": {"kind": "claim", "claim": "homes"}},
                            {"path": "/data/visitor", "source": {"kind": "claim", "claim": "visitor"}},
                        ],
                    }
                }
            },
        },
        "profiles": _profiles(cluster),
        "secrets": {"oidc": {"existingSecret": "panhub-oidc"}},
        "trustedCertificates": {"configMap": "facility-ca"},
        "proxy": {"expose": {"type": "NodePort", "nodePort": _NODE_PORT}, "resources": few},
        "hub": {"resources": few},
        "service": {
            "resources": few,
            "volumes": [
                {"path": "/data/visitor", "source": {"kind": "claim", "claim": "data"}, "subPath": "visitor"},
                {"path": "/data/catalogue", "source": {"kind": "claim", "claim": "catalogue"}},
            ],
        },
        "desktop": {"resources": few},
        "database": {"kind": "sqlite", "sqlite": {"existingClaim": "state"}},
        "sessions": {
            "namespace": release.sessions,
            "keepNamespace": False,
            "priorityClass": {"name": f"{release.sessions}-session", "value": 1000},
            "warmPriorityClass": {"name": f"{release.sessions}-warm", "value": -10},
        },
        "networkPolicy": {"dns": {"networks": [f"{cluster.node_address}/32"]}},
        "uninstall": {"patienceS": 60},
    }


def _profiles(cluster: Cluster) -> dict[str, Any]:
    """The demo's, with the digests of the images built here, and one pool."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "profiles/site/demo-kubernetes.yaml").read_text())
    for environment, image in {"pan-core": "notebook-core", "pan-desktop": "desktop"}.items():
        entry = raw["environments"][environment]
        entry["container"] = cluster.import_image(build_image(image))
        entry["lock_sha256"] = _lock_hash(ROOT / entry.pop("lock"))
    raw["places"] = {"pods": {"title": "Cluster", "backend": "kubernetes", "cluster": "here"}}
    raw["profiles"] = {name: entry for name, entry in raw["profiles"].items() if entry["places"] == ["pods"]}
    return raw


def _lock_hash(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _remove(release: Installed) -> None:
    """Everything that is left, with the finalizers of pods that nobody settles any more."""
    api = release.cluster.api
    with contextlib.suppress(KubernetesDemoError):
        for pod in release.objects("pods", release.sessions):
            path = f"/api/v1/namespaces/{release.sessions}/pods/{pod['metadata']['name']}"
            gone = {"metadata": {"finalizers": None}}
            api.request("PATCH", path, gone, content_type="application/merge-patch+json")
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
