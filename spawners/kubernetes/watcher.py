"""One watcher per cluster: pods, what is said of them, and nodes where we may see them.

However many sessions there are, the API server is asked once, by one watch for each kind of object.
Readers take what is known (`pods`), or wait for a pod to become as they want it (`until`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from spawners.kubernetes import decode
from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.events import PodEvents
from spawners.kubernetes.mirror import Mirror
from spawners.kubernetes.models import Node, Pod
from spawners.kubernetes.naming import MANAGER, MANAGER_LABEL

_NODES_PAGE = 20
"""Nodes name all images that they have: some 20 kB each."""


def kept(before: Pod, now: Pod) -> Pod:
    """A pod with the start of its container, which a kubelet that lost the container no longer knows."""
    began, container = before.container.started_at, now.container
    if container.state != "terminated" or container.started_at is not None or began is None:
        return now
    return replace(now, container=replace(container, started_at=began))


class ClusterWatcher:
    """What is known of one cluster. ``vanished`` are pods, by uid, that went before they were settled.

    ``released`` are the uids of pods that we let go ourselves.
    """

    def __init__(self, name: str, client: KubernetesClient, *, sees_nodes: bool) -> None:
        self.pods: Mirror[Pod] = Mirror(
            client,
            client.path("pods"),
            decode.pod,
            what=f"Pods of cluster {name}",
            labels=f"{MANAGER_LABEL}={MANAGER}",
            changed=self._changed,
            kept=kept,
        )
        self.events = PodEvents(client, what=f"Events of cluster {name}")
        self.nodes: Mirror[Node] | None = None
        if sees_nodes:
            self.nodes = Mirror(
                client, "/api/v1/nodes", decode.node, what=f"Nodes of cluster {name}", page=_NODES_PAGE
            )
        self.changes = 0
        self.vanished: dict[str, Pod] = {}
        self.released: set[str] = set()
        self._client = client
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._any = asyncio.Event()

    def start(self) -> None:
        """Begin to look; a second call does nothing."""
        for mirror in (self.pods, self.events, self.nodes):
            if mirror is not None:
                mirror.start()

    async def aclose(self) -> None:
        """Stop looking."""
        for mirror in (self.pods, self.events, self.nodes):
            if mirror is not None:
                await mirror.aclose()

    def pod(self, name: str, uid: str) -> Pod | None:
        """A pod as it was last seen; None if none of this identity was."""
        found = self.pods.items.get(name)
        return found if found is not None and found.uid == uid else None

    async def look(self, name: str) -> Pod | None:
        """A pod as it is now; None if there is none.

        Raises
        ------
        KubernetesUnavailableError, KubernetesRefusedError
            If that cannot be told.
        """
        try:
            return self.heard(await self._client.get(self._client.path("pods", name), wait_s=5))
        except KubernetesRefusedError as error:
            if error.status != 404:
                raise
            if (known := self.pods.items.get(name)) is not None:
                self.pods.drop(known)
            return None

    def heard(self, raw: Mapping[str, Any]) -> Pod:
        """A pod as the server has just answered somebody; it goes into the copy.

        Raises
        ------
        KubernetesUnavailableError
            If the answer is none.
        """
        found = decode.pod(raw)
        if not found.uid:
            raise KubernetesUnavailableError("The answer is no pod.")
        self.pods.put(found)
        return found

    async def until(self, name: str, is_so: Callable[[Pod | None], bool], *, timeout_s: float) -> bool:
        """Wait until a pod is as wanted (None: it is not there); whether it was in time."""
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(name, set())
        waiting.add(changed)
        try:
            async with asyncio.timeout(timeout_s):
                while not is_so(self.pods.items.get(name)):
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            return False
        finally:
            waiting.discard(changed)
            if not waiting:
                self._waiting.pop(name, None)
        return True

    async def wait_for_change(self) -> None:
        """The next change of any pod."""
        await self._any.wait()

    def _changed(self, before: Pod | None, now: Pod | None) -> None:
        pod = now or before
        assert pod is not None
        if now is None or now.container.state in ("running", "terminated"):
            self.events.forget(pod.uid)
        if now is None and pod.uid in self.released:
            self.released.discard(pod.uid)
        elif now is None and pod.launch_id:
            self.vanished[pod.uid] = pod
        self.changes += 1
        for event in self._waiting.get(pod.name, ()):
            event.set()
        done, self._any = self._any, asyncio.Event()
        done.set()
