"""End all sessions before a release goes: what the chart's job runs before `helm uninstall` removes anything.

Pods of sessions carry a finalizer that only the engine takes off, once it has settled them. So nobody new
comes in (the hub is scaled to none), sessions are ended and the engine has time to settle them, then it is
scaled to none too, and what is left (placeholders; sessions that it did not settle in time) is removed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

from spawners.kubernetes.naming import COMPONENT_LABEL, MANAGER, MANAGER_LABEL, SESSION

log = logging.getLogger(__name__)

_OURS = f"{MANAGER_LABEL}={MANAGER}"
_SESSIONS = f"{_OURS},{COMPONENT_LABEL}={SESSION}"
_LOOK_S = 1.0
_STOP_S = 90.0
"""How long the engine may take to end; its pod has 45 s."""

_MERGE = "application/merge-patch+json"
_GONE = 404


class Cluster:
    """The calls that are needed, no more than the job's role allows."""

    def __init__(self, api: client.ApiClient) -> None:
        self._core, self._apps = client.CoreV1Api(api), client.AppsV1Api(api)

    async def pods(self, namespace: str, labels: str) -> list[str]:
        """Names of pods with these labels."""
        found = await self._core.list_namespaced_pod(namespace, label_selector=labels)
        return [pod.metadata.name for pod in found.items]

    async def scale_to_none(self, namespace: str, deployment: str) -> None:
        """Let a deployment have no pods."""
        body = {"spec": {"replicas": 0}}
        await _unless_gone(
            self._apps.patch_namespaced_deployment_scale(deployment, namespace, body, _content_type=_MERGE)
        )

    async def delete(self, namespace: str, pod: str) -> None:
        """Ask a pod to end."""
        await _unless_gone(self._core.delete_namespaced_pod(pod, namespace))

    async def release(self, namespace: str, pod: str) -> None:
        """Take the finalizers off a pod."""
        body = {"metadata": {"finalizers": None}}
        await _unless_gone(self._core.patch_namespaced_pod(pod, namespace, body, _content_type=_MERGE))


async def end_sessions(cluster: Cluster, options: argparse.Namespace) -> int:
    """End and settle all sessions; return how many were removed without being settled."""
    ours, theirs = options.namespace, options.sessions_namespace
    await cluster.scale_to_none(ours, options.hub)
    sessions = await cluster.pods(theirs, _SESSIONS)
    log.info("%d sessions are ended", len(sessions))
    for pod in sessions:
        await cluster.delete(theirs, pod)
    await _until_none(cluster, theirs, _SESSIONS, options.patience_s)
    await cluster.scale_to_none(ours, options.service)
    await _until_none(cluster, ours, options.service_labels, _STOP_S)
    # The engine is gone: nobody makes placeholders any more, and nobody settles.
    unsettled = await cluster.pods(theirs, _SESSIONS)
    if unsettled:
        log.warning("%d sessions were not settled in time", len(unsettled))
    for pod in await cluster.pods(theirs, _OURS):
        await cluster.delete(theirs, pod)
        await cluster.release(theirs, pod)
    await _until_none(cluster, theirs, _OURS, _STOP_S)
    return len(unsettled)


async def _until_none(cluster: Cluster, namespace: str, labels: str, patience_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + patience_s
    while asyncio.get_running_loop().time() < deadline:
        if not await cluster.pods(namespace, labels):
            return
        await asyncio.sleep(_LOOK_S)


async def _unless_gone(call: Any) -> None:
    try:
        await call
    except ApiException as error:
        if error.status != _GONE:
            raise


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m hub.chart.uninstall", description=__doc__)
    made.add_argument("--namespace", required=True, help="namespace of the release")
    made.add_argument("--sessions-namespace", required=True)
    made.add_argument("--hub", required=True, help="deployment of the hub")
    made.add_argument("--service", required=True, help="deployment of the service")
    made.add_argument("--service-labels", required=True, help="labels of the service's pod")
    made.add_argument("--patience-s", type=float, required=True, help="time to settle")
    return made


async def _run(options: argparse.Namespace) -> int:
    config.load_incluster_config()
    async with client.ApiClient() as api:
        return await end_sessions(Cluster(api), options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it in a pod of the cluster. Sessions that were not settled are told, not a failure."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_run(parser().parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
