"""What slurmdbd says of jobs that are over: one query for all that are waited for.

slurmctld tells slurmdbd of an end a little later, much later if that is down, so an answer may not be
final; then it is asked for again, at a bounded rate. Nobody ever waits for a daemon that is known to be
silent.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping

from spawners.slurm.models import AccountedJob
from spawners.slurm.outage import Outage
from spawners.slurm.settlement import last_end
from spawners.slurm.transport import Transport
from spawners.slurm.watcher import ClusterWatcher

_GAP_S = 0.5
_LONGEST_GAP_S = 30.0
_DURATION_SHARE = 5
_AT_ONCE = 500
"""Ids in one query: the command line of sacct is bounded."""


class Accounting:
    """Final records of jobs, kept until `forget`."""

    def __init__(self, watcher: ClusterWatcher, transport: Transport) -> None:
        self._watcher = watcher
        self._transport = transport
        self._outage = Outage(f"Slurm's accounting (for ended jobs) of cluster {watcher.name}")
        self._wanted: dict[int, None] = {}  # in the order in which they are asked for
        self._final: dict[int, tuple[AccountedJob, ...]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._not_before = 0.0

    async def final(
        self, job_ids: Collection[int], *, wait_s: float = 20.0
    ) -> Mapping[int, tuple[AccountedJob, ...]]:
        """Runs of those of the jobs whose end slurmdbd knows by now. Never raises.

        Only for jobs that slurmctld does not list as alive: between two runs of a requeued job
        slurmdbd knows of an end that is none.
        """
        missing = {job_id for job_id in job_ids if job_id not in self._final}
        if missing:
            self._wanted.update(dict.fromkeys(missing - self._wanted.keys()))
            task = self._ask()
            if task is not None:
                await asyncio.wait({task}, timeout=wait_s)
        return {job_id: self._final[job_id] for job_id in job_ids if job_id in self._final}

    def forget(self, job_id: int) -> None:
        """Keep nothing of a job."""
        self._wanted.pop(job_id, None)
        self._final.pop(job_id, None)

    async def aclose(self) -> None:
        """End a query that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _ask(self) -> asyncio.Task[None] | None:
        """The query under way, or a new one if it is time."""
        if self._asking is None or self._asking.done():
            if time.monotonic() < self._not_before:
                return None
            self._asking = asyncio.create_task(self._query(), name=f"slurm-accounting-{self._watcher.name}")
        return self._asking

    async def _query(self) -> None:
        ids = list(self._wanted)[:_AT_ONCE]
        began = time.monotonic()
        try:
            answer = await self._watcher.ask("accounted", lambda: self._transport.accounted(ids))
        except Exception as error:
            self._outage.failed(error)
            gap = min(2.0**self._outage.failures, _LONGEST_GAP_S)
        else:
            self._outage.answered()
            for job_id in ids:  # those without an end go to the end of the line
                if job_id in self._wanted:
                    self._wanted[job_id] = self._wanted.pop(job_id)
            gap = min(max(_GAP_S, _DURATION_SHARE * (time.monotonic() - began)), _LONGEST_GAP_S)
            self._keep(answer)
        self._not_before = time.monotonic() + gap

    def _keep(self, answer: Collection[AccountedJob]) -> None:
        by_id: dict[int, list[AccountedJob]] = defaultdict(list)
        for run in answer:
            by_id[run.id].append(run)
        for job_id, runs in by_id.items():
            if job_id in self._wanted and last_end(runs) is not None:
                self._final[job_id] = tuple(runs)
                del self._wanted[job_id]
