"""The hub's own addresses that PaNHub answers otherwise; they come before JupyterHub's.

Its home and spawn pages lead to ours. Its REST call to change a server is refused: sessions are
known by their name, and options that were stored aside of a start would be of no use.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from tornado.web import HTTPError

from hub.settings import SERVICE_PREFIX


class ToSessions(BaseHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/home``: the sessions page."""

    def get(self, *_: str) -> None:
        """Redirect."""
        self.redirect(f"{SERVICE_PREFIX}/")


class ToNewSession(BaseHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/spawn``: the form. A GET never starts anything, and its POST is not used."""

    def get(self, *_: str) -> None:
        """Redirect, with the query that pre-fills the form; nothing else is taken from it."""
        known = ("dataset", "template", "profile", "size")
        given = {name: value for name in known if (value := self.get_query_argument(f"opt-{name}", ""))}
        self.redirect(f"{SERVICE_PREFIX}/new" + (f"?{urlencode(given)}" if given else ""))

    def post(self, *_: str) -> None:
        """Refuse.

        Raises
        ------
        HTTPError
            405.
        """
        raise HTTPError(405, "Start a session from the page New session.")


class ServerHandler(UserServerAPIHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/api/users/…/servers/…`` as JupyterHub has it, but nothing is changed in place."""

    async def patch(self, user_name: str, server_name: str = "") -> None:
        """Refuse.

        Raises
        ------
        HTTPError
            405 with the code ``change_refused``.
        """
        error = HTTPError(405, "A session cannot be renamed or changed; start another one.")
        error.headers = {"X-PanHub-Code": "change_refused"}  # type: ignore[attr-defined]  # the hub sends them
        raise error


def hub_handlers() -> list[Any]:
    """Patterns below the hub's prefix."""
    return [
        (r"/home", ToSessions),
        (r"/spawn", ToNewSession),
        (r"/spawn/([^/]+)", ToNewSession),
        (r"/spawn/([^/]+)/([^/]+)", ToNewSession),
        (r"/api/users/([^/]+)/server", ServerHandler),
        (r"/api/users/([^/]+)/servers/([^/]*)", ServerHandler),
    ]
