"""Which backend stands behind each place of the profiles file?

A kind of backend that no place names costs nothing: its code is not even loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from hub.settings import ConfigError, Settings
from profiles.loader import Profiles
from profiles.places import BatchspawnerPlace, KubernetesPlace, SlurmPlace
from spawners.backend import Backend
from spawners.local.backend import LocalBackend


class Scheduler(Protocol):
    """A scheduler that several places share."""

    def start(self) -> None:
        """Begin to look at it, in the background."""
        ...

    async def aclose(self) -> None:
        """Stop looking and release connections; sessions go on."""
        ...


@dataclass(frozen=True, slots=True)
class Backends:
    """Backends by place, and the schedulers behind them."""

    by_place: Mapping[str, Backend]
    schedulers: tuple[Scheduler, ...] = field(default=())

    def start(self) -> None:
        """Begin to look at all schedulers; one that does not answer keeps nobody waiting."""
        for scheduler in self.schedulers:
            scheduler.start()

    async def aclose(self) -> None:
        """Release everything; sessions go on."""
        for backend in {id(backend): backend for backend in self.by_place.values()}.values():
            await backend.aclose()
        for scheduler in self.schedulers:
            await scheduler.aclose()


def make_backends(settings: Settings, profiles: Profiles) -> Backends:
    """The backends of all places.

    Raises
    ------
    ConfigError
        If a place names what the settings do not have, or what they have cannot be used.
    """
    local = LocalBackend(settings.local)
    by_place: dict[str, Backend] = {
        name: local for name, place in profiles.places.items() if place.backend == "local"
    }
    schedulers: list[Scheduler] = []
    if slurm := {name: place for name, place in profiles.places.items() if isinstance(place, SlurmPlace)}:
        schedulers += _add_slurm(settings, slurm, by_place)
    if batch := {
        name: place for name, place in profiles.places.items() if isinstance(place, BatchspawnerPlace)
    }:
        _add_batchspawner(settings, batch, by_place)
    if pods := {name: place for name, place in profiles.places.items() if isinstance(place, KubernetesPlace)}:
        schedulers += _add_kubernetes(settings, pods, by_place)
    return Backends(by_place, tuple(schedulers))


def with_storage(settings: Settings, profiles: Profiles) -> Profiles:
    """The profiles, in which places of Kubernetes see the storage that their cluster's settings have.

    What a place says of itself stays. A form can tell so which places have the data, before anybody asks.
    """
    places = dict(profiles.places)
    for name, place in profiles.places.items():
        if isinstance(place, KubernetesPlace) and place.storage is None:
            cluster = settings.kubernetes.clusters.get(place.cluster)
            seen = tuple(str(one.path) for one in cluster.storage) if cluster else None
            places[name] = place.model_copy(update={"storage": seen})
    return replace(profiles, places=MappingProxyType(places))


def _add_slurm(
    settings: Settings, places: Mapping[str, SlurmPlace], by_place: dict[str, Backend]
) -> list[Scheduler]:
    from spawners.slurm.cluster import slurm_backends
    from spawners.slurm.connect import TransportSettingsError

    for name, place in places.items():
        if place.cluster not in settings.slurm.clusters:
            raise ConfigError(f"place {name}: there is no cluster {place.cluster} in slurm.clusters")
    named = {name: (place.cluster, place.partition) for name, place in places.items()}
    try:
        clusters, backends = slurm_backends(settings.slurm, named)
    except TransportSettingsError as error:
        raise ConfigError(f"slurm.clusters: {error}") from error
    by_place.update(backends)
    return list(clusters.values())


def _add_kubernetes(
    settings: Settings, places: Mapping[str, KubernetesPlace], by_place: dict[str, Backend]
) -> list[Scheduler]:
    from spawners.kubernetes.cluster import kubernetes_backends

    known = settings.kubernetes.clusters
    for name, place in places.items():
        if place.cluster not in known:
            raise ConfigError(f"place {name}: there is no cluster {place.cluster} in kubernetes.clusters")
        if place.pool not in known[place.cluster].pools:
            raise ConfigError(f"place {name}: cluster {place.cluster} has no pool {place.pool}")
    for name, cluster in known.items():
        for pool in cluster.pools_without_image():
            where = f"kubernetes.clusters.{name}"
            raise ConfigError(f"{where}.pools.{pool}.warm needs an `image`, or {where} a `pause_image`")
    named = {name: (place.cluster, place.pool) for name, place in places.items()}
    clusters, backends = kubernetes_backends(settings.kubernetes, named)
    by_place.update(backends)
    return list(clusters.values())


def _add_batchspawner(
    settings: Settings, places: Mapping[str, BatchspawnerPlace], by_place: dict[str, Backend]
) -> None:
    from spawners.batchspawner.backend import BatchspawnerBackend
    from spawners.batchspawner.driver import BatchspawnerError
    from spawners.batchspawner.system import BatchSystem

    systems: dict[str, BatchSystem] = {}
    for name, place in places.items():
        known = settings.batchspawner.clusters.get(place.cluster)
        if known is None:
            raise ConfigError(f"place {name}: there is no cluster {place.cluster} in batchspawner.clusters")
        if place.cluster not in systems:
            folder = settings.batchspawner.state / place.cluster
            try:
                systems[place.cluster] = BatchSystem(place.cluster, known, folder)
            except BatchspawnerError as error:
                raise ConfigError(f"batchspawner.clusters: {error}") from error
        by_place[name] = BatchspawnerBackend(systems[place.cluster], place.queue)
