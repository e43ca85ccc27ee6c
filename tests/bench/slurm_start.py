"""How long from the request until a session on Slurm answers, and what is that beside doing without us?

Three ways to ``jupyterhub-singleuser`` of one environment, of one person, on one cluster (one CPU, 2 GiB,
nodes idle), in turns:

* ours: a launch by the API, until the session answers through the proxy;
* batchspawner's SlurmSpawner with its defaults, on a plain JupyterHub with the same proxy: a named server
  by the REST API, until it answers through the proxy;
* the floor: ``sbatch`` of the server alone, until it answers on its node. No hub starts it, no proxy is
  before it, nothing keeps data apart.

What is not the same: ours asks for a data view and keeps the books; batchspawner's script has its
defaults ``srun`` and ``--get-user-env``; its questions go by ``setpriv``, which is cheaper than its ``sudo``.
``BENCH_ROUNDS`` sets the number of rounds.
"""

from __future__ import annotations

import os
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx

from hub.demo.configure import HOST, free_ports
from hub.demo.slurm.cluster import SlurmCluster
from hub.settings import SERVICE_PREFIX
from tests.bench.harness import Row, at_most, percentile
from tests.support.bench_slurm_peer import batchspawner_hub
from tests.support.bench_slurm_site import PERSON, BenchSite, bench_platform, bench_site
from tests.support.bench_stock import StockHub
from tests.support.platform import wait_until
from tests.support.slurm_platform import SlurmPlatform

NAME = "slurm-start"

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "8"))
GOAL_FLOOR = 1.1
GOAL_PEER = 0.6
PEER = "batchspawner 1.3, plain JupyterHub"
FLOOR = "bare sbatch"

_LOOK_S = 0.05
"""Until there is a route, each look costs the hub some milliseconds; half of it is in every time."""

_TIMEOUT_S = 120.0


class Way(ABC):
    """One way to a session. ``seconds`` of each round."""

    def __init__(self, cluster: SlurmCluster) -> None:
        self.seconds: list[float] = []
        self._cluster = cluster
        self._client = httpx.Client(timeout=30)

    def round(self, *, counts: bool) -> None:
        """Start a session, end it, and wait until the cluster is as it was."""
        began = time.perf_counter()
        url = self.click()
        wait_until(lambda: self._answers(url), f"{url} does not answer", _TIMEOUT_S)
        if counts:
            self.seconds.append(time.perf_counter() - began)
        self.end()
        self._cluster.cancel_all()
        self._cluster.wait_nodes("idle")

    def _answers(self, url: str) -> bool:
        try:
            return self._client.get(f"{url}api").status_code == 200
        except httpx.HTTPError:
            return False

    @abstractmethod
    def click(self) -> str:
        """Ask for a session; its address."""

    @abstractmethod
    def end(self) -> None:
        """End the session."""


class Ours(Way):
    """A session of the platform, asked for by its API."""

    def __init__(self, platform: SlurmPlatform) -> None:
        super().__init__(platform.cluster)
        self._url = platform.url
        self._visitor = platform.sign_in(PERSON)
        self._headers = {"Authorization": f"token {self._visitor.token}"}
        self._launch_id = ""

    def click(self) -> str:
        """POST the launch."""
        reply = self._client.post(
            f"{self._url}{SERVICE_PREFIX}/api/v1/launches", headers=self._headers, json={"place": "cpu"}
        )
        launch = reply.raise_for_status().json()
        self._launch_id = launch["id"]
        return f"{self._url}/user/{PERSON}/{launch['server_name']}/"

    def end(self) -> None:
        """Stop it."""
        self._visitor.api("DELETE", f"/launches/{self._launch_id}")
        self._visitor.wait_for(self._launch_id, "ended")


class Batchspawner(Way):
    """A named server of a plain JupyterHub, asked for by its REST API."""

    def __init__(self, cluster: SlurmCluster, hub: StockHub) -> None:
        super().__init__(cluster)
        self._hub = hub
        self._servers = httpx.Client(
            base_url=f"{hub.api_url}/users/{PERSON}", headers=hub.headers, timeout=_TIMEOUT_S
        )
        self._thread = ThreadPoolExecutor(1)
        self._starting: Future[httpx.Response] | None = None

    def click(self) -> str:
        """POST the server; the hub answers once it runs, so that is not waited for here."""
        self._starting = self._thread.submit(self._servers.post, "/servers/one")
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
    """``jupyterhub-singleuser`` as a job that the person submits, with what a hub would tell it."""

    def __init__(self, site: BenchSite, hub: StockHub) -> None:
        super().__init__(site.cluster)
        self._hub = hub
        self._script = f"#!/bin/bash\nexec {site.prefix}/bin/jupyterhub-singleuser\n"
        self._path = f"{site.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        reply = httpx.post(f"{hub.api_url}/users/{PERSON}/tokens", headers=hub.headers, json={})
        self._token = reply.raise_for_status().json()["token"]

    def click(self) -> str:
        """Submit it; the port is chosen before."""
        prefix = f"/user/{PERSON}/bare/"
        url = f"http://{HOST}:{free_ports().service}{prefix}"
        done = self._cluster.run(
            "sbatch", "--parsable", "--partition=cpu", "--cpus-per-task=1", "--mem=2048", "--time=120",
            f"--chdir={self._cluster.people.home(PERSON)}", f"--output={self._cluster.output('%j')}",
            user=PERSON,
            input=self._script,
            environment={
                "PATH": self._path,
                "JUPYTERHUB_API_URL": self._hub.api_url,
                "JUPYTERHUB_API_TOKEN": self._token,
                "JUPYTERHUB_USER": PERSON,
                "JUPYTERHUB_SERVER_NAME": "bare",
                "JUPYTERHUB_SERVICE_URL": url,
                "JUPYTERHUB_SERVICE_PREFIX": prefix,
                "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{PERSON}-bare",
                "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
                "JUPYTERHUB_OAUTH_ACCESS_SCOPES": f'["access:servers!user={PERSON}"]',
                "JUPYTERHUB_ACTIVITY_URL": f"{self._hub.api_url}/users/{PERSON}/activity",
            },
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return url

    def end(self) -> None:
        """The job is cancelled after each round anyway."""


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
        at_most("answers, median", "s", median(ours), peer=(PEER, median(peer)), goal_ratio=GOAL_PEER),
        at_most("answers, p90", "s", percentile(ours, 90), peer=(FLOOR, percentile(floor, 90))),
        at_most("answers, p90", "s", percentile(ours, 90), peer=(PEER, percentile(peer, 90))),
        at_most("answers, fastest", "s", min(ours), peer=(FLOOR, min(floor))),
        at_most("answers, fastest", "s", min(ours), peer=(PEER, min(peer))),
    ]


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with ExitStack() as stack:
        site = stack.enter_context(bench_site())
        platform = stack.enter_context(bench_platform(site))
        hub = stack.enter_context(batchspawner_hub(site))
        yield [Ours(platform), Batchspawner(site.cluster, hub), Floor(site, hub)]
