"""What becomes of a session's pod, as the API server tells: its last word is kept when it is gone.

For who compares a charge with the pod's own times: the engine lets go of a pod once it is settled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from hub.demo.kubernetes.kubeconfig import read_kubeconfig
from spawners.kubernetes.naming import CONTAINER, LAUNCH_LABEL


@dataclass(frozen=True, slots=True)
class PodRecord:
    """The last that was said of a pod: ``elapsed`` whole seconds of its container, ``cpus``, ``gpus``."""

    pod: Mapping[str, Any]

    @property
    def elapsed(self) -> int | None:
        """From the container's start to its end; None if it did not run to an end."""
        for status in self.pod["status"].get("containerStatuses", ()):
            ended = status.get("state", {}).get("terminated")
            if status["name"] == CONTAINER and ended and ended.get("startedAt"):
                return round(_seconds(ended["finishedAt"]) - _seconds(ended["startedAt"]))
        return None

    @property
    def limits(self) -> dict[str, str]:
        """Limits of the container, as quantities."""
        (container,) = self.pod["spec"]["containers"]
        found: dict[str, str] = container["resources"]["limits"]
        return found


class PodFollower:
    """Follows pods of one namespace, by the administrator's kubeconfig."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._kubeconfig = kubeconfig
        self._tasks: dict[str, asyncio.Task[PodRecord]] = {}

    def follow(self, launch_id: str) -> None:
        """Begin to follow a launch's pod; it must be there."""
        self._tasks[launch_id] = asyncio.create_task(self._follow(launch_id), name=f"follow {launch_id}")

    async def last(self, launch_id: str, timeout_s: float = 60.0) -> PodRecord:
        """The last that was said of the pod, once it is gone.

        Raises
        ------
        TimeoutError
            If it stays.
        """
        return await asyncio.wait_for(self._tasks.pop(launch_id), timeout_s)

    async def _follow(self, launch_id: str) -> PodRecord:
        query = {"labelSelector": f"{LAUNCH_LABEL}={launch_id}", "watch": "1"}
        client = await asyncio.to_thread(_client, self._kubeconfig)
        async with client, client.stream("GET", self._path, params=query) as reply:
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                event = json.loads(line)
                if event["type"] == "DELETED":
                    return PodRecord(event["object"])
        raise ConnectionError("the API server ended the watch")


def _client(kubeconfig: Path) -> httpx.AsyncClient:
    access = read_kubeconfig(kubeconfig)
    return httpx.AsyncClient(
        base_url=access.server,
        headers=access.headers,
        verify=access.tls(),
        timeout=httpx.Timeout(30.0, read=None),
        trust_env=False,
    )


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
