"""Text messages to a browser on Tornado's WebSocket, without a task and a copy for each.

`WebSocketHandler.write_message` makes a task for every message, which costs as much as all else that a small
one needs. A frame written to the connection's stream is the same on the wire, since nothing is compressed or
masked; it comes between Tornado's own control frames, each of which is one write as well.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any, Protocol

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

TEXT = 0x81
"""Final frame of a text message (RFC 6455, 5.2)."""


class Browser(Protocol):
    """What is used of Tornado's ``WebSocketHandler``."""

    def write_message(self, message: bytes, binary: bool = False) -> asyncio.Future[None]:
        """Send a message; done when the kernel has it all."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the WebSocket."""


def send(browser: Browser, text: bytes) -> asyncio.Future[None]:
    """Send a message of valid UTF-8; done at once if the kernel took it all.

    Raises
    ------
    WebSocketClosedError
        If the browser is gone; the future may end with `StreamClosedError`, too.
    """
    if not isinstance(browser, WebSocketHandler):
        return browser.write_message(text)
    connection: Any = browser.ws_connection
    if connection is None or connection.is_closing():
        raise WebSocketClosedError
    try:
        sent: asyncio.Future[None] = connection.stream.write(frame(text))
    except StreamClosedError as error:
        raise WebSocketClosedError from error
    return sent


def frame(text: bytes) -> bytes:
    """Return a text message as one frame of a server."""
    size = len(text)
    if size < 126:
        head = struct.pack("!BB", TEXT, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", TEXT, 127, size)
    return head + text
