"""Where does a session run? In a pool of a Kubernetes cluster, as a pod.

One `KubernetesBackend` stands for one place. All places of a cluster answer from its one watcher
(`spawners.kubernetes.watcher`), so asking about a thousand sessions costs the API server nothing. The
handle of a session is the identity of its pod, whose label is the launch id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from spawners.backend import (
    Ask,
    Availability,
    BackendError,
    BackendUnavailableError,
    Forecast,
    Handle,
    InnerJob,
    PlaceOffer,
    Started,
    Status,
    SubmitError,
    Usage,
    View,
)
from spawners.kubernetes.client import KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.handles import Link, handle_of
from spawners.kubernetes.looks import utcnow
from spawners.kubernetes.models import Pod
from spawners.kubernetes.objects import GRACE_S, label_value, session_objects
from spawners.kubernetes.outlook import Outlook
from spawners.kubernetes.pods import TakenError
from spawners.kubernetes.refusals import refusal
from spawners.kubernetes.states import ELSEWHERE, SILENT, is_gone, is_half_made
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan

if TYPE_CHECKING:
    from spawners.kubernetes.cluster import KubernetesCluster

log = logging.getLogger(__name__)

_FIRST_LOOK_S = 10.0
_STOP_S = GRACE_S + 45.0
"""A pod has its grace; then the kubelet reports its end, which takes some seconds on a busy node."""

_STEP_S = 5.0
"""Between two looks of a stop at what no watch tells: that time has passed, that a node was removed."""


class KubernetesBackend:
    """Sessions in one pool; implements `spawners.backend.Backend`."""

    def __init__(self, cluster: KubernetesCluster, pool: str) -> None:
        self.pool = pool
        self._cluster = cluster
        self._watcher = cluster.watcher
        self._pods = cluster.pods
        self._looks = cluster.looks
        self._outlook = Outlook(cluster, pool)

    # --- start --------------------------------------------------------------------------------

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Make the session's pod, then its secret; see `Backend.start`."""
        objects = session_objects(plan, credentials, self._cluster.settings, self.pool)
        name = str(objects.pod["metadata"]["name"])
        self._looks.starting.add(name)
        try:
            pod = await self._make(objects.pod, plan.launch_id)
            namespace = self._cluster.settings.namespace
            yield Started(
                handle_of(pod, self._cluster.name, namespace),
                f"Handed to Kubernetes as pod {name} in namespace {namespace}.",
            )
            if pod.is_gated and pod.deleted_at is None:
                await self._arm(pod, objects.secret)
        finally:
            self._looks.starting.discard(name)

    async def _make(self, pod: Mapping[str, object], launch_id: LaunchId) -> Pod:
        try:
            return await self._pods.make(pod, launch_id)
        except KubernetesRefusedError as error:
            raise SubmitError(refusal(error)) from error
        except TakenError as error:
            raise SubmitError(f"The cluster has another pod of the name {error}.") from error
        except KubernetesUnavailableError as error:
            raise BackendUnavailableError(f"The cluster does not answer: {error}") from error

    async def _arm(self, pod: Pod, secret: Mapping[str, object]) -> None:
        try:
            await self._pods.arm(pod, secret)
        except KubernetesRefusedError as error:
            text = refusal(error)
            await self._undo(pod, text)
            raise SubmitError(text) from error
        except KubernetesUnavailableError as error:
            raise BackendUnavailableError(f"The cluster does not answer: {error}") from error

    async def _undo(self, pod: Pod, reason: str) -> None:
        """Remove a pod that got no secret; what stays is found as an orphan."""
        try:
            await self._pods.give_up(pod, reason)
            await self._pods.let_go(Link(pod.name, pod.uid))
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            log.warning("Pod %s, which got no secret, is not removed yet: %s", pod.name, error)

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """Files are at their targets, the home at ``/home/<name>``; see `Backend.view`."""
        return View(PurePosixPath("/"), PurePosixPath("/home") / account.name)

    # --- questions ----------------------------------------------------------------------------

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """State of all given sessions by the last that was heard; see `Backend.status`."""
        try:
            await self._watcher.pods.loaded(_FIRST_LOOK_S)
            return await self._looks.statuses(handles)
        except Exception:
            log.exception("The state of sessions on %s cannot be told", self._cluster.name)
            return dict.fromkeys(handles, SILENT)

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """Status by asking the server now; see `Backend.locate`."""
        link = self._looks.link(handle)
        return ELSEWHERE if link is None else await self._looks.status_now(link)

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Every session of ours in this pool, those that ended and were not settled too; see `Backend.find`.

        One that is only half handed over is not there before it counts as cut off: a start that is
        repeated meanwhile takes it over.
        """
        await self._ready()
        now, pool = utcnow(), label_value(self.pool)
        return {
            LaunchId(pod.launch_id): handle_of(pod, self._cluster.name, self._cluster.settings.namespace)
            for pod in self._watcher.pods.items.values()
            if pod.launch_id and pod.pool == pool and pod.has_finalizer and not is_half_made(pod, now)
        }

    async def find_ended(self, missing: Mapping[LaunchId, str]) -> Mapping[LaunchId, Handle]:
        """None beside those of `find`: an ended session is kept until it is settled."""
        return {}

    async def _ready(self) -> None:
        if not await self._watcher.pods.loaded(_FIRST_LOOK_S) or self._watcher.pods.is_stale:
            raise BackendUnavailableError(f"The cluster does not answer: {self._watcher.pods.error}")

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """What an ended session used, by its pod; see `Backend.usage`."""
        link = self._looks.link(handle)
        return None if link is None else await self._looks.usage(link)

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """Last lines of its log, as long as its node has them; see `Backend.log_tail`."""
        link = self._looks.link(handle)
        return () if link is None else await self._pods.log_tail(link.name, lines)

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """None: there is nothing to submit to."""
        return {}

    # --- what could be started ----------------------------------------------------------------

    async def availability(self) -> Availability:
        """What is free now. Never raises."""
        return await self._outlook.availability()

    async def offer(self, account: Account) -> PlaceOffer:
        """What a session may have here at most; see `Backend.offer`."""
        return await self._outlook.offer()

    async def forecast(self, ask: Ask) -> Forecast:
        """When such a session would start. Never raises."""
        return await self._outlook.forecast(ask)

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse a plan that the cluster cannot run; see `Backend.admit`."""
        await self._outlook.admit(plan)

    # --- changes ------------------------------------------------------------------------------

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """Delete the session's pod and return when it has ended; see `Backend.stop`."""
        link = self._looks.link(handle)
        if link is None:
            raise BackendUnavailableError(ELSEWHERE.reason)
        try:
            pod = self._watcher.pod(link.name, link.uid) or await self._watcher.look(link.name)
            if pod is None or pod.uid != link.uid or is_gone(pod, utcnow()):
                return
            self._looks.stopped.add(link.uid)
            await self._pods.delete(link)
            await self._wait_for_end(link)
        except KubernetesRefusedError as error:
            raise BackendUnavailableError(f"The cluster does not end the session: {error}") from error
        except KubernetesUnavailableError as error:
            raise BackendUnavailableError(f"The cluster does not answer: {error}") from error

    async def _wait_for_end(self, link: Link) -> None:
        until, is_forced = time.monotonic() + _STOP_S, False
        while time.monotonic() < until:
            if await self._watcher.until(link.name, lambda pod: _has_ended(pod, link), timeout_s=_STEP_S):
                return
            pod = await self._watcher.look(link.name)
            if pod is not None and not is_forced and self._looks.is_node_removed(pod):
                # Nobody is left who could end it.
                is_forced = True
                await self._pods.delete(link, grace_s=0)
        raise BackendUnavailableError("The pod does not end; trying again later.")

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Nothing to tell the cluster: the engine ends the session, and its pod asks the engine until when.

        Raises
        ------
        BackendError
            If the session has ended.
        """
        link = self._looks.link(handle)
        if link is None:
            raise BackendUnavailableError(ELSEWHERE.reason)
        pod = self._watcher.pod(link.name, link.uid)
        if pod is not None and is_gone(pod, utcnow()):
            raise BackendError("The session has ended.")

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Let the pod of a settled session go; what the server does not take now is found as an orphan."""
        link = self._looks.link(handle)
        if link is None:
            return
        try:
            await self._pods.let_go(link)
        except (KubernetesRefusedError, KubernetesUnavailableError) as error:
            log.warning("Pod %s is settled and not removed yet: %s", link.name, error)
            return
        self._looks.forget(link)

    async def aclose(self) -> None:
        """Stop looking at the cluster; its other places go down with it, sessions go on."""
        await asyncio.shield(self._cluster.aclose())


def _has_ended(pod: Pod | None, link: Link) -> bool:
    return pod is None or pod.uid != link.uid or is_gone(pod, utcnow())
