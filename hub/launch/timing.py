"""Until when a launch may run: known once it runs, kept at its backend, corrected by it.

A place with a queue starts a session when it can, so a launch that waits has no deadline. It is set
from the session's real start. What the place says of the end afterwards (an operator may change a
job's time limit) comes before what was planned.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.news import News, utcnow
from hub.launch.states import LaunchState
from hub.launch.store import Launch
from spawners.backend import Backend, BackendError, BackendUnavailableError, Handle, State, Status
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

TOLERANCE = timedelta(seconds=90)
"""Schedulers count minutes: an end this near is the same."""

_RUNS = frozenset({LaunchState.SUBMITTED, LaunchState.RUNNING})


def deadline_of(launch: Launch, status: Status) -> datetime:
    """End of a session that runs: its place's, or its time from its start (from now, if not known)."""
    return status.ends_at or (status.started_at or utcnow()) + launch.launch_plan().walltime


class Timing:
    """Deadlines of launches."""

    def __init__(self, *, db: Database, news: News, backends: Mapping[str, Backend]) -> None:
        self._db = db
        self._news = news
        self._backends = backends
        self._again: set[LaunchId] = set()

    async def follow(self, launch_id: LaunchId, status: Status, before: Status | None) -> None:
        """Set a session's deadline when it is first seen to run, and follow its place's end.

        An end is only followed when it changes: until the place has been looked at again, it tells
        that of before an extension.
        """
        if status.state is not State.RUNNING:
            return
        is_told_anew = status.ends_at is not None and (before is None or before.ends_at != status.ends_at)

        def set_it(session: Session) -> Launch | None:
            launch = store.get(session, launch_id)
            if launch is None:
                return None
            deadline = deadline_of(launch, status)
            if launch.deadline is not None:
                is_same = abs(deadline - launch.deadline) <= TOLERANCE
                if is_same or not is_told_anew or launch_id in self._again:
                    return None
                log.info("Launch %s: its place ends it at %s, not %s", launch_id, deadline, launch.deadline)
            return store.change(session, launch_id, only_in=_RUNS, deadline=deadline)

        changed = await self._db.run(set_it)
        if changed is not None:
            self._news.tell(changed)

    async def ask(self, launch: Launch) -> None:
        """Tell the backend a new deadline; where it does not answer, `repeat` tells it again.

        Raises
        ------
        BackendError
            If the backend refuses it.
        """
        backend = self._backends.get(launch.place or "")
        if backend is None or launch.deadline is None or launch.handle is None:
            return
        try:
            await backend.set_deadline(launch.id, launch.handle, launch.deadline)
        except BackendUnavailableError as error:
            self._again.add(launch.id)
            log.warning("Launch %s: deadline is stored but not set yet: %s", launch.id, error)

    async def repeat(self) -> None:
        """Set again the deadlines that did not get through."""
        again, self._again = self._again, set()
        for launch_id in again:
            launch = await self._db.run(lambda s, key=launch_id: store.get(s, key))  # type: ignore[misc]
            if launch is not None and launch.is_live:
                await self._set(launch)

    async def set_all(self, launches: Sequence[Launch]) -> None:
        """Set the deadlines of launches, those left out that their place has already."""
        by_place: dict[str, dict[LaunchId, Handle]] = defaultdict(dict)
        for launch in launches:
            if launch.handle is not None and launch.deadline is not None:
                by_place[launch.place or ""][launch.id] = launch.handle
        answers = await asyncio.gather(
            *(
                self._backends[place].status(handles)
                for place, handles in by_place.items()
                if place in self._backends
            )
        )
        said = {launch_id: status for answer in answers for launch_id, status in answer.items()}
        for launch in launches:
            if launch.deadline is None:
                continue
            ends_at = said[launch.id].ends_at if launch.id in said else None
            if ends_at is None or abs(ends_at - launch.deadline) > TOLERANCE:
                await self._set(launch)

    async def _set(self, launch: Launch) -> None:
        try:
            await self.ask(launch)
        except BackendError as error:
            log.warning("Launch %s: its place does not take the deadline: %s", launch.id, error)
