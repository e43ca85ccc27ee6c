"""How long from the request until a session in a pod answers, and what is that beside doing without us?

Three ways to ``jupyterhub-singleuser`` of one image, of one person with their home, on one cluster (the
image is on the node), in turns:

* ours: a launch by the API, until the session answers through the proxy;
* KubeSpawner with its defaults, on a plain JupyterHub with the same proxy: a named server by the REST API,
  until it answers through the proxy;
* the floor: a pod with the server alone, until it answers at its address. No hub starts it, no proxy is
  before it.

What is not the same: ours shows the granted data, keeps the books, and asks the engine for what it is.
``BENCH_ROUNDS`` sets the number of rounds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from hub.demo.kubernetes.people import account_table
from hub.demo.kubernetes.sessions import SESSION
from hub.demo.kubernetes.site import PLACE
from hub.demo.slurm.release import cache_folder
from spawners.kubernetes.naming import PORT
from tests.bench.harness import Row
from tests.bench.starts import TIMEOUT_S, Ours, Peer, Way, measure
from tests.support.bench_stock import StockHub, server_prefix, stock_hub
from tests.support.kubernetes import own_cluster
from tests.support.kubernetes_platform import KubernetesPlatform, running_kubernetes_platform
from tests.support.platform import wait_until

NAME = "kubernetes-start"

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "6"))
GOAL_FLOOR = 1.15
PEER = "KubeSpawner 7.1, plain JupyterHub"
FLOOR = "bare pod"

PERSON = "maja"
"""Whose sessions are measured, on all sides."""

PREFIX = "/opt/panhub/environment"
"""Environment of the image."""

_BARE = "bare"
"""The pod, and the server in it."""

_CONFIG = Path(__file__).parents[1] / "support/bench_kubernetes_config.py"


class Pods:
    """Those of the sessions' namespace."""

    def __init__(self, platform: KubernetesPlatform) -> None:
        self._api = platform.cluster.api
        self._path = f"/api/v1/namespaces/{platform.site.namespace}/pods"

    def request(self, method: str, path: str = "", body: object = None) -> dict[str, Any]:
        """Ask the cluster's API about them, or about one."""
        return self._api.request(method, f"{self._path}{path}", body)

    def clear(self) -> None:
        """Wait until none is left but placeholders."""
        wait_until(self._is_clear, "a pod is left", TIMEOUT_S)

    def _is_clear(self) -> bool:
        labels = (pod["metadata"]["labels"] for pod in self.request("GET")["items"])
        return all(one.get("app.kubernetes.io/component") == "placeholder" for one in labels)


class Floor(Way):
    """``jupyterhub-singleuser`` as a pod of its own, with what a hub would tell it."""

    def __init__(self, pods: Pods, hub: StockHub, image: str, uid: int) -> None:
        super().__init__(pods.clear)
        self._pods = pods
        self._uid = uid
        self._hub = hub
        self._token = hub.token_of(PERSON)
        self._image = image

    def click(self) -> None:
        """Make the pod."""
        self._pods.request("POST", "", self._pod())

    def url(self) -> str | None:
        """At the pod's own address."""
        address = self._pods.request("GET", f"/{_BARE}")["status"].get("podIP")
        return None if address is None else f"http://{address}:{PORT}{server_prefix(PERSON, _BARE)}"

    def end(self) -> None:
        """Delete it."""
        self._pods.request("DELETE", f"/{_BARE}")

    def _pod(self) -> dict[str, Any]:
        environment = {
            "HOME": f"/home/{PERSON}",
            "PATH": f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin",
            **self._hub.told(PERSON, _BARE, self._token, f"http://0.0.0.0:{PORT}"),
        }
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        container = {
            "name": "session",
            "image": self._image,
            "imagePullPolicy": "Never",
            "command": [f"{PREFIX}/bin/jupyterhub-singleuser"],
            "env": [{"name": name, "value": value} for name, value in environment.items()],
            "resources": {
                "requests": {"cpu": "100m", "memory": "2048Mi"},
                "limits": {"cpu": "1", "memory": "2048Mi"},
            },
            "securityContext": security,
            "volumeMounts": [{"name": "homes", "mountPath": f"/home/{PERSON}", "subPath": PERSON}],
        }
        spec = {
            "restartPolicy": "Never",
            "serviceAccountName": SESSION,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "priorityClassName": SESSION,
            "securityContext": {
                "runAsUser": self._uid,
                "runAsGroup": self._uid,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}}],
        }
        metadata = {"name": _BARE, "labels": {"app.kubernetes.io/component": "bench"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def run() -> list[Row]:
    """Measure all ways in turns."""
    with _ways() as ways:
        return measure(ways, ROUNDS, peer=PEER, floor=FLOOR, goal_floor=GOAL_FLOOR)


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with ExitStack() as stack:
        cluster = stack.enter_context(own_cluster(cache_folder() / "containerd"))
        platform = stack.enter_context(running_kubernetes_platform(cluster, watched=False))
        image = platform.site.container("pan-core")
        uid = account_table(platform.site.homes)[PERSON]["uid"]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panhub-bench-")))
        environment = {
            "KUBECONFIG": str(cluster.kubeconfig),
            "BENCH_NAMESPACE": platform.site.namespace,
            "BENCH_IMAGE": image,
            "BENCH_ACCOUNT": SESSION,
            "BENCH_PRIORITY": SESSION,
            "BENCH_PREFIX": PREFIX,
            "BENCH_UID": str(uid),
        }
        hub = stack.enter_context(
            stock_hub(
                folder, spawner="local", config=_CONFIG, environment=environment, host=cluster.host_address
            )
        )
        try:
            httpx.post(f"{hub.api_url}/users/{PERSON}", headers=hub.headers).raise_for_status()
            pods = Pods(platform)
            yield [
                Ours(pods.clear, platform, PERSON, PLACE),
                Peer(pods.clear, hub, PERSON),
                Floor(pods, hub, image, uid),
            ]
        except Exception:
            print((folder / "hub.log").read_text(errors="replace")[-3000:])
            raise
