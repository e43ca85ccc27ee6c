"""More time for a session that runs."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.planner import Planner
from hub.launch.runner import Runner
from hub.launch.states import LaunchState
from hub.launch.store import Launch


class Extending:
    """Extends running sessions."""

    def __init__(self, *, db: Database, planner: Planner, books: Books, runner: Runner) -> None:
        self._db = db
        self._planner = planner
        self._books = books
        self._runner = runner

    async def extend(self, person: Person, launch: Launch, seconds: int, *, key: str | None) -> Launch:
        """Let a running session go on longer, within its profile's limit and the quota.

        Access is decided anew: who lost it cannot extend.
        """
        if launch.state is not LaunchState.RUNNING or launch.deadline is None:
            raise refusals.not_running()
        request = LaunchRequest.model_validate(launch.request)
        prepared = await self._planner.prepare(
            person, request, launch_id=launch.id, server_name=launch.server_name
        )
        now = utcnow()

        def hold(session: Session) -> Launch | None:
            current = store.get(session, launch.id)
            if current is None or current.state is not LaunchState.RUNNING:
                raise refusals.not_running()
            if not self._books.extend(session, current, seconds, key or secrets.token_hex(8), now):
                return current
            assert current.deadline is not None
            assert current.plan is not None
            walltime = current.launch_plan().walltime + timedelta(seconds=seconds)
            if walltime > prepared.walltime_max:
                raise refusals.walltime_exceeded(walltime, prepared.walltime_max)
            new_plan = {**current.plan, "walltime": int(walltime.total_seconds())}
            changed = store.change(
                session,
                launch.id,
                only_in={LaunchState.RUNNING},
                deadline=current.deadline + timedelta(seconds=seconds),
                plan=new_plan,
            )
            if changed is None:
                raise refusals.not_running()
            store.add_event(session, launch.id, "extended", f"Extended by {_minutes(seconds)}.", now)
            return changed

        extended = await self._db.run(hold)
        assert extended is not None
        assert extended.deadline is not None
        await self._runner.set_deadline(extended)
        self._runner.tell(extended)
        return extended


def _minutes(seconds: int) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes or not hours else parts)
