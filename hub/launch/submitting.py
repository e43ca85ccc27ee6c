"""The start of a held launch at its backend.

The row of the session table is written before each step and the backend's handle as soon as it
is known, so a crash between any two lines leaves a state from which the reconciler goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.answering import Answering
from hub.launch.ending import NOT_STARTED, Ending
from hub.launch.news import News, utcnow
from hub.launch.states import MAY_RUN, EndReason, LaunchState, Target
from hub.launch.store import Launch
from spawners.backend import Backend, BackendUnavailableError, SubmitError
from spawners.plan import Credentials, LaunchId
from spawners.session.proof import TOKEN_VARIABLE, session_secret

log = logging.getLogger(__name__)


class Submitting:
    """Hands launches to their backends. ``submits`` are its tasks under way, by launch."""

    def __init__(
        self,
        *,
        db: Database,
        news: News,
        backends: Mapping[str, Backend],
        report_base_url: str,
        submits: dict[LaunchId, asyncio.Task[None]],
        answering: Answering,
        ending: Ending,
    ) -> None:
        self._db = db
        self._news = news
        self._backends = backends
        self._report_base_url = report_base_url
        self._submits = submits
        self._answering = answering
        self._ending = ending

    def is_submitting(self, launch_id: LaunchId) -> bool:
        """Whether a submit of this process is under way."""
        return launch_id in self._submits

    def submit(self, launch: Launch, environment: Mapping[str, str]) -> None:
        """Hand a held launch to its backend, in a task that nobody's cancellation ends."""
        if launch.id in self._submits:
            return
        task = asyncio.create_task(self._submit(launch, environment), name=f"submit-{launch.id}")
        self._submits[launch.id] = task
        task.add_done_callback(lambda _: self._submits.pop(launch.id, None))

    async def _submit(self, launch: Launch, environment: Mapping[str, str]) -> None:
        backend = self._backends.get(launch.place or "")
        if backend is None:
            text = "Its place is no longer offered."
            await self._ending.end_unstarted(launch.id, EndReason.START_FAILED, text, only_from=NOT_STARTED)
            return
        # A batch job carries its token and nothing else secret, so both sides derive the rest from it.
        token = environment.get(TOKEN_VARIABLE)
        secret = session_secret(token, launch.id) if token else secrets.token_urlsafe(32)
        prepared = await self._db.run(
            lambda s: store.change(s, launch.id, only_in={LaunchState.HELD}, report_hash=hash_secret(secret))
        )
        if prepared is None:
            return
        credentials = Credentials(
            environment=environment,
            report_url=f"{self._report_base_url}/internal/reports/{launch.id}",
            report_secret=secret,
        )
        try:
            async for step in backend.start(launch.launch_plan(), credentials):
                await self.submitted(launch, dict(step.handle), step.message)
        except SubmitError as error:
            log.warning("Launch %s was not started: %s", launch.id, error)
            refused_in = {*NOT_STARTED, LaunchState.SUBMITTED}
            await self._ending.end_unstarted(
                launch.id, EndReason.START_FAILED, str(error), only_from=refused_in, nothing_runs=True
            )
        except BackendUnavailableError as error:
            # It may run or not: the reconciler looks for it by its launch id.
            log.warning("Launch %s: it is not known whether it was started: %s", launch.id, error)
            await self._news.note(launch, "starting", "The place does not answer; looking again.")
        except Exception:
            log.exception("Launch %s: fault while starting", launch.id)
            await self._news.note(launch, "starting", "A fault happened while starting; looking again.")
        await self._stop_if_wanted(launch.id)

    async def submitted(self, launch: Launch, handle: dict[str, Any], message: str) -> None:
        """Save a backend's handle; also for a session found again after a crash."""
        now = utcnow()

        def save(session: Session) -> Launch | None:
            moved = store.move(
                session,
                launch.id,
                LaunchState.SUBMITTED,
                handle=handle,
                submitted_at=now,
            )
            if moved is not None:
                store.add_event(session, launch.id, "starting", message, now)
                return moved
            return store.change(session, launch.id, only_in=MAY_RUN, handle=handle)

        saved = await self._db.run(save)
        if saved is not None:
            self._news.tell(saved)
            if saved.url is not None:
                # After a crash the session's report of its port may come before its handle is found.
                self._answering.watch_answer(saved)

    async def _stop_if_wanted(self, launch_id: LaunchId) -> None:
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        if launch is not None and launch.is_live and launch.target is Target.STOP:
            self._ending.stop(launch)

    async def let_submit_again(self, launch: Launch) -> None:
        """Forget a submit that came to nothing, so that the next call of the hub makes another."""

        def clear(session: Session) -> Launch | None:
            current = store.get(session, launch.id)
            if current is None or current.handle is not None or current.report_hash != launch.report_hash:
                return None
            return store.change(session, launch.id, only_in={LaunchState.HELD}, report_hash=None)

        cleared = await self._db.run(clear)
        if cleared is not None:
            self._news.tell(cleared)

    async def aclose(self) -> None:
        """Let submits that are under way hand over."""
        if self._submits:
            await asyncio.wait(set(self._submits.values()), timeout=10)


def hash_secret(secret: str) -> str:
    """Digest under which a one-use secret is stored: it has 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()
