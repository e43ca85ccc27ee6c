"""Moves launches at their backends, phase by phase: submit, answer, time, end.

What may be cancelled by whoever waits (submit, stop) runs in a task of its own. The phases are
`hub.launch.submitting`, `answering`, `timing` and `ending`; this is what the rest of the launch path asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from hub.database import Database
from hub.launch.answering import Answering
from hub.launch.ending import Ending
from hub.launch.feed import Feed
from hub.launch.ledgering import Books
from hub.launch.news import News
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Launch
from hub.launch.submitting import Submitting
from hub.launch.timing import Timing
from spawners.backend import Backend, State
from spawners.plan import LaunchId


class Runner:
    """Carries launches through their backends."""

    def __init__(
        self,
        *,
        db: Database,
        books: Books,
        feed: Feed,
        backends: Mapping[str, Backend],
        report_base_url: str,
        answers: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self.backends = backends
        self._news = News(db, feed)
        submits: dict[LaunchId, asyncio.Task[None]] = {}
        self._answering = Answering(db=db, news=self._news, backends=backends, answers=answers)
        self._ending = Ending(db=db, books=books, news=self._news, backends=backends, submits=submits)
        self._submitting = Submitting(
            db=db,
            news=self._news,
            backends=backends,
            report_base_url=report_base_url,
            submits=submits,
            answering=self._answering,
            ending=self._ending,
        )
        self.timing = Timing(db=db, news=self._news, backends=backends)

    # --- news -------------------------------------------------------------------------------

    def tell(self, launch: Launch) -> None:
        """Wake all who follow a launch."""
        self._news.tell(launch)

    async def note(self, launch: Launch, step: str, message: str) -> None:
        """Add a line of progress and wake its readers."""
        await self._news.note(launch, step, message)

    # --- start ------------------------------------------------------------------------------

    def is_submitting(self, launch_id: LaunchId) -> bool:
        """Whether a submit of this process is under way."""
        return self._submitting.is_submitting(launch_id)

    def submit(self, launch: Launch, environment: Mapping[str, str]) -> None:
        """Hand a held launch to its backend, in a task that nobody's cancellation ends."""
        self._submitting.submit(launch, environment)

    async def submitted(self, launch: Launch, handle: dict[str, Any], message: str) -> None:
        """Save a backend's handle; also for a session found again after a crash."""
        await self._submitting.submitted(launch, handle, message)

    async def let_submit_again(self, launch: Launch) -> None:
        """Forget a submit that came to nothing, so that the next call of the hub makes another."""
        await self._submitting.let_submit_again(launch)

    # --- answer -----------------------------------------------------------------------------

    async def reported(self, launch: Launch, port: int) -> None:
        """Follow up a session's report of its port: look whether it answers, then it runs."""
        await self._answering.reported(launch, port)

    async def may_run(self, launch: Launch) -> bool:
        """Whether a session runs as far as its backend can tell: not known to be gone."""
        is_running = launch.state is LaunchState.RUNNING
        return is_running and (await self._answering.status(launch)).state is not State.GONE

    def watch_answer(self, launch: Launch) -> None:
        """Wait in the background until a submitted launch answers; for one whose port is known."""
        self._answering.watch_answer(launch)

    # --- end --------------------------------------------------------------------------------

    def stop(self, launch: Launch) -> asyncio.Task[None]:
        """Stop a launch whose target is to stop; a second call joins the first."""
        return self._ending.stop(launch)

    async def finish(self, launch: Launch) -> bool:
        """Settle a session that is gone. False while its backend cannot yet say what ran."""
        return await self._ending.finish(launch)

    async def end_unstarted(
        self,
        launch_id: LaunchId,
        reason: EndReason,
        message: str = "",
        *,
        only_from: Collection[LaunchState],
        submit: str | None = None,
    ) -> bool:
        """End a launch of which nothing ran, and release its hold; whether it was so.

        See `hub.launch.ending.Ending.end_unstarted`.
        """
        return await self._ending.end_unstarted(
            launch_id, reason, message, only_from=only_from, submit=submit
        )

    async def aclose(self) -> None:
        """Let submits that are under way hand over, then close; sessions go on."""
        await self._submitting.aclose()
        self._ending.close()
        self._answering.close()
