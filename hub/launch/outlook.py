"""What a place says of a live launch now: when it starts, why it waits, what was submitted inside it.

Nothing of it is kept: the watcher has the last answer of each backend, and jobs are asked for when
somebody looks.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.launch.states import LaunchState
from hub.launch.store import Launch
from spawners.backend import Backend, Handle, InnerJob, State, Status
from spawners.plan import LaunchId


@dataclass(frozen=True, slots=True)
class Outlook:
    """``expected_start`` and ``pending_reason`` only while it waits in a queue.

    ``idle_ends_at``: it was warned, and ends then unless somebody uses it.
    """

    expected_start: datetime | None = None
    pending_reason: str = ""
    jobs: Sequence[InnerJob] = ()
    idle_ends_at: datetime | None = None


NO_OUTLOOK = Outlook()
"""Of a launch that is over, or that its place has said nothing of yet."""

_WAITS = frozenset({LaunchState.SUBMITTED})
_MAY_WAIT = frozenset({State.PENDING, State.UNKNOWN})
_HAS_JOBS = frozenset({LaunchState.RUNNING, LaunchState.ENDING})


class Outlooks:
    """Answers for pages and API. ``last`` are the last answers, which the watcher keeps current."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        last: Mapping[LaunchId, Status],
        idle_ends_at: Callable[[str], datetime | None] = lambda _: None,
    ) -> None:
        self._backends = backends
        self._last = last
        self._idle_ends_at = idle_ends_at

    def waiting(self, launch: Launch) -> Outlook:
        """When and why, without the jobs: no question to anybody."""
        status = self._last.get(launch.id)
        if status is None or launch.state not in _WAITS or status.state not in _MAY_WAIT:
            return NO_OUTLOOK
        return Outlook(status.expected_start, status.reason)

    async def of(self, launch: Launch) -> Outlook:
        """All that is said of one launch."""
        return (await self.of_all([launch]))[launch.id]

    async def of_all(self, launches: Iterable[Launch]) -> dict[LaunchId, Outlook]:
        """All that is said of several launches, by one question a place."""
        known = list(launches)
        jobs = await self._jobs(known)
        found: dict[LaunchId, Outlook] = {}
        for launch in known:
            waiting = self.waiting(launch)
            found[launch.id] = Outlook(
                waiting.expected_start,
                waiting.pending_reason,
                tuple(jobs.get(launch.id, ())),
                self._idle_ends_at(launch.id) if launch.state is LaunchState.RUNNING else None,
            )
        return found

    async def _jobs(self, launches: Iterable[Launch]) -> dict[LaunchId, Sequence[InnerJob]]:
        by_place: dict[str, dict[LaunchId, Handle]] = defaultdict(dict)
        for launch in launches:
            place = launch.place or ""
            if launch.state in _HAS_JOBS and launch.handle is not None and place in self._backends:
                by_place[place][launch.id] = launch.handle
        answers = await asyncio.gather(
            *(self._backends[place].inner_jobs(handles) for place, handles in by_place.items())
        )
        return {launch_id: jobs for answer in answers for launch_id, jobs in answer.items()}
