"""Questions about jobs, one at a time for each, the rarer the longer nothing happens.

These schedulers are asked about one job at a time. A job that starts, or that was just heard of, is asked
about often; one that waits or runs quietly rarely; one without an answer ever more rarely.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from spawners.backend import State
from spawners.batchspawner.driver import Found

log = logging.getLogger(__name__)

_QUICK_S = 60.0
"""How long after its start a job is asked about often: its server comes up, or it dies."""

_GROWTH = 1.5


@dataclass(slots=True)
class _Looked:
    found: Found | None = None
    due_at: float = 0.0
    period_s: float = 0.0
    changed_at: float = 0.0
    task: asyncio.Task[Found] | None = field(default=None, repr=False)


class Looks:
    """The last answers. ``queries`` counts questions."""

    def __init__(self, *, poll_s: float, poll_idle_s: float) -> None:
        self.queries: Counter[str] = Counter()
        self._poll_s = poll_s
        self._idle_s = max(poll_idle_s, poll_s)
        self._jobs: dict[str, _Looked] = {}

    async def state(
        self, job: str, ask: Callable[[], Awaitable[Found]], *, wait_s: float, is_due: bool = False
    ) -> Found | None:
        """What is known of a job: a new answer where it is time for one and it comes within ``wait_s``.

        None: nothing is known yet. ``is_due``: ask now, whatever the period.
        """
        looked = self._jobs.setdefault(job, _Looked(period_s=self._poll_s, changed_at=time.monotonic()))
        if looked.found is not None and looked.found.state is State.GONE:
            return looked.found
        if is_due and looked.task is not None:  # asked before something was heard: too old an answer
            await asyncio.wait({looked.task}, timeout=wait_s)
        if looked.task is None and (is_due or time.monotonic() >= looked.due_at):
            looked.task = asyncio.create_task(self._ask(job, looked, ask))
        if (task := looked.task) is not None:
            await asyncio.wait({task}, timeout=wait_s)
            if is_due and not task.done():
                return Found(State.UNKNOWN)
        return looked.found

    async def _ask(self, job: str, looked: _Looked, ask: Callable[[], Awaitable[Found]]) -> Found:
        self.queries["status"] += 1
        began = time.monotonic()
        try:
            found = await ask()
        except Exception:
            log.exception("Job %s cannot be asked about", job)
            found = Found(State.UNKNOWN)
        finally:
            looked.task = None
        now = time.monotonic()
        if looked.found is None or looked.found.state is not found.state:
            looked.changed_at, looked.period_s = now, self._poll_s
        elif found.state is not State.RUNNING or now - looked.changed_at > _QUICK_S:
            looked.period_s = min(looked.period_s * _GROWTH, self._idle_s)
        # A slow scheduler is asked less, a silent one as its period says; many jobs do not fall into step.
        took_s = 0.0 if found.state is State.UNKNOWN else now - began
        pause_s = max(looked.period_s, 5 * took_s)
        looked.due_at = now + pause_s * random.uniform(0.9, 1.1)  # noqa: S311
        looked.found = found
        return found

    def expect_change(self, job: str) -> None:
        """Ask soon: something was done to the job, or it was heard of."""
        if (looked := self._jobs.get(job)) is not None:
            looked.period_s, looked.due_at, looked.changed_at = self._poll_s, 0.0, time.monotonic()

    def forget(self, job: str) -> None:
        """Know nothing of a job any more."""
        self._jobs.pop(job, None)

    async def aclose(self) -> None:
        """End questions that are under way."""
        tasks = [looked.task for looked in self._jobs.values() if looked.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
