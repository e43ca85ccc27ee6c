"""One Kubernetes cluster: its client, its watcher, its warm pool, and a backend for each place."""

from __future__ import annotations

from collections.abc import Mapping

from spawners.backend import Backend
from spawners.kubernetes.backend import KubernetesBackend
from spawners.kubernetes.client import KubernetesClient
from spawners.kubernetes.looks import Looks
from spawners.kubernetes.pods import Pods
from spawners.kubernetes.quotas import Quotas
from spawners.kubernetes.settings import KubernetesClusterSettings, KubernetesSettings
from spawners.kubernetes.warm import WarmKeeper
from spawners.kubernetes.watcher import ClusterWatcher
from spawners.ownthreads import OwnThreads


class KubernetesCluster:
    """All that an engine holds of one cluster."""

    def __init__(self, name: str, settings: KubernetesClusterSettings) -> None:
        self.name = name
        self.settings = settings
        self.client = KubernetesClient(settings)
        self.watcher = ClusterWatcher(name, self.client, sees_nodes=settings.sees_nodes)
        self.pods = Pods(self.client, self.watcher)
        self.looks = Looks(name, settings, self.watcher, self.pods)
        self.storage_threads = OwnThreads("storage")
        self.quotas = Quotas(
            self.client,
            priority_class=settings.priority_class,
            what=f"ResourceQuotas of cluster {name}",
        )
        self._warm = WarmKeeper(name, settings, self.client, self.watcher, self.pods)
        self._is_closed = False

    def backend(self, pool: str) -> KubernetesBackend:
        """The backend of one place."""
        return KubernetesBackend(self, pool)

    def start(self) -> None:
        """Begin to look, and to keep room for the next sessions."""
        self.watcher.start()
        self._warm.start()

    async def aclose(self) -> None:
        """Stop looking and release connections; sessions go on. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._warm.aclose()
        await self.looks.aclose()
        await self.watcher.aclose()
        await self.client.aclose()


def kubernetes_backends(
    settings: KubernetesSettings, places: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, KubernetesCluster], dict[str, Backend]]:
    """Clusters by name, and backends by place. ``places`` are cluster and pool by place.

    Raises
    ------
    KeyError
        If a place names a cluster that the settings do not have.
    """
    used = {cluster for cluster, _ in places.values()}
    clusters = {name: KubernetesCluster(name, settings.clusters[name]) for name in sorted(used)}
    backends: dict[str, Backend] = {
        place: clusters[cluster].backend(pool) for place, (cluster, pool) in places.items()
    }
    return clusters, backends
