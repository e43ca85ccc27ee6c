"""Guests of a shared session: their open channels end once the hub no longer lets them in.

A WebSocket (of a kernel, a terminal) is checked when it opens, and would stay open for as long as its page
does. Here the hub is asked again about those of others than the owner; a hub that does not answer ends none.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

log = logging.getLogger(__name__)

_LOOK_S = 15.0
_POLICY_VIOLATION = 1008
"""Close code of RFC 6455, section 7.4.1."""


class Guests:
    """Open WebSockets of people who are not the session's owner."""

    def __init__(self, hub_auth: Any, owner: str) -> None:
        self._hub_auth = hub_auth
        self._owner = owner
        self._tokens: WeakKeyDictionary[WebSocketHandler, str] = WeakKeyDictionary()

    def notice(self, handler: WebSocketHandler) -> None:
        """Remember a WebSocket that opens, if a guest of the hub's opens it."""
        user = getattr(handler, "_jupyterhub_user", None)
        if user is None or user.username == self._owner:
            return
        if token := self._hub_auth.get_token(handler):
            self._tokens[handler] = token

    async def look(self) -> None:
        """Close those whose person may no longer be here."""
        for handler, token in list(self._tokens.items()):
            if await self._is_over(token):
                log.info("A guest may no longer be here: a channel is closed")
                del self._tokens[handler]
                handler.close(_POLICY_VIOLATION, "This session is not shared with you any more.")

    async def _is_over(self, token: str) -> bool:
        try:
            model = await self._hub_auth.user_for_token(token, use_cache=False, sync=False)
        except HTTPError:
            return False  # nobody can say
        return model is None or not self._hub_auth.check_scopes(self._hub_auth.access_scopes, model)

    async def keep_looking(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self.look()
            except Exception:
                log.exception("Guests could not be checked; the next look comes")


def watch(server: Any) -> None:
    """Begin to watch; only where the server asks a hub who people are."""
    hub_auth = getattr(server.identity_provider, "hub_auth", None)
    if hub_auth is None:
        return
    guests = Guests(hub_auth, os.environ.get("JUPYTERHUB_USER", ""))
    opening: Callable[[WebSocketHandler], Any] = WebSocketHandler.get_websocket_protocol

    def noticed(handler: WebSocketHandler) -> Any:
        guests.notice(handler)
        return opening(handler)

    # Called once for each WebSocket that opens, whatever class of handler it has.
    WebSocketHandler.get_websocket_protocol = noticed  # type: ignore[assignment, method-assign]
    server.io_loop.add_callback(guests.keep_looking)
