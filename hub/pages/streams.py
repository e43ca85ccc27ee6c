"""Event streams of the pages, and static files."""

from __future__ import annotations

from collections.abc import Sequence

from tornado.iostream import StreamClosedError
from tornado.web import StaticFileHandler

from hub.api.base import CONTENT_SECURITY_POLICY
from hub.api.launches import EventStream
from hub.launch import store
from hub.launch.feed import person_topic, wait_for_news
from hub.launch.store import Event

_KEEPALIVE_S = 15.0
_YEAR_S = 365 * 24 * 3600


class PageStream(EventStream):
    """A stream for EventSource, which cannot send the XSRF header.

    It changes nothing and holds no secret; another site cannot read it.
    """

    def check_xsrf_cookie(self) -> None:
        """Not for a GET that EventSource makes of a page of ours."""
        if self.request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            super().check_xsrf_cookie()


class HomeEvents(PageStream):
    """``/events``: tells the home page which of its parts changed."""

    async def get(self) -> None:
        """Stream until the browser leaves."""
        with self.app.feed.listen(person_topic(self.person.username)) as news:
            try:
                await self.open_stream()
                while True:
                    if await wait_for_news(news, _KEEPALIVE_S):
                        for part in ("sessions", "recent", "meters"):
                            await self.send({}, event=part)
                    else:
                        await self.keep_alive()
            except StreamClosedError:
                return


class LaunchPageEvents(PageStream):
    """``/launches/{id}/events``: lines of progress, and when to fetch the fragment anew."""

    async def get(self, launch_id: str) -> None:
        """Stream until the launch is over or the browser leaves."""
        launch = await self.own_launch(launch_id)
        seen = self.last_event_id()
        with self.app.feed.listen(launch.id) as news:
            try:
                await self.open_stream()
                while True:
                    events = await self._after(launch_id, seen)
                    for event in events:
                        data = {"seq": event.seq, "at": event.at.isoformat(), "message": event.message}
                        await self.send(data, event="progress", number=event.seq)
                        seen = event.seq
                    launch = await self.own_launch(launch_id)
                    if not launch.is_live:
                        await self.send({}, event="end")
                        return
                    await self.send({}, event="change")
                    while not await wait_for_news(news, _KEEPALIVE_S):
                        await self.keep_alive()
            except StreamClosedError:
                return

    async def _after(self, launch_id: str, seen: int) -> Sequence[Event]:
        return await self.app.db.run(lambda s: store.events_after(s, launch_id, seen))


class StaticFiles(StaticFileHandler):
    """``/static/{name}``: names with a hash never change."""

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep what never changes."""
        self.set_header("Cache-Control", f"public, max-age={_YEAR_S}, immutable")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
