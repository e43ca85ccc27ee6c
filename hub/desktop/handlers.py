"""The tunnel's WebSocket, and signing in to it.

``GET /services/desktop/tunnel?ticket=…`` with the subprotocol ``guacamole``, from the site's own origin,
with the tunnel's own cookie and a ticket. Beside the ticket the query may say what the browser is:
``width``, ``height``, ``dpi``, ``timezone``, ``image``, ``audio``; nothing else is read.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from jupyterhub.services.auth import HubOAuthCallbackHandler
from pydantic import ValidationError
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from hub.api.base import BaseHandler
from hub.desktop.codec import CodecError, decode, encode
from hub.desktop.filter import MAX_MESSAGE
from hub.desktop.handshake import ClientFacts
from hub.desktop.pump import Pump, greeting
from hub.desktop.status import Status
from hub.desktop.web import DesktopHandler
from hub.problems import RequestError

if TYPE_CHECKING:
    from hub.desktop.app import DesktopApp

log = logging.getLogger(__name__)

SUBPROTOCOL = "guacamole"
LOGIN_NEXT = re.compile(r"/(?![/\\])[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,1000}\Z")
"""Paths of this origin; ``//host`` and ``/\\host`` would be of another."""

_FACTS = {"width", "height", "dpi"}
_LISTS = {"image", "audio"}


class TunnelHandler(DesktopHandler, WebSocketHandler):
    """One window: a WebSocket that a `Pump` takes over once its desktop is there."""

    def initialize(self, app: Any) -> None:
        """Keep the application's parts."""
        super().initialize(app)
        self.pump: Pump | None = None
        self._work: asyncio.Task[None] | None = None
        self._taken = 0
        self._moved_at = 0.0

    async def prepare(self) -> None:
        """Look at the origin, the subprotocol and the cookie; the ticket's turn is after the upgrade.

        Tornado asks `check_origin` only of requests that look foreign to it, so it is asked here of all.
        """
        if not self.check_origin(self.request.headers.get("Origin", "")):
            raise HTTPError(403, "another origin")
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in [one.strip() for one in offered.split(",")]:
            raise HTTPError(400, "another subprotocol")
        try:
            self.username = await self.who() or ""
        except RequestError:
            self.username = ""

    def check_origin(self, origin: str) -> bool:
        """The site's own, letter by letter."""
        return bool(origin == self.parts.origin)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Guacamole's."""
        return SUBPROTOCOL

    def get_compression_options(self) -> dict[str, Any] | None:
        """None: pictures are compressed already."""
        return None

    @property
    def max_message_size(self) -> int:
        """Twice what the filter takes, so that it is the filter who says so."""
        return 2 * MAX_MESSAGE

    @property
    def ticket(self) -> str:
        """The ticket of the query."""
        return self._argument("ticket")

    @property
    def facts(self) -> ClientFacts:
        """What the browser says of itself; what does not fit is left out, as if it had not been said."""
        said: dict[str, Any] = {name: value for name in _FACTS if (value := self._argument(name))}
        if zone := self._argument("timezone"):
            said["timezone"] = zone
        for name in _LISTS:
            if values := tuple(dict.fromkeys(self._arguments(name))):
                said[name] = values
        try:
            return ClientFacts.model_validate(said)
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors()}
            return ClientFacts.model_validate({k: v for k, v in said.items() if k not in wrong})

    def _argument(self, name: str) -> str:
        try:
            return self.get_query_argument(name, "")
        except HTTPError:  # no UTF-8
            return ""

    def _arguments(self, name: str) -> list[str]:
        try:
            return self.get_query_arguments(name)[:8]
        except HTTPError:
            return []

    def open(self, *_: str, **__: str) -> None:
        """Greet the browser, and find its desktop while its pings are answered."""
        self.set_nodelay(True)
        self.write_message(greeting())
        self._work = asyncio.create_task(self.parts.tunnel.serve(self))

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Hand it to the pump; before there is one, only pings have an answer."""
        if self.pump is not None:
            return self.pump.receive(message)
        if isinstance(message, str) and message.startswith("0.,4.ping,") and len(message) < 40:
            try:
                if len(decode(message)) == 1:
                    self.write_message(message.encode())
            except (CodecError, WebSocketClosedError):
                pass
        return None

    def on_close(self) -> None:
        """The browser is gone."""
        if self.pump is not None:
            self.pump.browser_left()
        elif self._work is not None:
            self._work.cancel()

    def stalled_s(self) -> float:
        """For how long the browser has taken nothing of what is there for it, in seconds; asked often."""
        now = time.monotonic()
        stream = None if self.ws_connection is None else self.ws_connection.stream
        taken = 0 if stream is None else stream._total_write_done_index
        if stream is None or not stream.writing() or taken != self._taken:
            self._taken, self._moved_at = taken, now
        return now - self._moved_at

    def abort(self) -> None:
        """Cut the connection: its browser does not take a goodbye."""
        if self.ws_connection is not None:
            self.ws_connection._abort()

    def refuse(self, status: Status, text: str) -> None:
        """Tell why in band and in the close frame, and close."""
        try:
            self.write_message(encode("error", text[:512], status.reason).encode())
        except (WebSocketClosedError, StreamClosedError):
            return
        self.close(status.websocket, status.reason)

    async def is_signed_in(self) -> bool:
        """Whether the person is still signed in, asked of the hub again."""
        auth = self.hub_auth
        token, session_id = auth._get_token_cookie(self), auth.get_session_id(self)
        model = await auth.user_for_token(token, session_id=session_id, sync=False) if token else None
        return model is not None and model.get("name") == self.username


class CallbackHandler(HubOAuthCallbackHandler, BaseHandler):
    """The hub sends a browser back here with a code."""

    def initialize(self, app: Any) -> None:
        """Keep the application's parts."""
        self.hub_auth = app.hub_auth


class LoginHandler(DesktopHandler):
    """``GET /services/desktop/login?next=``: sign in by the hub, and come back to a page of this origin."""

    async def prepare(self) -> None:
        """Find out who asks, if anybody."""
        self.username = await self.who() or ""

    def get(self) -> None:
        """Lead to the hub, and from there to the page.

        Raises
        ------
        HTTPError
            400 for a page elsewhere.
        """
        page = self.get_query_argument("next", "/")
        if not LOGIN_NEXT.match(page):
            raise HTTPError(400)
        if not self.username:
            self.redirect(self.get_login_url())
            return
        self.set_pages_cookie()
        self.redirect(page)


class MeHandler(DesktopHandler):
    """``GET /services/desktop/me``: who is signed in here; 401 sends a page to the login once."""

    def get(self) -> None:
        """Answer the name."""
        self.finish({"username": self.username})


class HealthHandler(BaseHandler):
    """``GET /services/desktop/health``: for probes, whether desktops can be shown now."""

    def initialize(self, app: Any) -> None:
        """Keep the application's parts."""
        self.parts: DesktopApp = app

    def get(self) -> None:
        """200 with how many connections there are."""
        self.finish({"status": "ok", "connections": len(self.parts.connections)})
