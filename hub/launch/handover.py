"""Hands registered launches to the hub, and takes finished ones out of it.

The hub starts and lists servers by its own book. `begin` asks it to start a launch's server;
`sweep` asks it to remove the servers of launches that are over, again and again until it has.
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
from hub.launch.runner import utcnow
from hub.launch.states import OVER, LaunchState
from hub.launch.store import Launch
from hub.problems import Problem

log = logging.getLogger(__name__)


_REST = timedelta(seconds=3)
"""The hub is still busy with a server that has just been refused or ended."""


class HandOver:
    """The service's side of the hub's list of servers."""

    def __init__(self, db: Database, hub: HubClient, feed: Feed) -> None:
        self._db = db
        self._hub = hub
        self._feed = feed
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping = asyncio.Lock()

    def begin(self, launch: Launch) -> None:
        """Ask the hub to start the launch's server; returns at once."""
        self._spawn(self._begin(launch), f"hand-over-{launch.id}")

    def abandon(self, launch: Launch) -> None:
        """Let the hub forget a launch that is being stopped, so that its route goes at once."""
        self._spawn(self._remove(launch), f"remove-{launch.id}")

    def _spawn(self, work: object, name: str) -> None:
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, launch: Launch) -> None:
        reply = await self._hub.start_server(
            launch.username, launch.server_name, launch.display_name, launch.request
        )
        if reply.answer is HubAnswer.DONE:
            return
        log.warning("The hub answered %s to the start of %s: %s", reply.status, launch.id, reply.text)
        if reply.answer is HubAnswer.REFUSED:
            # A refusal of ours is recorded by now; this is for one of the hub's own (its limits).
            await self._refuse(launch, _hub_refusal(reply.status))

    async def _refuse(self, launch: Launch, problem: Problem) -> None:
        def refuse(session: Session) -> Launch | None:
            return store.move(
                session,
                launch.id,
                LaunchState.REFUSED,
                only_from={LaunchState.REQUESTED},
                problem=problem.to_json(),
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
                    await self._remove(launch)

    async def _remove(self, launch: Launch) -> None:
        successor = await self._db.run(lambda s: store.live_by_server(s, launch.username, launch.server_name))
        if successor is not None and successor.id != launch.id:
            # The name lives on in a newer launch: its server is not ours to remove.
            await self._mark_clean(launch)
            return
        if await self._hub.is_starting(launch.username, launch.server_name):
            # Somebody starts the same name again, and its plan has not reached us yet.
            return
        reply = await self._hub.remove_server(launch.username, launch.server_name)
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
