"""The state of sessions, from the watcher's copy; what it does not have is asked for one by one.

A pod of ours cannot go before it is settled: its finalizer holds it. If one is not there all the same
(somebody took the finalizer off, the cluster was restored from an old backup), the server itself is asked,
and only its word that there is none makes the session gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from spawners.backend import EndCause, Handle, State, Status, Usage
from spawners.kubernetes.client import KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.handles import Link, link_of
from spawners.kubernetes.models import Pod
from spawners.kubernetes.pods import Pods
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.kubernetes.settlement import settle
from spawners.kubernetes.states import ELSEWHERE, SILENT, VANISHED, is_gone, judge
from spawners.kubernetes.watcher import ClusterWatcher
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

_LOOKS_MOST = 20
"""Pods asked for one by one in one round; the others wait for the next."""


def utcnow() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


class Looks:
    """What is known of the sessions of one cluster.

    ``starting`` are pods that this process hands over right now, ``stopped`` the uids of those it ended.
    """

    def __init__(
        self, name: str, settings: KubernetesClusterSettings, watcher: ClusterWatcher, pods: Pods
    ) -> None:
        self.starting: set[str] = set()
        self.stopped: set[str] = set()
        self._name = name
        self._namespace = settings.namespace
        self._patience = timedelta(seconds=settings.pull_patience_s)
        self._watcher = watcher
        self._pods = pods
        self._absent: set[str] = set()
        self._ending: dict[str, asyncio.Task[None]] = {}

    def link(self, handle: Handle) -> Link | None:
        """Read a handle; None if it is not one of this cluster's namespace."""
        return link_of(handle, self._name, self._namespace)

    async def statuses(self, handles: Mapping[LaunchId, Handle]) -> dict[LaunchId, Status]:
        """State of all given sessions."""
        links = {launch_id: self.link(handle) for launch_id, handle in handles.items()}
        found: dict[LaunchId, Status] = {}
        missing: dict[LaunchId, Link] = {}
        now = utcnow()
        for launch_id, link in links.items():
            if link is None:
                found[launch_id] = ELSEWHERE
            elif (status := self._known(link, now)) is not None:
                found[launch_id] = status
            else:
                missing[launch_id] = link
        asked = dict(list(missing.items())[:_LOOKS_MOST])
        found |= dict.fromkeys(missing, SILENT)
        found |= zip(asked, await asyncio.gather(*map(self.status_now, asked.values())), strict=True)
        return found

    def _known(self, link: Link, now: datetime) -> Status | None:
        """Status by the copy; None if the server is to be asked."""
        pod = self._watcher.pod(link.name, link.uid)
        if pod is not None and is_gone(pod, now):
            return self._judged(pod, now)  # what is over stays so, whoever does not answer
        if link.uid in self._absent:
            return VANISHED
        if self._watcher.pods.is_stale:
            return SILENT
        return self._judged(pod, now) if pod is not None else None

    async def status_now(self, link: Link) -> Status:
        """Status by asking the server."""
        try:
            pod = await self._watcher.look(link.name)
        except (KubernetesRefusedError, KubernetesUnavailableError):
            return SILENT
        if pod is None or pod.uid != link.uid:
            self._absent.add(link.uid)
            return VANISHED
        return self._judged(pod, utcnow())

    def _judged(self, pod: Pod, now: datetime) -> Status:
        said = judge(
            pod,
            self._watcher.events.of(pod.uid),
            now,
            pull_patience=self._patience,
            is_node_ready=self._is_node_ready(pod.node),
            is_starting=pod.name in self.starting,
        )
        if said.hopeless:
            self._end(pod, said.hopeless)
        return said.status

    def _is_node_ready(self, name: str) -> bool | None:
        nodes = self._watcher.nodes
        if nodes is None or nodes.is_stale or not name:
            return None
        node = nodes.items.get(name)
        return node is not None and node.is_ready

    def is_node_removed(self, pod: Pod) -> bool:
        """Whether the cluster has no such node any more, as far as we may know."""
        nodes = self._watcher.nodes
        return nodes is not None and not nodes.is_stale and bool(pod.node) and pod.node not in nodes.items

    def _end(self, pod: Pod, reason: str) -> None:
        """End a pod that never will start, in the background."""
        if pod.uid in self._ending:
            return
        log.info("Pod %s will never start and is ended: %s", pod.name, reason)
        task = asyncio.create_task(self._end_or_log(pod, reason), name=f"give-up-{pod.name}")
        self._ending[pod.uid] = task
        task.add_done_callback(lambda _: self._ending.pop(pod.uid, None))

    async def _end_or_log(self, pod: Pod, reason: str) -> None:
        try:
            await self._pods.give_up(pod, reason)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            log.warning("Pod %s is not ended yet: %s", pod.name, error)

    async def usage(self, link: Link) -> Usage | None:
        """What a session that is gone has used; None while that is not known."""
        now = utcnow()
        was_stopped = link.uid in self.stopped
        pod = self._watcher.pod(link.name, link.uid)
        if pod is None and link.uid not in self._absent:
            if (await self.status_now(link)).state is not State.GONE:
                return None
            pod = self._watcher.pod(link.name, link.uid)
        if pod is not None:
            return settle(pod, now, was_stopped=was_stopped) if is_gone(pod, now) else None
        if (last := self._watcher.vanished.get(link.uid)) is not None:
            return settle(last, now, was_stopped=was_stopped)
        log.warning("Of pod %s nothing is known any more: it is settled as having used nothing", link.name)
        return Usage(now, now, 0, 0, 0, 0, EndCause.LOST, detail=VANISHED.reason)

    def forget(self, link: Link) -> None:
        """Remember nothing of a session."""
        self.stopped.discard(link.uid)
        self._absent.discard(link.uid)
        self._watcher.vanished.pop(link.uid, None)

    async def aclose(self) -> None:
        """Leave what is under way; the next life does it again."""
        tasks = list(self._ending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
