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
import statistics
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from hub.demo.kubernetes.people import account_table
from hub.demo.kubernetes.sessions import SESSION
from hub.demo.kubernetes.site import PLACE
from hub.demo.slurm.release import cache_folder
from hub.settings import SERVICE_PREFIX
from spawners.kubernetes.naming import PORT
from tests.bench.harness import Row, at_most, percentile
from tests.support.bench_stock import StockHub, stock_hub
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

_CONFIG = Path(__file__).parents[1] / "support/bench_kubernetes_config.py"

_LOOK_S = 0.05
"""Until there is a route, each look costs the hub some milliseconds; half of it is in every time."""

_TIMEOUT_S = 120.0


class Way(ABC):
    """One way to a session. ``seconds`` of each round."""

    def __init__(self, platform: KubernetesPlatform) -> None:
        self.seconds: list[float] = []
        self.platform = platform
        self._client = httpx.Client(timeout=30, trust_env=False)

    def round(self, *, counts: bool) -> None:
        """Start a session, end it, and wait until its pod is gone."""
        began = time.perf_counter()
        self.click()
        wait_until(self._answers, f"{type(self).__name__} does not answer", _TIMEOUT_S)
        if counts:
            self.seconds.append(time.perf_counter() - began)
        self.end()
        wait_until(lambda: not self._pods(), "a pod is left", _TIMEOUT_S)

    def _answers(self) -> bool:
        url = self.url()
        try:
            return url is not None and self._client.get(f"{url}api").status_code == 200
        except httpx.HTTPError:
            return False

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask the cluster's API about the sessions' namespace."""
        of = f"/api/v1/namespaces/{self.platform.site.namespace}"
        return self.platform.cluster.api.request(method, f"{of}/{path}", body)

    def _pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.request("GET", "pods")["items"]
        return [
            pod
            for pod in found
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") != "placeholder"
        ]

    @abstractmethod
    def click(self) -> None:
        """Ask for a session."""

    @abstractmethod
    def url(self) -> str | None:
        """Its address, once that is known."""

    @abstractmethod
    def end(self) -> None:
        """End the session."""


class Ours(Way):
    """A session of the platform, asked for by its API."""

    def __init__(self, platform: KubernetesPlatform) -> None:
        super().__init__(platform)
        self._visitor = platform.sign_in(PERSON)
        self._headers = {"Authorization": f"token {self._visitor.token}"}
        self._launch: dict[str, Any] = {}

    def click(self) -> None:
        """POST the launch."""
        url = f"{self.platform.url}{SERVICE_PREFIX}/api/v1/launches"
        reply = self._client.post(url, headers=self._headers, json={"place": PLACE})
        self._launch = reply.raise_for_status().json()

    def url(self) -> str:
        """Behind the proxy."""
        return f"{self.platform.url}/user/{PERSON}/{self._launch['server_name']}/"

    def end(self) -> None:
        """Stop it."""
        self._visitor.api("DELETE", f"/launches/{self._launch['id']}")
        self._visitor.wait_for(self._launch["id"], "ended")


class KubeSpawner(Way):
    """A named server of a plain JupyterHub, asked for by its REST API."""

    def __init__(self, platform: KubernetesPlatform, hub: StockHub) -> None:
        super().__init__(platform)
        self._hub = hub
        self._servers = httpx.Client(
            base_url=f"{hub.api_url}/users/{PERSON}", headers=hub.headers, timeout=_TIMEOUT_S, trust_env=False
        )
        self._thread = ThreadPoolExecutor(1)
        self._starting: Future[httpx.Response] | None = None

    def click(self) -> None:
        """POST the server; the hub answers once it runs, so that is not waited for here."""
        self._starting = self._thread.submit(self._servers.post, "/servers/one")

    def url(self) -> str:
        """Behind the proxy."""
        return f"{self._hub.url}/user/{PERSON}/one/"

    def end(self) -> None:
        """Stop it."""
        assert self._starting is not None
        self._starting.result().raise_for_status()
        wait_until(
            lambda: self._servers.delete("/servers/one").status_code in {204, 404},
            "the server does not end",
            _TIMEOUT_S,
        )


class Floor(Way):
    """``jupyterhub-singleuser`` as a pod of its own, with what a hub would tell it."""

    _NAME = "bare"

    def __init__(self, platform: KubernetesPlatform, hub: StockHub, image: str) -> None:
        super().__init__(platform)
        reply = httpx.post(f"{hub.api_url}/users/{PERSON}/tokens", headers=hub.headers, json={})
        self._token = reply.raise_for_status().json()["token"]
        self._api_url = hub.api_url
        self._image = image
        self._prefix = f"/user/{PERSON}/{self._NAME}/"

    def click(self) -> None:
        """Make the pod."""
        self.request("POST", "pods", self._pod())

    def url(self) -> str | None:
        """At the pod's own address."""
        address = self.request("GET", f"pods/{self._NAME}")["status"].get("podIP")
        return None if address is None else f"http://{address}:{PORT}{self._prefix}"

    def end(self) -> None:
        """Delete it."""
        self.request("DELETE", f"pods/{self._NAME}")

    def _pod(self) -> dict[str, Any]:
        uid = account_table(self.platform.site.homes)[PERSON]["uid"]
        environment = {
            "HOME": f"/home/{PERSON}",
            "PATH": f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin",
            "JUPYTERHUB_API_URL": self._api_url,
            "JUPYTERHUB_API_TOKEN": self._token,
            "JUPYTERHUB_USER": PERSON,
            "JUPYTERHUB_SERVER_NAME": self._NAME,
            "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{PORT}{self._prefix}",
            "JUPYTERHUB_SERVICE_PREFIX": self._prefix,
            "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{PERSON}-{self._NAME}",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{self._prefix}oauth_callback",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": f'["access:servers!user={PERSON}"]',
            "JUPYTERHUB_ACTIVITY_URL": f"{self._api_url}/users/{PERSON}/activity",
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
                "runAsUser": uid,
                "runAsGroup": uid,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}}],
        }
        metadata = {"name": self._NAME, "labels": {"app.kubernetes.io/component": "bench"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def run() -> list[Row]:
    """Measure all ways in turns."""
    with _ways() as ways:
        for number in range(ROUNDS + 1):
            # The first round is for imports and caches. Who is first changes, and who comes after whom.
            turn = ways[number % len(ways) :] + ways[: number % len(ways)]
            for way in turn if number % 2 else reversed(turn):
                way.round(counts=number > 0)
            print(number, *(f"{way.seconds[-1]:.2f}" for way in ways if way.seconds), flush=True)
        ours, peer, floor = (way.seconds for way in ways)
    median = statistics.median
    return [
        at_most("answers, median", "s", median(ours), peer=(FLOOR, median(floor)), goal_ratio=GOAL_FLOOR),
        at_most("answers, median", "s", median(ours), peer=(PEER, median(peer))),
        at_most("answers, p90", "s", percentile(ours, 90), peer=(FLOOR, percentile(floor, 90))),
        at_most("answers, p90", "s", percentile(ours, 90), peer=(PEER, percentile(peer, 90))),
        at_most("answers, fastest", "s", min(ours), peer=(FLOOR, min(floor))),
        at_most("answers, fastest", "s", min(ours), peer=(PEER, min(peer))),
    ]


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with ExitStack() as stack:
        cluster = stack.enter_context(own_cluster(cache_folder() / "containerd"))
        platform = stack.enter_context(running_kubernetes_platform(cluster, watched=False))
        image = platform.site.container("pan-core")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="panhub-bench-")))
        environment = {
            "KUBECONFIG": str(cluster.kubeconfig),
            "BENCH_NAMESPACE": platform.site.namespace,
            "BENCH_IMAGE": image,
            "BENCH_ACCOUNT": SESSION,
            "BENCH_PRIORITY": SESSION,
            "BENCH_PREFIX": PREFIX,
            "BENCH_UID": str(account_table(platform.site.homes)[PERSON]["uid"]),
        }
        hub = stack.enter_context(
            stock_hub(
                folder, spawner="local", config=_CONFIG, environment=environment, host=cluster.host_address
            )
        )
        try:
            httpx.post(f"{hub.api_url}/users/{PERSON}", headers=hub.headers).raise_for_status()
            yield [Ours(platform), KubeSpawner(platform, hub), Floor(platform, hub, image)]
        except Exception:
            print((folder / "hub.log").read_text(errors="replace")[-3000:])
            raise
