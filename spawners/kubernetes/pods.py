"""The steps of a pod's life that we take: made, armed with its secret, ended, let go.

A pod is made with a scheduling gate and nothing secret. Its secret follows, owned by it, so that both
go together; then the gate is opened. What is cut off in between therefore never runs, and holds no room.
Every step may be repeated: names come from the launch id, and each change names the pod's uid.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.handles import Link
from spawners.kubernetes.models import Pod
from spawners.kubernetes.naming import FINALIZER, GATE, GIVEN_UP
from spawners.kubernetes.objects import owned_by
from spawners.kubernetes.watcher import ClusterWatcher

log = logging.getLogger(__name__)

_HAND_OVER_S = 45.0
"""How long the engine tries to hand a pod its secret, which only it has, before it gives up."""

_LOG_BYTES = 1024 * 1024
"""Of a log's last lines the server sends the first bytes: enough for one that a progress bar has filled."""

_GONE = (404, 409)
"""Answers to a change of a pod that is not there, or whose name is another's by now (its uid differs)."""


class TakenError(Exception):
    """The name of a pod is another's."""


class Pods:
    """Changes of the pods of one cluster; every answer goes into the watcher's copy."""

    def __init__(self, client: KubernetesClient, watcher: ClusterWatcher) -> None:
        self._client = client
        self._watcher = watcher

    async def make(self, pod: Mapping[str, Any], launch_id: str) -> Pod:
        """Make a pod, or take over the one that a start of the same launch has made before.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            As the server says.
        TakenError
            If another launch's pod has the name.
        """
        gated = {**pod, "spec": {**pod["spec"], "schedulingGates": [{"name": GATE}]}}
        name = str(pod["metadata"]["name"])
        try:
            return self._watcher.heard(await self._client.create(self._client.path("pods"), gated))
        except KubernetesRefusedError as error:
            if error.status != 409:
                raise
            found = await self._watcher.look(name)
            if found is None:
                raise KubernetesUnavailableError(f"Pod {name} was there and is not.") from error
            if found.launch_id != launch_id:
                raise TakenError(name) from error
            return found

    async def arm(self, pod: Pod, secret: Mapping[str, Any]) -> None:
        """Give a pod its secret and let it be scheduled.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            As the server says; the pod still waits then.
        """
        try:
            owned = owned_by(secret, pod.uid)
            await self._client.create(self._client.path("secrets"), owned, wait_s=_HAND_OVER_S)
        except KubernetesRefusedError as error:
            if error.status != 409:  # made before the answer was lost, by the same launch: so it is the same
                raise
        opened = await self._client.patch(
            self._client.path("pods", pod.name),
            {
                "metadata": {"uid": pod.uid},
                "spec": {"schedulingGates": [{"name": GATE, "$patch": "delete"}]},
            },
            wait_s=_HAND_OVER_S,
        )
        self._watcher.heard(opened)

    async def delete(self, link: Link, *, grace_s: int | None = None) -> None:
        """Ask for a pod's end. One that is not there is no error.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            As the server says.
        """
        options: dict[str, Any] = {"preconditions": {"uid": link.uid}}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        try:
            said = await self._client.delete(self._client.path("pods", link.name), options)
        except KubernetesRefusedError as error:
            if error.status not in _GONE:
                raise
            await self._watcher.look(link.name)
            return
        if said.get("kind") == "Pod":
            self._watcher.heard(said)

    async def give_up(self, pod: Pod, reason: str) -> None:
        """End a pod that will never start, and write down why where the next engine finds it.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            As the server says.
        """
        change = {"metadata": {"uid": pod.uid, "annotations": {GIVEN_UP: reason[:1000]}}}
        await self._change(pod.name, change)
        await self.delete(Link(pod.name, pod.uid))

    async def let_go(self, link: Link) -> None:
        """Remove the object of a pod that was settled.

        The finalizer goes last: until then whoever repeats this after a crash finds the pod by it.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            As the server says.
        """
        self._watcher.released.add(link.uid)
        await self.delete(link)
        ours = {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}
        await self._change(link.name, {"metadata": {"uid": link.uid, **ours}})
        self._watcher.vanished.pop(link.uid, None)

    async def _change(self, name: str, change: Mapping[str, Any]) -> None:
        try:
            changed = await self._client.patch(self._client.path("pods", name), dict(change))
        except KubernetesRefusedError as error:
            if error.status not in _GONE:
                raise
            await self._watcher.look(name)
            return
        self._watcher.heard(changed)

    async def log_tail(self, name: str, lines: int, most: int = _LOG_BYTES) -> list[str]:
        """Last lines of a pod's log; none where its node does not have it (any more)."""
        try:
            query = {"tailLines": lines, "limitBytes": most}
            found = await self._client.text(self._client.path("pods", name, "log"), query, most=most)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            log.debug("The log of pod %s cannot be read: %s", name, error)
            return []
        return [line[:1000] for line in found.splitlines()[-lines:]]
