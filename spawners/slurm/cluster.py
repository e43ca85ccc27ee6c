"""One Slurm cluster: its transport, its watcher, what is remembered, and a backend for each partition."""

from __future__ import annotations

from collections.abc import Mapping

from spawners.slurm.accounting import Accounting
from spawners.slurm.backend import MakeSpec, SlurmBackend
from spawners.slurm.connect import make_transport
from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.job import job_spec
from spawners.slurm.memory import Memory
from spawners.slurm.settings import ClusterSettings, SlurmSettings
from spawners.slurm.transport import Transport
from spawners.slurm.watcher import ClusterWatcher


class SlurmCluster:
    """All that an engine holds of one cluster. ``watcher.queries`` counts what Slurm was asked."""

    def __init__(self, name: str, settings: ClusterSettings, transport: Transport) -> None:
        self.name = name
        self.settings = settings
        self.transport = transport
        self.watcher = ClusterWatcher(
            name, transport, poll_s=settings.poll_s, poll_idle_s=settings.poll_idle_s
        )
        self.accounting = Accounting(self.watcher, transport)
        self.memory = Memory()
        self._is_closed = False

    @classmethod
    def create(cls, name: str, settings: ClusterSettings) -> SlurmCluster:
        """A cluster with the transport and the token gateway of its settings; nothing is asked yet.

        Raises
        ------
        TransportSettingsError
            If the settings name no transport that can be used.
        """
        tokens = GatewayTokens(settings.gateway_socket) if settings.gateway_socket is not None else None
        return cls(name, settings, make_transport(settings, tokens))

    def backend(self, partition: str, *, make_spec: MakeSpec = job_spec) -> SlurmBackend:
        """The backend of one place."""
        return SlurmBackend(self, partition, make_spec=make_spec)

    def start(self) -> None:
        """Begin to look; the first question starts it as well."""
        self.watcher.start()

    async def aclose(self) -> None:
        """Stop looking and release connections; sessions go on. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.watcher.aclose()
        await self.accounting.aclose()
        await self.transport.aclose()


def slurm_backends(
    settings: SlurmSettings, places: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, SlurmCluster], dict[str, SlurmBackend]]:
    """Clusters by name, and backends by place. ``places`` are cluster and partition by place.

    Raises
    ------
    KeyError
        If a place names a cluster that the settings do not have.
    """
    used = {cluster for cluster, _ in places.values()}
    clusters = {name: SlurmCluster.create(name, settings.clusters[name]) for name in sorted(used)}
    backends = {place: clusters[cluster].backend(partition) for place, (cluster, partition) in places.items()}
    return clusters, backends
