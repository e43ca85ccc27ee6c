"""Keeps room for the next sessions: placeholder pods, which give way to a session at once.

A placeholder has a lower priority than sessions, so the scheduler removes it where a session needs its
room, and the keeper makes another, which waits until there is room again. Names are numbers, so two
keepers make no more of them than one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.handles import Link
from spawners.kubernetes.models import Pod
from spawners.kubernetes.naming import PLACE_LABEL, SPEC
from spawners.kubernetes.objects import label_value, placeholder_pod
from spawners.kubernetes.outage import Outage
from spawners.kubernetes.pods import Pods
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.kubernetes.watcher import ClusterWatcher

log = logging.getLogger(__name__)

_ROUND_S = 30.0
_OVER = ("Failed", "Succeeded")
"""Phases of one that its node put out, or did not take: it keeps no room, and never runs again."""

_CALM_S = 1.0
"""Between a change of pods and the next round, so that many changes make for one."""


class WarmKeeper:
    """Keeps the placeholders of one cluster's pools."""

    def __init__(
        self,
        name: str,
        settings: KubernetesClusterSettings,
        client: KubernetesClient,
        watcher: ClusterWatcher,
        pods: Pods,
    ) -> None:
        self._settings = settings
        self._client = client
        self._watcher = watcher
        self._pods = pods
        self._outage = Outage(f"Placeholders of cluster {name}")
        self._wanted: Mapping[str, dict[str, Any]] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep them; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="warm-keeper")

    async def aclose(self) -> None:
        """Leave them as they are."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._round()
                self._outage.answered()
            except Exception as error:  # a fault of ours must not end the keeper
                self._outage.failed(error)
                await asyncio.sleep(_ROUND_S / 2)
            await self._pause()

    async def _pause(self) -> None:
        """Until a placeholder has gone or come, or half a minute."""
        before = self._placeholders().keys()
        try:
            async with asyncio.timeout(_ROUND_S):
                while self._placeholders().keys() == before:
                    await self._watcher.wait_for_change()
                    await asyncio.sleep(_CALM_S)
        except TimeoutError:
            return

    def _placeholders(self) -> Mapping[str, Pod]:
        return {name: pod for name, pod in self._watcher.pods.items.items() if pod.is_placeholder}

    async def _round(self) -> None:
        if not await self._watcher.pods.loaded(_ROUND_S) or self._watcher.pods.is_stale:
            return
        if self._wanted is None:  # once, and not on the loop: hundreds take it for long
            self._wanted = await asyncio.to_thread(wanted_placeholders, self._settings)
        there, wanted = self._placeholders(), self._wanted
        for name, pod in there.items():
            is_current = name in wanted and pod.spec == _spec(wanted[name]) and pod.phase not in _OVER
            if pod.deleted_at is None and not is_current:
                await self._pods.delete(Link(name, pod.uid), grace_s=0)
        refused: dict[str, KubernetesRefusedError] = {}
        for name, body in wanted.items():
            pool = str(body["metadata"]["labels"][PLACE_LABEL])
            if name in there or pool in refused:
                continue
            try:
                await self._make(body)
            except KubernetesRefusedError as error:  # what one pool may not is no matter of another's
                refused[pool] = error
        if refused:
            raise next(iter(refused.values()))

    async def _make(self, body: Mapping[str, Any]) -> None:
        try:
            await self._client.create(self._client.path("pods"), dict(body))
        except KubernetesRefusedError as error:
            if error.status == 409:
                return
            raise
        except KubernetesUnavailableError:
            return  # the next round looks


def wanted_placeholders(settings: KubernetesClusterSettings) -> dict[str, dict[str, Any]]:
    """Placeholders that there should be, by name. Pure."""
    found = {}
    for pool, each in settings.pools.items():
        for number in range(each.warm.pods):
            name = _name(pool, number)
            body = placeholder_pod(settings, pool, name)
            mark = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
            body["metadata"].setdefault("annotations", {})[SPEC] = mark
            found[name] = body
    return found


def _name(pool: str, number: int) -> str:
    """Name of a pool's placeholder: that of the pool may have what a name may not."""
    slug = "".join(each if each.isalnum() else "-" for each in label_value(pool).lower()).strip("-")[:40]
    digest = hashlib.sha256(pool.encode()).hexdigest()[:6]
    return f"warm-{slug}-{digest}-{number}" if slug != pool else f"warm-{slug}-{number}"


def _spec(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["annotations"][SPEC])
