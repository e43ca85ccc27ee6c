"""What does it cost an event loop to know the state of thousands of pods, beside KubeSpawner's reflector?

A real API server with etcd holds 500, 2,000 and 5,000 pods, made by our own code and said to run by kwok.
Once ours, then KubeSpawner 7.1's reflector looks at them, each in a fresh process: how long the longest step
of the loop is while all are listed for the first time, and then in a window in which nothing much changes;
how much of a processor that takes; how much memory. KubeSpawner lists all pods anew whenever its watch
ends, by default after 10 s; ours goes on where it was.

A step is counted in processor time of the loop's thread, so a busy machine is no fault of either. What was
imported is out of reach of the garbage collector for both, as it is in our service. Ours watches events too,
KubeSpawner's reflector of events is left out. The API server, the pods and Python are the same for both.

``BENCH_PODS`` (500,2000,5000) and ``BENCH_WINDOW_S`` (30) make it smaller.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hub.demo.kubernetes.cluster import Cluster, running_cluster
from spawners.kubernetes.client import KubernetesClient
from spawners.kubernetes.objects import session_objects
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.plan import Account, LaunchId
from tests.bench.harness import Row, at_most
from tests.support.kubernetes_plans import CREDENTIALS, a_plan

NAME = "kubernetes-loop"

PODS = [int(count) for count in os.environ.get("BENCH_PODS", "500,2000,5000").split(",")]
WINDOW_S = float(os.environ.get("BENCH_WINDOW_S", "30"))
PEER = "kubespawner 7.1"
GOAL_MS = 50.0

_NODES = 3
_AT_ONCE = 24
_FILL_S = 900.0
_ROOT = Path(__file__).parents[2]


def run() -> list[Row]:
    """All measures."""
    folder = Path(tempfile.mkdtemp(prefix="panhub-bench-"))
    rows: list[Row] = []
    try:
        with running_cluster(folder, wait_s=1800.0) as cluster:
            nodes = cluster.add_nodes(_NODES)
            settings = _settings(cluster)
            cluster.api.apply(
                f"/api/v1/namespaces/{settings.namespace}", {"apiVersion": "v1", "kind": "Namespace"}
            )
            account = {"apiVersion": "v1", "kind": "ServiceAccount"}
            path = f"/api/v1/namespaces/{settings.namespace}/serviceaccounts/{settings.service_account}"
            cluster.api.apply(path, account)
            there = 0
            for count in PODS:
                asyncio.run(_fill(settings, nodes, count - there))
                there = count
                rows += _measured(cluster, settings.namespace, count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def _settings(cluster: Cluster) -> KubernetesClusterSettings:
    fake = "kwok.x-k8s.io/node"
    return KubernetesClusterSettings.model_validate(
        {
            "kubeconfig": cluster.kubeconfig,
            "namespace": "bench",
            "storage": [{"path": "/storage", "source": {"kind": "claim", "claim": "site"}}],
            "pools": {
                "default": {
                    "node_selector": {fake: "fake"},
                    "tolerations": [{"key": fake, "value": "fake", "effect": "NoSchedule"}],
                }
            },
        }
    )


async def _fill(settings: KubernetesClusterSettings, nodes: Sequence[str], count: int) -> None:
    """Make pods, and wait until all run. No scheduler has to look at them."""
    client = KubernetesClient(settings)
    gate = asyncio.Semaphore(_AT_ONCE)
    account = Account("alice", 1234, 1235, PurePosixPath("/storage/home/alice"), (3001, 3002))

    async def make(number: int) -> None:
        plan = a_plan(launch_id=LaunchId(secrets.token_hex(8)), account=account)
        pod = session_objects(plan, CREDENTIALS, settings, "default").pod
        pod["spec"]["nodeName"] = nodes[number % len(nodes)]
        async with gate:
            await client.create(client.path("pods"), pod, wait_s=60)

    try:
        await asyncio.gather(*map(make, range(count)))
        until = time.monotonic() + _FILL_S
        query = {"fieldSelector": "status.phase!=Running", "limit": 1}
        while (await client.get(client.path("pods"), query)).get("items"):
            if time.monotonic() > until:
                raise TimeoutError("kwok did not let all pods run")
            await asyncio.sleep(1)
    finally:
        await client.aclose()


def _measured(cluster: Cluster, namespace: str, count: int) -> list[Row]:
    ours, theirs = (_watch(kind, cluster, namespace, count) for kind in ("ours", "kubespawner"))
    goal = GOAL_MS

    def row(measure: str, unit: str, key: str, goal: float | None = None) -> Row:
        return at_most(f"{count:,} pods: {measure}", unit, ours[key], goal=goal, peer=(PEER, theirs[key]))

    return [
        row("longest step, first list", "ms", "first_ms", goal),
        row("longest step, afterwards", "ms", "block_ms", goal),
        row("all known after", "s", "loaded_s"),
        row("processor, afterwards", "%", "cpu_percent"),
        row("memory", "MiB", "memory_mib"),
    ]


def _watch(kind: str, cluster: Cluster, namespace: str, count: int) -> dict[str, float]:
    argv = [sys.executable, "-m", "tests.support.bench_kubernetes_watch"]
    done = subprocess.run(
        [*argv, kind, str(cluster.kubeconfig), namespace, str(count), str(WINDOW_S)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        timeout=600 + WINDOW_S,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{count:,} pods, {kind}: {found}", flush=True)
    return found
