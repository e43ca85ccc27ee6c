"""Event streams of the pages, and static files."""

from __future__ import annotations

from tornado.iostream import StreamClosedError
from tornado.web import StaticFileHandler

from hub.api.base import CONTENT_SECURITY_POLICY
from hub.api.launches import EventStream, LaunchEventsHandler
from hub.launch.feed import person_topic, wait_for_news

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
    """``/events``: tells the home page which of its parts changed.

    ``since`` is the position that the page was made at: what came before the browser got here is
    not lost.
    """

    async def get(self) -> None:
        """Stream until the browser leaves."""
        username = self.person.username
        with self.app.feed.listen(person_topic(username)) as news:
            if self.get_query_argument("since", "") != self.app.feed.position(username):
                news.set()
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


class LaunchPageEvents(PageStream, LaunchEventsHandler):
    """``/launches/{id}/events``: the API's stream under the names that the page listens to."""

    state_event = "change"
    end_event = "end"


class StaticFiles(StaticFileHandler):
    """``/static/{name}``: names with a hash never change."""

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep what never changes."""
        self.set_header("Cache-Control", f"public, max-age={_YEAR_S}, immutable")
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
