"""The end of a launch: stop what runs, settle what ran, release what did not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.ends import end_message, end_reason, sentence, usage_json
from hub.launch.ledgering import Books
from hub.launch.news import News, utcnow
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Launch
from spawners.backend import Backend, BackendError
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

_LOG_LINES = 40

NOT_STARTED = frozenset({LaunchState.HELD, LaunchState.ENDING})
"""Where a launch is that its backend refused or does not have."""


class Ending:
    """Ends launches. ``submits`` are the submits under way, which a stop waits for."""

    def __init__(
        self,
        *,
        db: Database,
        books: Books,
        news: News,
        backends: Mapping[str, Backend],
        submits: Mapping[LaunchId, asyncio.Task[None]],
    ) -> None:
        self._db = db
        self._books = books
        self._news = news
        self._backends = backends
        self._submits = submits
        self._stops: dict[LaunchId, asyncio.Task[None]] = {}

    def stop(self, launch: Launch) -> asyncio.Task[None]:
        """Stop a launch whose target is to stop; a second call joins the first."""
        running = self._stops.get(launch.id)
        if running is not None:
            return running
        task = asyncio.create_task(self._stop_or_log(launch.id), name=f"stop-{launch.id}")
        self._stops[launch.id] = task
        task.add_done_callback(lambda _: self._stops.pop(launch.id, None))
        return task

    async def _stop_or_log(self, launch_id: LaunchId) -> None:
        try:
            await self._stop(launch_id)
        except Exception:
            log.exception("Launch %s: fault while stopping; it is tried again", launch_id)

    async def _stop(self, launch_id: LaunchId) -> None:
        submit = self._submits.get(launch_id)
        if submit is not None and submit is not asyncio.current_task():
            # The submit is never cut off half-way: what it starts is what is stopped.
            await asyncio.wait({submit})
        launch = await self._db.run(
            lambda s: store.move(s, launch_id, LaunchState.ENDING) or store.get(s, launch_id)
        )
        if launch is None or not launch.is_live:
            return
        self._news.tell(launch)
        if launch.handle is None:
            if launch.report_hash is None:  # never handed to the backend, and now never will be
                await self.end_unstarted(launch.id, EndReason.CANCELLED, only_from=NOT_STARTED)
            # Else it is not known what was started: the reconciler asks before it gives it up.
            return
        try:
            await self._backends[launch.place or ""].stop(launch.id, launch.handle)
        except BackendError as error:
            log.warning("Launch %s: stop is not confirmed, will be tried again: %s", launch.id, error)
            return
        await self.finish(launch)

    async def finish(self, launch: Launch) -> bool:
        """Settle a session that is gone. False while its backend cannot yet say what ran."""
        backend = self._backends[launch.place or ""]
        handle = launch.handle or {}
        usage = await backend.usage(launch.id, handle)
        if usage is None:
            return False
        tail = list(await backend.log_tail(launch.id, handle, lines=_LOG_LINES))
        now = utcnow()

        def settle(session: Session) -> Launch | None:
            # Read anew: a stop may have said why meanwhile.
            current = store.get(session, launch.id)
            if current is None or not current.is_live:
                return None
            reason = end_reason(current, usage)
            self._books.settle(session, current, usage, now)
            moved = store.move(
                session,
                launch.id,
                LaunchState.ENDED,
                ended_at=usage.ended_at,
                end_reason=reason,
                end_message=end_message(reason, usage, current.handle),
                usage=usage_json(usage),
                log_tail=tail or current.log_tail,
            )
            if moved is not None:
                store.add_event(session, launch.id, "ended", moved.end_message, now)
            return moved

        moved = await self._db.run(settle)
        if moved is not None:
            await backend.forget(launch.id, handle)
            self._news.tell(moved)
        return True

    async def end_unstarted(
        self,
        launch_id: LaunchId,
        reason: EndReason,
        message: str = "",
        *,
        only_from: Collection[LaunchState],
        submit: str | None = None,
        nothing_runs: bool = False,
    ) -> bool:
        """End a launch of which nothing ran, and release its hold; whether it was so.

        It is not ended if it has left ``only_from``; if it has a handle by now, unless its backend
        itself said that ``nothing_runs``; or if it was submitted anew since ``submit`` (the report's
        hash of the submit that came to nothing). Why somebody stopped it comes before ``reason``.
        """
        now = utcnow()

        def release(session: Session) -> Launch | None:
            launch = store.get(session, launch_id)
            if launch is None or (launch.handle is not None and not nothing_runs):
                return None
            if submit is not None and (launch.report_hash or "") != submit:
                return None
            why = EndReason(launch.end_reason) if launch.end_reason else reason
            text = f"{sentence(why)} {message}".strip()[:2000]
            moved = store.move(
                session,
                launch_id,
                LaunchState.ENDED,
                only_from=only_from,
                ended_at=now,
                end_reason=why,
                end_message=text,
            )
            if moved is not None:
                self._books.release(session, moved, now)
                store.add_event(session, launch_id, "ended", text, now)
            return moved

        moved = await self._db.run(release)
        if moved is not None:
            self._news.tell(moved)
        return moved is not None

    def close(self) -> None:
        """Drop stops under way; the reconciler repeats them."""
        for task in self._stops.values():
            task.cancel()
