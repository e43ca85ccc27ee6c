"""What of a pool is free, what a session may have, and when it would start."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from spawners.backend import (
    Ask,
    Availability,
    BackendUnavailableError,
    Forecast,
    NotAdmittedError,
    PlaceOffer,
    refuse_scheduling,
)
from spawners.kubernetes.looks import utcnow
from spawners.kubernetes.objects import gpus_of, label_value
from spawners.kubernetes.room import Room
from spawners.kubernetes.storage import absent, missing
from spawners.kubernetes.words import several, size
from spawners.plan import LaunchPlan, Size

if TYPE_CHECKING:
    from spawners.kubernetes.cluster import KubernetesCluster

log = logging.getLogger(__name__)

_FIRST_LOOK_S = 5.0
_STORAGE_S = 10.0
"""A file system of the network that has gone keeps whoever looks at it waiting without end."""

_SMALLER = "Choose a smaller size, or another place."


class Outlook:
    """Answers about one pool, from what its cluster's watcher knows."""

    def __init__(self, cluster: KubernetesCluster, pool: str) -> None:
        self._cluster = cluster
        self._pool = pool

    async def availability(self) -> Availability:
        """What is free now. Never raises."""
        try:
            room = await self._room()
        except BackendUnavailableError as error:
            return Availability(is_reachable=False, note=str(error))
        except Exception:
            log.exception("What is free in pool %s cannot be told", self._pool)
            return Availability(is_reachable=False, note="What is free there cannot be told.")
        return room.availability()

    async def offer(self) -> PlaceOffer:
        """What one session may have at most.

        Raises
        ------
        BackendUnavailableError
            If the cluster does not answer.
        """
        return (await self._room()).largest()

    async def forecast(self, ask: Ask) -> Forecast:
        """Now, where there is room; else nobody can say. Never raises."""
        try:
            room = await self._room()
        except BackendUnavailableError:
            return Forecast(None)
        except Exception:
            log.exception("When a session would start in pool %s cannot be told", self._pool)
            return Forecast(None)
        return Forecast(utcnow(), "estimate") if room.fits_now(ask.size) else Forecast(None)

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse what the cluster does not have, or has not so much of.

        Raises
        ------
        NotAdmittedError
            If so.
        BackendUnavailableError
            If the cluster does not answer.
        """
        self._check_what_is_there(plan)
        await self._check_folders(plan)
        self._check_size(plan.size, (await self._room()).largest())

    def _check_what_is_there(self, plan: LaunchPlan) -> None:
        settings = self._cluster.settings
        refuse_scheduling(plan)
        if not plan.environment.container:
            raise NotAdmittedError(
                "place_not_allowed",
                f"The environment “{plan.environment.title}” is no container image, and this place runs "
                "nothing else.",
                "Choose another environment or another place.",
            )
        if plan.size.gpus and gpus_of(settings.pools[self._pool], plan.size) is None:
            kind = f"{plan.size.gpu_type} GPUs" if plan.size.gpu_type else "GPUs"
            raise NotAdmittedError(
                "place_limit", f"This place has no {kind}.", "Choose another size, or another place."
            )
        if lacking := missing(plan, settings):
            names = several([str(path) for path in lacking[:3]]) + (" and more" if lacking[3:] else "")
            raise NotAdmittedError(
                "data_not_here",
                f"This place does not see {names}.",
                "Choose a place that has the data.",
            )

    async def _check_folders(self, plan: LaunchPlan) -> None:
        """The kubelet would make a folder that is missing, as root."""
        look = partial(absent, plan, self._cluster.settings)
        try:
            gone = await self._cluster.storage_threads.run(look, timeout_s=_STORAGE_S)
        except TimeoutError as error:
            raise BackendUnavailableError("The storage does not answer at present.") from error
        if plan.account.home in gone:
            text = "Your home folder is not on the storage that this place has."
            raise NotAdmittedError("data_not_here", text, "Ask the support to make it.")
        if gone:
            names = several([str(path) for path in gone[:3]]) + (" and more" if gone[3:] else "")
            text = f"The storage that this place has is without {names}."
            raise NotAdmittedError("data_not_here", text, "Choose other data, or ask the support.")

    def _check_size(self, asked: Size, most: PlaceOffer) -> None:
        for wanted, limit, words in (
            (asked.cpus, most.max_cpus, f"{most.max_cpus} CPUs"),
            (asked.memory_mib, most.max_memory_mib, f"{size(most.max_memory_mib or 0)} of memory"),
            (asked.gpus, most.max_gpus, f"{most.max_gpus} GPUs"),
        ):
            if limit is not None and wanted > limit:
                text = f"The largest session that this place can take has {words}."
                raise NotAdmittedError("place_limit", text, _SMALLER)

    async def _room(self) -> Room:
        """What is known of the pool.

        Raises
        ------
        BackendUnavailableError
            If the cluster has not answered yet, or not for too long.
        """
        watcher = self._cluster.watcher
        if not await watcher.pods.loaded(_FIRST_LOOK_S) or watcher.pods.is_stale:
            raise BackendUnavailableError("The cluster does not answer at present.")
        nodes = watcher.nodes
        if nodes is not None:
            await nodes.loaded(_FIRST_LOOK_S)
        is_known = nodes is not None and not nodes.is_stale
        pool = label_value(self._pool)
        return Room(
            cluster=self._cluster.settings,
            pool=self._pool,
            # On a node, pods of other pools take room too.
            pods=[pod for pod in watcher.pods.items.values() if is_known or pod.pool == pool],
            nodes=list(nodes.items.values()) if nodes is not None and is_known else None,
            quotas=await self._cluster.quotas.known(),
        )
