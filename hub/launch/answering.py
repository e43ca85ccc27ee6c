"""The phase between a submit and a session that answers.

A session reports its port; then it is asked over HTTP until it answers, and runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy.orm import Session
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from hub.database import Database
from hub.launch import refusals, store
from hub.launch.news import News, utcnow
from hub.launch.states import MAY_RUN, LaunchState
from hub.launch.store import Launch
from hub.launch.timing import deadline_of
from hub.settings import url_host
from spawners.backend import Backend, State, Status

_NOWHERE_YET = frozenset({State.UNKNOWN, State.PENDING})
"""With these no host means that it is not known; a session that runs without one is on this machine."""


class Answering:
    """Waits until submitted launches answer."""

    def __init__(
        self,
        *,
        db: Database,
        news: News,
        backends: Mapping[str, Backend],
        answers: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._db = db
        self._news = news
        self._backends = backends
        self._http = AsyncHTTPClient(force_instance=True)
        self._answers = answers or self._probe
        self._probes: set[asyncio.Task[None]] = set()

    async def reported(self, launch: Launch, port: int) -> None:
        """Follow up a session's report of its port: look whether it answers, then it runs.

        Raises
        ------
        RequestError
            ``backend_unavailable`` while its place cannot tell where it runs; it reports again.
        """
        status = await self._locate(launch)
        if status.host is None and status.state in _NOWHERE_YET:
            raise refusals.backend_unavailable(launch.place or "")
        url = f"http://{url_host(status.host or '127.0.0.1')}:{port}"
        # A session that reports runs: its time counts, if the watcher has not seen it before.
        deadline = launch.deadline or deadline_of(launch, status)
        saved = await self._db.run(
            lambda s: store.change(s, launch.id, only_in=MAY_RUN, url=url, deadline=deadline)
        )
        if saved is not None:
            self.watch_answer(saved)

    async def status(self, launch: Launch) -> Status:
        """What the launch's backend says of it; unknown before it has a handle."""
        backend = self._backends.get(launch.place or "")
        if launch.handle is None or backend is None:
            return Status(State.UNKNOWN)
        answers = await backend.status({launch.id: launch.handle})
        return answers.get(launch.id, Status(State.UNKNOWN))

    async def _locate(self, launch: Launch) -> Status:
        """Where a session runs that has just reported: the last look may be from before its start."""
        backend = self._backends.get(launch.place or "")
        if launch.handle is None or backend is None:
            return Status(State.UNKNOWN)
        return await backend.locate(launch.id, launch.handle)

    def watch_answer(self, launch: Launch) -> None:
        """Wait in the background until a submitted launch answers; for one whose port is known."""
        task = asyncio.create_task(self.confirm_answer(launch), name=f"answer-{launch.id}")
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def confirm_answer(self, launch: Launch) -> None:
        """Move a submitted launch to running once its server answers."""
        delay = 0.02
        while True:
            current = await self._db.run(lambda s: store.get(s, launch.id))
            if current is None or current.state is not LaunchState.SUBMITTED or current.url is None:
                return
            if await self._answers(session_api_url(current)):
                break
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 1.0)
        now = utcnow()

        def running(session: Session) -> Launch | None:
            moved = store.move(session, launch.id, LaunchState.RUNNING, running_at=now)
            if moved is not None:
                store.add_event(session, launch.id, "running", "The session answers.", now)
            return moved

        moved = await self._db.run(running)
        if moved is not None:
            self._news.tell(moved)

    async def _probe(self, url: str) -> bool:
        try:
            reply = await self._http.fetch(url, raise_error=False, connect_timeout=2, request_timeout=5)
        except (OSError, HTTPClientError):  # the second: a time-out, or a connection cut off
            return False
        return reply.code == 200

    def close(self) -> None:
        """Stop asking."""
        for task in self._probes:
            task.cancel()
        self._http.close()


def session_api_url(launch: Launch) -> str:
    """Address of the session's version endpoint, which answers without authentication."""
    assert launch.url is not None
    return f"{launch.url}/user/{launch.username}/{launch.server_name}/api"
