"""Hands registered launches to the hub, and takes finished ones out of it.

The hub starts and lists servers by its own book. `begin` asks it to start a launch's server, again
and again while it does not answer; `sweep` asks it to remove the servers of launches that are over.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import refusals, store
from hub.launch.feed import OPERATORS_TOPIC, Feed, person_topic
from hub.launch.hubclient import HubAnswer, HubClient
from hub.launch.news import utcnow
from hub.launch.states import BEFORE_HOLD, OVER, LaunchState
from hub.launch.store import Launch
from hub.problems import Problem
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 1.0

_REST = timedelta(seconds=3)
"""The hub is still busy with a server that has just been refused or ended."""


class HandOver:
    """The service's side of the hub's list of servers."""

    def __init__(
        self,
        db: Database,
        hub: HubClient,
        feed: Feed,
        *,
        grace: timedelta,
        ask_again_s: float = _ASK_AGAIN_S,
    ) -> None:
        self._db = db
        self._hub = hub
        self._feed = feed
        self._grace = grace
        self._ask_again_s = ask_again_s
        self._beginning: set[LaunchId] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping = asyncio.Lock()

    def begin(self, launch: Launch) -> None:
        """Ask the hub to start the launch's server; returns at once. A second call joins the first."""
        if launch.id not in self._beginning:
            self._beginning.add(launch.id)
            self._spawn(self._begin(launch), f"hand-over-{launch.id}")

    def abandon(self, launch: Launch) -> None:
        """Let the hub forget a launch that is being stopped, so that its route goes at once."""
        self._spawn(self._remove(launch, only_idle=False), f"remove-{launch.id}")

    async def is_known(self, launch: Launch) -> bool | None:
        """Whether the hub still lists the launch's server as one that runs or starts; None: unknown."""
        servers = await self._hub.active_servers(launch.username)
        return None if servers is None else launch.server_name in servers

    def _spawn(self, work: object, name: str) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, launch: Launch) -> None:
        try:
            while await self._is_wanted(launch):
                reply = await self._hub.start_server(
                    launch.username, launch.server_name, launch.display_name, launch.request
                )
                if reply.answer is HubAnswer.DONE:
                    return
                log.warning("The hub answered %s to the start of %s: %s", reply.status, launch.id, reply.text)
                if reply.answer is HubAnswer.REFUSED:
                    # A refusal of ours is recorded by now; this is for one of the hub's own (its limits).
                    await self._refuse(launch, _hub_refusal(reply.status))
                    return
                # It may have taken the start or not: asked again, it says that it is under way.
                await asyncio.sleep(self._ask_again_s)
        finally:
            self._beginning.discard(launch.id)

    async def _is_wanted(self, launch: Launch) -> bool:
        """Whether the hub has yet to come for a launch, and still may."""
        current = await self._db.run(lambda s: store.get(s, launch.id))
        is_waiting = current is not None and current.state in BEFORE_HOLD
        return is_waiting and utcnow() - launch.created_at <= self._grace

    async def _refuse(self, launch: Launch, problem: Problem) -> None:
        def refuse(session: Session) -> Launch | None:
            return store.move(
                session,
                launch.id,
                LaunchState.REFUSED,
                only_from={LaunchState.REQUESTED},
                problem=problem.to_json(),
                ended_at=utcnow(),
            )

        if await self._db.run(refuse) is not None:
            self._feed.notify(launch.id, person_topic(launch.username), OPERATORS_TOPIC)

    async def give_up(self, launch: Launch) -> None:
        """Refuse a launch that the hub never came for."""
        await self._refuse(launch, refusals.hub_unavailable())

    async def sweep(self) -> None:
        """Remove from the hub all servers whose launch is over."""
        if self._sweeping.locked():
            return
        async with self._sweeping:
            settled = utcnow() - _REST
            for launch in await self._db.run(store.not_cleaned):
                if (launch.ended_at or launch.created_at) < settled:
                    # Somebody may just start the same name again, before its plan has reached us.
                    await self._remove(launch, only_idle=True)

    async def _remove(self, launch: Launch, *, only_idle: bool) -> None:
        successor = await self._db.run(lambda s: store.live_by_server(s, launch.username, launch.server_name))
        if successor is not None and successor.id != launch.id:
            # The name lives on in a newer launch: its server is not ours to remove.
            await self._mark_clean(launch)
            return
        reply = await self._hub.remove_server(launch.username, launch.server_name, only_idle=only_idle)
        if reply.answer is HubAnswer.DONE:
            await self._mark_clean(launch)
        else:
            log.info("The hub answered %s to the removal of %s", reply.status, launch.id)

    async def _mark_clean(self, launch: Launch) -> None:
        await self._db.run(lambda s: store.change(s, launch.id, only_in=OVER, hub_cleaned=True))

    async def aclose(self) -> None:
        """Drop calls under way; the sweep repeats what matters."""
        for task in list(self._tasks):
            task.cancel()


def _hub_refusal(status: int) -> Problem:
    return Problem(
        "hub_refused",
        429 if status == 429 else 409,
        "The hub refused the start",
        "The hub refused to start the session: it may be at its limit of sessions.",
        "Stop a session that you no longer need, then try again.",
    )
