"""What the loops of the launch path share: faults that stop nobody, and stops of our own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.runner import Runner
from hub.launch.states import MAY_RUN, EndReason, LaunchState, Target
from hub.launch.store import Launch

log = logging.getLogger(__name__)

AT_BACKEND = frozenset({LaunchState.SUBMITTED, LaunchState.RUNNING, LaunchState.ENDING})
"""States in which the backend has, or had, the session."""


@asynccontextmanager
async def logged(what: str) -> AsyncIterator[None]:
    """Log a fault, and let the caller go on with the next thing."""
    try:
        yield
    except Exception:
        log.exception("Fault in %s; the others go on", what)


async def want_stop(db: Database, runner: Runner, launch: Launch, reason: EndReason) -> None:
    """Set the target of a launch to stop, for a reason of the service's own, and stop it."""

    def want(session: Session) -> Launch | None:
        return store.change(
            session, launch.id, only_in=MAY_RUN, target=Target.STOP, end_reason=launch.end_reason or reason
        )

    wanted = await db.run(want)
    if wanted is not None:
        runner.stop(wanted)


async def every(period_s: float, what: str, work: object) -> None:
    """Run an async callable for ever; a fault is logged and the next round comes."""
    assert callable(work)
    while True:
        try:
            await work()
        except Exception:
            log.exception("Fault in %s; it goes on", what)
        await asyncio.sleep(period_s)
