"""Base of the page handlers: who looks, HTML answers, refusals as pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from hub.api.base import PersonHandler
from hub.launch import store
from hub.launch.news import utcnow
from hub.launch.outlook import Outlook
from hub.launch.states import LIVE
from hub.launch.store import Launch
from hub.pages.cards import Cards
from hub.pages.views import Viewer
from hub.problems import Problem, RequestError
from spawners.plan import LaunchId

_NEXT = {"home": (), "operate": ("operate",)}


class PageHandler(PersonHandler):
    """A page or fragment for a person in a browser."""

    def refuse_stranger(self) -> None:
        """Lead somebody who is not signed in to the hub's login, and back."""
        if self.request.method == "GET" and self.request.headers.get("HX-Request") is None:
            self.redirect(self.get_login_url())
            return
        super().refuse_stranger()

    @property
    def viewer(self) -> Viewer:
        """Who looks at the page."""
        return Viewer(self.person.display_name, self.person.username, self.person.is_operator)

    def show(self, template: str, status: int = 200, **context: Any) -> None:
        """Answer with a page or fragment."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.app.renderer.render(template, viewer=self.viewer, xsrf=self.xsrf_text, **context))

    @property
    def xsrf_text(self) -> str:
        """The request's XSRF token as text."""
        token = self.xsrf_token
        return token.decode() if isinstance(token, bytes) else str(token)

    def write_problem(self, problem: Problem) -> None:
        """A refusal or fault as a page, where a page was asked for."""
        person = getattr(self, "person", None)
        if "text/html" not in self.request.headers.get("Accept", "text/html"):
            super().write_problem(problem)
            return
        self.set_status(problem.status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        viewer = self.viewer if person is not None else None
        xsrf = self.xsrf_text if person is not None else ""
        self.finish(self.app.renderer.problem(problem, viewer=viewer, xsrf=xsrf))

    def to(self, *segments: str, fields: Sequence[tuple[str, str]] = ()) -> None:
        """Answer a change: see the page that shows what came of it, with ``fields`` as its query."""
        query = f"?{urlencode(fields)}" if fields else ""
        self.redirect(self.app.renderer.url(*segments) + query, status=303)

    def to_next(self, launch: Launch) -> None:
        """Go where the form said: a name, never an address."""
        name = self.get_body_argument("next", "home")
        if name == "launch":
            self.to("launches", launch.id)
        else:
            self.to(*_NEXT.get(name, ()))

    def cards(self, live: Sequence[Launch] = (), outlooks: Mapping[LaunchId, Outlook] | None = None) -> Cards:
        """Builder of cards for this moment; ``live`` are the person's sessions."""
        return Cards(
            self.app.watcher.last,
            utcnow(),
            self.app.launches.extend_step,
            live,
            profiles=self.app.profiles,
            outlooks=outlooks,
        )

    async def live_launches(self) -> list[Launch]:
        """This person's launches that are not over, newest first."""
        return await self.app.db.run(lambda s: store.of_person(s, self.person.id, states=LIVE))

    def require_operator(self) -> None:
        """Refuse everybody else.

        Raises
        ------
        RequestError
            ``operators_only`` (403).
        """
        if not self.person.is_operator:
            raise RequestError(
                Problem(
                    "operators_only",
                    403,
                    "For operators",
                    "This page is for the operators of the site.",
                    "Your own use is on the page Usage.",
                )
            )

    def days(self) -> int:
        """Range of days asked for."""
        text = self.get_query_argument("days", "30")
        return min(366, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 4 else 30

    async def recent_launches(self, limit: int = 30) -> list[Launch]:
        """This person's launches that are over, newest first."""
        found = await self.app.db.run(lambda s: store.of_person(s, self.person.id, limit=limit + 20))
        return [launch for launch in found if not launch.is_live][:limit]


RECENT_NOTICE = timedelta(hours=24)
"""A failure is announced on the home page this long, or until it is put away."""
