"""What a partition has free, what it offers a person and when a session would start.

All from the watcher's snapshots, worked out in threads; only a forecast asks the scheduler itself, for a
bounded time and once for all who ask the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import datetime

from spawners.backend import Ask, Availability, BackendUnavailableError, Forecast, PlaceOffer
from spawners.plan import Account, LaunchPlan
from spawners.slurm.availability import availability_of
from spawners.slurm.forecast import estimate
from spawners.slurm.groups import group_names
from spawners.slurm.limits import check_plan, offer_of
from spawners.slurm.look import NEVER
from spawners.slurm.models import JobSpec
from spawners.slurm.settings import ClusterSettings
from spawners.slurm.snapshot import Snapshot
from spawners.slurm.transport import SlurmError, SlurmUnavailableError, Transport
from spawners.slurm.watcher import ClusterWatcher, utcnow

log = logging.getLogger(__name__)

_FRESH_S = 30.0
"""Age up to which what is free is shown as it is known."""

_STILL_GOOD_S = 600.0
"""Age up to which limits of partitions hold: they change by an administrator's hand."""

_WAIT_S = 2.0
_FORECAST_S = 2.0
_KEEP_FORECAST_S = 10.0
_FORECASTS = 256
"""Asks whose answer is kept: those of a few dozen forms."""

_NO_ANSWER = "Slurm does not answer."


class Outlook:
    """Answers about one partition before anything is started."""

    def __init__(
        self, watcher: ClusterWatcher, transport: Transport, settings: ClusterSettings, partition: str
    ) -> None:
        self._watcher = watcher
        self._transport = transport
        self._settings = settings
        self._partition = partition
        self._asked: dict[Ask, tuple[float, asyncio.Task[datetime | None]]] = {}

    async def availability(self) -> Availability:
        """What is free now. Never raises."""
        is_isolated = self._settings.view in ("bubblewrap", "apptainer")
        try:
            snapshot = await self._snapshot(_FRESH_S)
            found = await asyncio.to_thread(availability_of, snapshot, self._partition)
        except BackendUnavailableError as error:
            return Availability(is_reachable=False, note=str(error), is_isolated=is_isolated)
        except Exception:
            log.exception("What partition %s has free cannot be told", self._partition)
            return Availability(is_reachable=False, note=_NO_ANSWER, is_isolated=is_isolated)
        return replace(found, is_isolated=is_isolated)

    async def offer(self, account: Account) -> PlaceOffer:
        """What a person may use; see `Backend.offer`."""
        snapshot = await self._with_limits()
        return await asyncio.to_thread(
            offer_of, snapshot, self._partition, account, utcnow(), groups=group_names
        )

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse what Slurm would refuse; see `Backend.admit`."""
        snapshot = await self._with_limits()
        await asyncio.to_thread(check_plan, snapshot, self._partition, plan, utcnow(), groups=group_names)

    async def forecast(self, ask: Ask) -> Forecast:
        """When such a session would start, by the scheduler or by our estimate. Never raises."""
        try:
            if not self._watcher.error:
                starts_at = await self._by_scheduler(ask)
                if starts_at is not None:
                    return Forecast(starts_at, "scheduler")
            snapshot = await self._snapshot(_FRESH_S)
            return await asyncio.to_thread(estimate, snapshot, self._partition, ask, utcnow())
        except SlurmError:  # it would refuse such a job: `admit` says why
            return Forecast(None)
        except BackendUnavailableError:
            return Forecast(None)
        except Exception:
            log.exception("A start in partition %s cannot be forecast", self._partition)
            return Forecast(None)

    async def aclose(self) -> None:
        """End questions that are under way."""
        tasks = [task for _, task in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _by_scheduler(self, ask: Ask) -> datetime | None:
        """The scheduler's own word; None if it does not say so in time.

        Raises
        ------
        SlurmError
            If it would refuse the job.
        """
        known = self._asked.get(ask)
        if known is None or known[0] < time.monotonic():
            now = time.monotonic()
            self._asked = {key: one for key, one in self._asked.items() if one[0] >= now or not one[1].done()}
            if len(self._asked) >= _FORECASTS:
                return None
            known = self._asked[ask] = (now + _KEEP_FORECAST_S, asyncio.create_task(self._question(ask)))
        await asyncio.wait({known[1]}, timeout=_FORECAST_S)
        return known[1].result() if known[1].done() else None

    async def _question(self, ask: Ask) -> datetime | None:
        spec = _spec(ask, self._partition, self._settings)
        try:
            return await self._watcher.ask("expected_start", lambda: self._transport.expected_start(spec))
        except SlurmUnavailableError:
            return None

    async def _snapshot(self, max_age_s: float, *, usable_s: float = _STILL_GOOD_S) -> Snapshot:
        """What is known of jobs and nodes, no older than ``max_age_s`` if that is to be had soon.

        Raises
        ------
        BackendUnavailableError
            If there is nothing younger than ``usable_s``.
        """
        look = await self._watcher.with_resources(max_age_s=max_age_s, timeout_s=_WAIT_S)
        if look is None or (utcnow() - look.snapshot.resources_at).total_seconds() > usable_s:
            raise BackendUnavailableError(_NO_ANSWER)
        if self._watcher.is_stale and max_age_s <= _FRESH_S:
            raise BackendUnavailableError(_NO_ANSWER)
        return look.snapshot

    async def _with_limits(self) -> Snapshot:
        snapshot = await self._snapshot(_STILL_GOOD_S)
        if snapshot.limits_at == NEVER:
            snapshot = await self._watcher.with_limits(timeout_s=_WAIT_S) or snapshot
        if snapshot.limits_at == NEVER:
            raise BackendUnavailableError("Slurm's accounting does not answer, so limits are not known.")
        return snapshot


def _spec(ask: Ask, partition: str, settings: ClusterSettings) -> JobSpec:
    """A job as large as the session would be, that does nothing."""
    home = str(ask.account.home)
    return JobSpec(
        user=ask.account.name,
        script="#!/bin/sh\nexit 0\n",
        environment={"PATH": "/usr/bin:/bin"},
        name="panhub-forecast",
        comment="",
        partition=partition,
        cpus=ask.size.cpus,
        memory_mib=ask.size.memory_mib,
        gpus=ask.size.gpus,
        gpu_type=ask.size.gpu_type,
        time_limit=ask.walltime,
        workdir=home,
        log="/dev/null",
        account=ask.scheduling.account,
        qos=ask.scheduling.qos,
        reservation=ask.scheduling.reservation,
        constraint=settings.constraint,
    )
