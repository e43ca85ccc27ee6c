"""More time for a session that runs."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from weakref import WeakValueDictionary

from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.ledgering import Books
from hub.launch.news import utcnow
from hub.launch.planner import Planner
from hub.launch.runner import Runner
from hub.launch.states import LaunchState
from hub.launch.store import Launch
from spawners.backend import BackendError
from spawners.plan import LaunchId


class Extending:
    """Extends running sessions."""

    def __init__(self, *, db: Database, planner: Planner, books: Books, runner: Runner) -> None:
        self._db = db
        self._planner = planner
        self._books = books
        self._runner = runner
        self._turns: WeakValueDictionary[LaunchId, asyncio.Lock] = WeakValueDictionary()

    async def extend(self, person: Person, launch: Launch, seconds: int, *, key: str | None) -> Launch:
        """Let a running session go on longer, within its profile's limit, its place's and the quota.

        Access is decided anew: who lost it cannot extend. Nothing is changed where the place refuses;
        one that does not answer is told later.
        """
        if launch.state is not LaunchState.RUNNING or launch.deadline is None:
            raise refusals.not_running()
        turn = self._turns.setdefault(launch.id, asyncio.Lock())
        async with turn:
            return await self._extend(person, launch, seconds, key or secrets.token_hex(8))

    async def _extend(self, person: Person, launch: Launch, seconds: int, key: str) -> Launch:
        before = await self._db.run(lambda s: store.get(s, launch.id))
        assert before is not None, "a launch is never deleted"
        if await self._db.run(lambda s: self._books.was_extended(s, launch.id, key)):
            # What was said to the first call holds; only its end may not have reached the place.
            await self._db.run(lambda s: self._books.extend(s, before, seconds, key, utcnow()))
            await self._runner.timing.set_all([before])
            return before
        walltime_max = await self._planner.check_extension(person, before, seconds)
        extended = await self._db.run(lambda s: self._hold(s, launch.id, seconds, key, walltime_max))
        try:
            await self._runner.timing.ask(extended)
        except BackendError as error:
            await self._db.run(lambda s: self._undo(s, before, extended, key))
            self._runner.tell(before)
            raise refusals.extend_refused(str(error)) from error
        await self._runner.note(extended, "extended", f"Extended by {_minutes(seconds)}.")
        return extended

    def _hold(
        self, session: Session, launch_id: LaunchId, seconds: int, key: str, walltime_max: timedelta
    ) -> Launch:
        current = store.get(session, launch_id)
        if current is None or current.state is not LaunchState.RUNNING or current.deadline is None:
            raise refusals.not_running()
        self._books.extend(session, current, seconds, key, utcnow())
        walltime = current.launch_plan().walltime + timedelta(seconds=seconds)
        if walltime > walltime_max:
            raise refusals.walltime_exceeded(walltime, walltime_max)
        changed = store.change(
            session,
            launch_id,
            only_in={LaunchState.RUNNING},
            deadline=current.deadline + timedelta(seconds=seconds),
            plan={**(current.plan or {}), "walltime": int(walltime.total_seconds())},
        )
        if changed is None:
            raise refusals.not_running()
        return changed

    def _undo(self, session: Session, before: Launch, extended: Launch, key: str) -> None:
        """As if it had never been asked; the hold's line says that it was, and was given back."""
        self._books.undo_extension(session, before.id, key, utcnow())
        current = store.get(session, before.id)
        if current is not None and current.deadline == extended.deadline:
            store.change(session, before.id, deadline=before.deadline, plan=before.plan)


def _minutes(seconds: int) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes or not hours else parts)
