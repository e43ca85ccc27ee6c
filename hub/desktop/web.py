"""Base of the tunnel's handlers: who asks, and tokens against forgery for pages of another service.

The pages that use the tunnel are those of `panhub serve`, below another path, and JupyterHub's token
against forgery is a cookie that only pages below the tunnel's own path could read. So a sign-in here sets
a second cookie where they can (`PAGES_COOKIE`), with a signed copy of the same secret; they send it back
in ``X-XSRFToken``. Sessions of others live on the same origin: a request that a script makes must have it,
a reading one too.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Any

from jupyterhub.services.auth import HubOAuthenticated, UserNotAllowed
from tornado.web import HTTPError, RequestHandler, decode_signed_value

from hub.api.base import BaseHandler
from hub.launch import refusals
from hub.problems import Problem, RequestError

if TYPE_CHECKING:
    from hub.desktop.app import DesktopApp

log = logging.getLogger(__name__)

PAGES_COOKIE = "panhub-desktop-xsrf"
PAGES_PATH = "/services/panhub/desktops/"

_NAVIGATIONS = {"navigate", "websocket", "unspecified"}


class DesktopHandler(HubOAuthenticated, BaseHandler):
    """A handler of the tunnel; ``self.username`` is set before the method runs."""

    username: str

    def initialize(self, app: Any) -> None:
        """Keep the application's parts."""
        self.parts: DesktopApp = app
        self.hub_auth = app.hub_auth

    async def prepare(self) -> None:
        """Find out who asks.

        Raises
        ------
        RequestError
            401 if nobody is known.
        """
        username = await self.who()
        if username is None:
            raise not_signed_in()
        self.username = username

    async def who(self) -> str | None:
        """The person who asks by the hub's word, or None.

        Raises
        ------
        RequestError
            For a token that was not made for the tunnel.
        """
        model = await self.hub_auth.get_user(self, sync=False)
        if model is None or model.get("kind") != "user":
            return None
        try:
            allowed = self.check_hub_user(model)
        except UserNotAllowed as error:
            raise refusals.token_not_accepted() from error
        # HubAuth's own property would ask again, and synchronously.
        self._hub_auth_user_cache = allowed
        return str(allowed["name"]) if allowed else None

    def check_xsrf_cookie(self) -> None:
        """Refuse what a script asks without the token; `hub_auth` calls this when it takes a cookie.

        Raises
        ------
        HTTPError
            403.
        """
        mode = self.request.headers.get("Sec-Fetch-Mode", "unspecified")
        if mode in _NAVIGATIONS and self.request.method in {"GET", "HEAD"}:
            return
        token = self.request.headers.get("X-XSRFToken", "")
        found = decode_signed_value(self.settings["cookie_secret"], PAGES_COOKIE, token, max_age_days=31)
        if found is None or not hmac.compare_digest(found, self._xsrf_token_id):
            raise HTTPError(403, "no token against forgery")

    def set_pages_cookie(self) -> None:
        """Give the pages their token; the person is signed in."""
        self.set_cookie(
            PAGES_COOKIE,
            self.create_signed_value(PAGES_COOKIE, self._xsrf_token_id).decode(),
            path=PAGES_PATH,
            samesite="Strict",
            secure=self.request.protocol == "https",
        )

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log a fault by its path: queries hold tickets and names of files."""
        log_exception(self, typ, value, tb)

    def _request_summary(self) -> str:
        return f"{self.request.method} {self.request.path}"


def log_exception(handler: RequestHandler, typ: Any, value: BaseException | None, tb: Any) -> None:
    """Log a refusal in a line and a fault with its traceback, both without the query."""
    where = f"{handler.request.method} {handler.request.path}"
    if isinstance(value, HTTPError):
        log.info("%s: %d", where, value.status_code)
    elif value is not None:
        log.error("%s failed", where, exc_info=value)


def not_signed_in() -> RequestError:
    """Nobody is known, or the request has no token against forgery."""
    return RequestError(
        Problem("login_required", 401, "Not signed in", "Sign in to see desktops.", "Sign in again.")
    )


def not_here() -> RequestError:
    """They have no window open there that may do this."""
    return RequestError(
        Problem(
            "desktop_not_open",
            403,
            "Not allowed now",
            "This needs an open desktop and the right to it.",
            "Open the desktop, or take control first.",
        )
    )


def desktop_silent() -> RequestError:
    """The session's server does not answer."""
    return RequestError(
        Problem("desktop_silent", 502, "No answer", "The desktop does not answer.", "Try again in a minute.")
    )
