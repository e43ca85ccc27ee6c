"""Watches the pods of a namespace in a process of its own and says what that costs.

``python -m tests.support.bench_kubernetes_watch ours|kubespawner KUBECONFIG NAMESPACE PODS WINDOW_S`` prints
one line of JSON. A *block* is one step of the event loop, in processor time of its thread: what other
processes take of the machine does not count.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from asyncio import events
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

_FIRST_S = 300.0


class Steps:
    """The longest step of the loop since the last `reset`, in ms of processor time and of the clock."""

    def __init__(self) -> None:
        self.reset()
        run = events.Handle._run

        def timed(handle: Any) -> None:
            clock, cpu = time.perf_counter(), time.thread_time()
            run(handle)
            self.cpu_ms = max(self.cpu_ms, 1000 * (time.thread_time() - cpu))
            self.clock_ms = max(self.clock_ms, 1000 * (time.perf_counter() - clock))

        events.Handle._run = timed  # type: ignore[method-assign]

    def reset(self) -> None:
        """Begin anew."""
        self.cpu_ms = self.clock_ms = 0.0


async def ours(kubeconfig: Path, namespace: str) -> Callable[[], int]:
    """Our watcher, events included; returns how many pods it knows."""
    from spawners.kubernetes.cluster import KubernetesCluster
    from spawners.kubernetes.settings import KubernetesClusterSettings

    settings = KubernetesClusterSettings(kubeconfig=kubeconfig, namespace=namespace)
    cluster = KubernetesCluster("bench", settings)
    cluster.start()
    return lambda: len(cluster.watcher.pods.items) if cluster.watcher.pods.is_loaded else 0


async def kubespawner(kubeconfig: Path, namespace: str) -> Callable[[], int]:
    """KubeSpawner's reflector of pods, with its defaults; that of events is left out."""
    from kubernetes_asyncio.config import load_kube_config
    from kubespawner.spawner import PodReflector

    from spawners.kubernetes.naming import MANAGER, MANAGER_LABEL

    await load_kube_config(config_file=str(kubeconfig))
    reflector = PodReflector(namespace=namespace, labels={MANAGER_LABEL: MANAGER})
    await reflector.start()
    return lambda: len(reflector.pods)


async def main(kind: str, kubeconfig: Path, namespace: str, pods: int, window_s: float) -> dict[str, float]:
    """Measure one."""
    for module in ("kubespawner.spawner", "spawners.kubernetes.cluster"):  # for both
        importlib.import_module(module)
    process, steps = psutil.Process(), Steps()
    # As our service does when it starts; JupyterHub does not, but this is not to be its fault.
    gc.collect()
    gc.freeze()
    before = process.memory_info().rss
    began = time.monotonic()
    count = await {"ours": ours, "kubespawner": kubespawner}[kind](kubeconfig, namespace)
    while count() < pods:
        if time.monotonic() - began > _FIRST_S:
            raise TimeoutError(f"{kind} has {count()} of {pods} pods")
        await asyncio.sleep(0.01)
    loaded_s = time.monotonic() - began
    await asyncio.sleep(0)  # so that the step that read them has ended and counts
    first = {"first_ms": steps.cpu_ms, "first_clock_ms": steps.clock_ms, "loaded_s": loaded_s}
    steps.reset()
    cpu = process.cpu_times()
    await asyncio.sleep(window_s)
    used = process.cpu_times()
    window = {"block_ms": steps.cpu_ms, "block_clock_ms": steps.clock_ms}
    gc.collect()
    return {
        **first,
        **window,
        # The system counts in hundredths of a second: less than one is taken for one.
        "cpu_percent": 100 * max(used.user + used.system - cpu.user - cpu.system, 0.01) / window_s,
        "memory_mib": (process.memory_info().rss - before) / 2**20,
    }


if __name__ == "__main__":
    _, what, file, space, number, seconds = sys.argv
    found = asyncio.run(main(what, Path(file), space, int(number), float(seconds)))
    print(json.dumps(found), flush=True)
    os._exit(0)  # what still watches is not waited for
