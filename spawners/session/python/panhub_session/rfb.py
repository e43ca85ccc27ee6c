"""The desktop's picture: RFB (RFC 6143) between the X server's socket and the tunnel's WebSocket.

Subprotocol ``panhub-rfb``. The first message is text, ``{"password": …, "width": …, "height": …}``; then
binary messages both ways are the byte stream, cut anywhere. The tunnel's text ``{"input": true}`` says
that somebody used mouse, keys or touch: the session is in use. An open connection alone is not.
Neither side is read further than the other takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from datetime import UTC, datetime
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from panhub_session.desktop import Desk, check

log = logging.getLogger("panhub_session")

SUBPROTOCOL = "panhub-rfb"
_MOST_MESSAGE = 64 * 1024
_CHUNK = 60 * 1024
_MOST_CONNECTIONS = 64
_PATIENCE_S = 3.0
_PAUSE_S = 0.05
_INPUT = {"input": True}
_SWITCHING = 101
_NOT_UNDERSTOOD = 1003
_ENDED = 1011
"""Close codes of RFC 6455, 7.4.1."""


class RfbHandler(WebSocketHandler):
    """``GET rfb``: one viewer of the display, which is one connection of guacd."""

    def initialize(self, desk: Desk) -> None:
        """Take the session's desktop."""
        self._desk = desk
        self._writer: asyncio.StreamWriter | None = None
        self._pump: asyncio.Task[None] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._is_counted = False

    @property
    def ping_interval(self) -> None:
        """None: a tunnel that holds us back answers no ping, and need not. It pings; TCP sees the rest."""
        return

    @property
    def max_message_size(self) -> int:
        """Of messages of the tunnel [bytes]."""
        return _MOST_MESSAGE

    def check_origin(self, origin: str) -> bool:
        """No browser comes here."""
        return False

    def get_compression_options(self) -> None:
        """None: the pixels are compressed where they are seen."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Ours, which was asked for."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    async def prepare(self) -> None:
        """Check, and connect to the display before the tunnel is told that it is there."""
        check(self, self._desk, "rfb")
        asked = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in [word.strip() for word in asked.split(",")]:
            raise web.HTTPError(400, reason="Bad Request")
        if self._desk.connections >= _MOST_CONNECTIONS:
            raise web.HTTPError(503, reason="Too many connections")
        self._is_counted = True
        self._desk.connections += 1
        try:
            self._reader, self._writer = await self._connect()
        except OSError as error:
            raise web.HTTPError(503, reason="The desktop is starting") from error

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._desk.folder is not None
        for _ in range(round(_PATIENCE_S / _PAUSE_S)):
            if await asyncio.to_thread(self._desk.is_up):
                break
            await asyncio.sleep(_PAUSE_S)
        return await asyncio.open_unix_connection(self._desk.folder / "rfb", limit=_CHUNK)

    @allow_unauthenticated  # by a capability
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Become a WebSocket."""
        await super().get(*args, **kwargs)

    def open(self) -> None:
        """Greet, then let the pixels come."""
        connection: Any = self.ws_connection
        stream = connection.stream.socket
        with contextlib.suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.set_nodelay(True)
        self._pump = asyncio.create_task(self._to_tunnel())

    async def _to_tunnel(self) -> None:
        assert self._reader is not None
        folder = self._desk.folder
        assert folder is not None
        try:
            password = await asyncio.to_thread((folder / "password").read_text, "ascii")
            width, height = self._desk.size
            await self.write_message(json.dumps({"password": password, "width": width, "height": height}))
            while data := await self._reader.read(_CHUNK):
                await self.write_message(data, binary=True)
        except (WebSocketClosedError, StreamClosedError):
            return
        except OSError as error:
            log.warning("The display went away: %s", error)
        self.close(_ENDED, "The desktop ended.")

    async def on_message(self, message: str | bytes) -> None:
        """Hand on bytes; the next message is read when the display has taken these."""
        if isinstance(message, str):
            self._note(message)
            return
        if self._writer is None:
            return
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError:
            self.close(_ENDED, "The desktop ended.")

    def _note(self, message: str) -> None:
        try:
            is_input = json.loads(message) == _INPUT
        except (ValueError, RecursionError):
            is_input = False
        if is_input:
            self.settings["last_activity_times"]["panhub_desktop"] = datetime.now(UTC)
        else:
            self.close(_NOT_UNDERSTOOD, "What is that?")

    def on_close(self) -> None:
        """The tunnel went away."""
        if self._pump is not None:
            self._pump.cancel()
        self._release()

    def on_finish(self) -> None:
        """Of what never became a WebSocket."""
        super().on_finish()
        if self.get_status() != _SWITCHING:  # Tornado finishes the request when the WebSocket begins
            self._release()

    def _release(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if self._is_counted:
            self._is_counted = False
            self._desk.connections -= 1
