"""What components of the cluster say of our pods while they start: only the last word of each kind is kept.

Kubernetes keeps events for an hour and gives no promise that there are any: they make words for
people, and nothing depends on them. So none from before we looked are read, and who waits longest is
forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from spawners.kubernetes import decode
from spawners.kubernetes.client import KubernetesClient
from spawners.kubernetes.mirror import Mirror
from spawners.kubernetes.models import PodEvent

_PODS_MOST = 10_000
_KEPT = frozenset(
    {
        "FailedScheduling",
        "NotTriggerScaleUp",
        "TriggeredScaleUp",
        "Pulling",
        "Pulled",
        "FailedMount",
        "FailedAttachVolume",
        "FailedCreatePodSandBox",
    }
)
"""Reasons that say why a pod does not run yet (kubelet, scheduler, cluster autoscaler)."""


class PodEvents(Mirror[PodEvent]):
    """Last event of each kind by pod."""

    def __init__(self, client: KubernetesClient, *, what: str) -> None:
        super().__init__(
            client, client.path("events"), decode.event, what=what, fields="involvedObject.kind=Pod"
        )
        self._by_pod: OrderedDict[str, dict[str, PodEvent]] = OrderedDict()

    def of(self, pod_uid: str) -> Mapping[str, PodEvent]:
        """Events of a pod by reason."""
        return self._by_pod.get(pod_uid, {})

    def forget(self, pod_uid: str) -> None:
        """A pod runs, or has gone."""
        self._by_pod.pop(pod_uid, None)

    async def _list(self) -> None:
        page = await self._get({**self._selector, "limit": 1})
        self._version = str(page["metadata"]["resourceVersion"])
        self._hear()
        self._loaded.set()

    def _take(self, item: PodEvent) -> None:
        if item.reason not in _KEPT or not item.pod_uid:
            return
        known = self._by_pod.setdefault(item.pod_uid, {})
        self._by_pod.move_to_end(item.pod_uid)
        known[item.reason] = item
        while len(self._by_pod) > _PODS_MOST:
            self._by_pod.popitem(last=False)

    def _remove(self, item: PodEvent) -> None:
        """That the server forgets one changes nothing."""
