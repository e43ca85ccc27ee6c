"""Looks at every live session once a period, by one query a backend, and follows what has changed.

What is over is settled, a session that runs gets its deadline, one that waits in a queue is said to,
one that runs and does not answer is ended. *Unknown* changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.news import utcnow
from hub.launch.runner import Runner
from hub.launch.states import EndReason, LaunchState
from hub.launch.steering import AT_BACKEND, logged, want_stop
from hub.launch.store import Launch, Position
from spawners.backend import Handle, State, Status
from spawners.plan import LaunchId

_PATIENCE_S = 3.0
"""A place that answers slowly is looked at in the background: the others need not wait for it."""

_TELL_EVERY = timedelta(minutes=1)
"""A launch that waits gets no more than one line of progress in this time."""

_GRAIN_S = 300
"""Schedulers move an expected start by seconds all the time; people are told five minutes."""


class Watcher:
    """Follows all live sessions by one status query a backend and period."""

    def __init__(self, *, db: Database, runner: Runner, start_timeout: timedelta) -> None:
        self._db = db
        self._runner = runner
        self._start_timeout = start_timeout
        self.last: dict[LaunchId, Status] = {}
        """Last answer about each live launch; the same object for ever, for those who read it."""
        self._running_since: dict[LaunchId, datetime] = {}
        self._told: dict[LaunchId, tuple[str, datetime]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Ask all backends once, and end what is over."""
        launches = await self._db.run(lambda s: store.positions(s, AT_BACKEND))
        by_place: dict[str, list[Position]] = defaultdict(list)
        for launch in launches:
            if launch.handle is not None:
                by_place[launch.place or ""].append(launch)
        here = {launch.id for launch in launches}
        for gone in self.last.keys() - here:
            del self.last[gone]
        self._running_since = {key: since for key, since in self._running_since.items() if key in here}
        self._told = {key: told for key, told in self._told.items() if key in here}
        for place, placed in by_place.items():
            if place not in self._looking:
                task = asyncio.create_task(self._look_or_log(place, placed), name=f"look-{place}")
                self._looking[place] = task
                task.add_done_callback(lambda _, key=place: self._looking.pop(key, None))  # type: ignore[misc]
        if self._looking:
            await asyncio.wait(set(self._looking.values()), timeout=_PATIENCE_S)

    async def aclose(self) -> None:
        """Leave what is under way; the next life does it again."""
        for task in (tasks := set(self._looking.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_or_log(self, place: str, launches: Sequence[Position]) -> None:
        async with logged(f"the look at place {place}"):
            await self._look_at(place, launches)

    async def _look_at(self, place: str, launches: Sequence[Position]) -> None:
        backend = self._runner.backends.get(place)
        if backend is None:
            return
        handles: dict[LaunchId, Handle] = {launch.id: launch.handle or {} for launch in launches}
        answers = await backend.status(handles)
        for launch in launches:
            async with logged(f"the look at launch {launch.id}"):
                await self._follow(launch, answers.get(launch.id, Status(State.UNKNOWN)))

    async def _follow(self, seen: Position, status: Status) -> None:
        before = self.last.get(seen.id)
        self.last[seen.id] = status
        has_changed = before is not None and before != status
        is_late = self._is_late(seen, status)
        await self._say(seen, status, before)
        if status.state is State.RUNNING and (seen.deadline is None or status.ends_at is not None):
            await self._runner.timing.follow(seen.id, status, before)
        if not (has_changed or is_late or status.state is State.GONE):
            return
        launch = await self._db.run(lambda s: store.get(s, seen.id))
        if launch is None or not launch.is_live:
            return
        if has_changed:
            self._runner.tell(launch)
        if status.state is State.GONE:
            await self._runner.finish(launch)
        elif is_late and launch.state is LaunchState.SUBMITTED:
            await want_stop(self._db, self._runner, launch, EndReason.START_TIMEOUT)

    async def _say(self, seen: Position, status: Status, before: Status | None) -> None:
        """Tell people that a launch waits and why, when that changes, and that it has begun to run."""
        if seen.state is not LaunchState.SUBMITTED:
            return
        has_begun = status.state is State.RUNNING and before is not None and before.state is State.PENDING
        if has_begun:
            node = status.node or status.host
            words, step = f"It starts{f' on {node}' if node else ''}.", "starting"
        elif status.state is State.PENDING and (words := waiting_words(status)):
            step = "waiting"
        else:
            return
        told, when = self._told.get(seen.id, ("", None))
        now = utcnow()
        if words == told or (not has_begun and when is not None and now - when < _TELL_EVERY):
            return
        self._told[seen.id] = (words, now)

        def add(session: Session) -> Launch | None:
            last = store.last_event(session, seen.id)
            if last is not None and last.message == words:
                return None  # said before a restart
            store.add_event(session, seen.id, step, words, now)
            return store.get(session, seen.id)

        if launch := await self._db.run(add):
            self._runner.tell(launch)

    def _is_late(self, seen: Position, status: Status) -> bool:
        """Whether a session runs but did not answer in time; waiting in a queue does not count."""
        if seen.state is not LaunchState.SUBMITTED or status.state is not State.RUNNING:
            return False
        return utcnow() - self._running_since.setdefault(seen.id, utcnow()) > self._start_timeout


def waiting_words(status: Status) -> str:
    """What a person reads of a wait: why, and when it is expected to end. Empty: nothing is known."""
    reason = status.reason.strip()
    if reason and not reason.startswith("Waiting"):
        reason = f"Waiting: {reason}"
    if status.expected_start is None:
        return reason[:500]
    grain = -(-int(status.expected_start.timestamp()) // _GRAIN_S) * _GRAIN_S
    start = f"expected to start by {datetime.fromtimestamp(grain, UTC):%d %b, %H:%M} UTC"
    return f"{reason} It is {start}."[:500] if reason else f"Waiting, {start}."
