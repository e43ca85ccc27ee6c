"""The relay in a session's server: its screen as RFB (RFC 6143) over a WebSocket.

Below the session's own address, ``panhub/desktop/rfb`` with subprotocol ``panhub-rfb`` takes a capability
and nothing else. The first message is `Hello`; binary ones are the RFB stream. Bytes are held by whoever
sends them until the other side takes them: neither direction is read further than it was written.
"""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketError,
    websocket_connect,
)

from hub.desktop.capability import sign
from hub.desktop.models import SessionTarget
from hub.desktop.targets import Carrier, CarryEnd, TargetRefusedError, TargetSilentError

log = logging.getLogger(__name__)

PATH = "panhub/desktop"
SUBPROTOCOL = "panhub-rfb"

_CONNECT_S = 5.0
_CHUNK = 32 * 1024
_MOST_MESSAGE = 128 * 1024
"""The relay sends 64 KiB at most; nothing is lost by taking twice that."""

_PING_S = 30.0
"""A node that does not answer for that long is cut off; its server may be busy for seconds."""

_GOING_AWAY = 1001
"""Close code of a server that ends, by RFC 6455 7.4.1: the session is over."""


class Hello(BaseModel):
    """First message of the relay: the display's password and size [pixels]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: str = Field(max_length=64, repr=False)
    width: int = Field(ge=1, le=32767)
    height: int = Field(ge=1, le=32767)


class Relay:
    """One open WebSocket to a session's display, for one connection of guacd."""

    def __init__(self, socket: WebSocketClientConnection, hello: Hello) -> None:
        self._socket = socket
        self._is_closed = False
        self.values: Mapping[str, str] = {"password": hello.password}

    async def carry(self, reader: StreamReader, writer: StreamWriter) -> CarryEnd:
        """Carry RFB both ways until one side ends; closes neither, so that the caller may act first."""
        to_session = asyncio.create_task(self._to_session(reader))
        to_guacd = asyncio.create_task(self._to_guacd(writer))
        try:
            await asyncio.wait((to_session, to_guacd), return_when=asyncio.FIRST_COMPLETED)
            if to_session.done() and not self._is_closed:
                return CarryEnd.GUACD
            return CarryEnd.OVER if self._socket.close_code == _GOING_AWAY else CarryEnd.CUT
        finally:
            for task in (to_session, to_guacd):
                task.cancel()
            await asyncio.gather(to_session, to_guacd, return_exceptions=True)

    async def tell_input(self) -> None:
        """Say that somebody used mouse or keys, which keeps the session from being ended as idle."""
        try:
            await self._socket.write_message(json.dumps({"input": True}))
        except (WebSocketClosedError, StreamClosedError):
            log.debug("The relay closed before it was told of input")

    def close(self) -> None:
        """Close the WebSocket."""
        self._socket.close()

    async def _to_session(self, reader: StreamReader) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await self._socket.write_message(data, binary=True)
        except (WebSocketClosedError, StreamClosedError):
            self._is_closed = True
        except OSError:
            return

    async def _to_guacd(self, writer: StreamWriter) -> None:
        try:
            while (message := await self._socket.read_message()) is not None:
                if isinstance(message, bytes):
                    writer.write(message)
                    await writer.drain()
            self._is_closed = True
        except OSError:
            return


class SessionDisplay:
    """The display of a session, by the relay in its server."""

    protocol = "vnc"
    needs: frozenset[str] = frozenset()
    values: Mapping[str, str] = {
        "color-depth": "24",
        "clipboard-encoding": "ISO8859-1",  # what RFB has: Xvnc takes and gives no other
        "disable-display-resize": "true",  # the screen is set by the relay, for all windows at once
    }

    def __init__(self, target: SessionTarget, key: Ed25519PrivateKey) -> None:
        self._target, self._key = target, key

    async def open(self) -> Carrier:
        """Open the relay."""
        return await open_relay(self._target, self._key)


async def open_relay(target: SessionTarget, key: Ed25519PrivateKey) -> Relay:
    """Open the display of a session.

    Raises
    ------
    TargetSilentError
        If its server does not answer in time, or with nothing a relay would say.
    TargetRefusedError
        If it answers that there is no desktop, or not for us.
    """
    url = f"{target.url.rstrip('/')}/{PATH}/rfb"
    request = HTTPRequest(
        "ws" + url.removeprefix("http"),
        headers={"Authorization": f"Capability {sign(key, target.launch_id, 'rfb')}"},
        connect_timeout=_CONNECT_S,
        request_timeout=_CONNECT_S,
    )
    opening = asyncio.ensure_future(
        websocket_connect(
            request,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            max_message_size=_MOST_MESSAGE,
            subprotocols=[SUBPROTOCOL],
        )
    )
    try:
        socket = await opening
    except HTTPClientError as error:
        if 400 <= error.code < 500:
            raise TargetRefusedError(f"the relay answered {error.code}") from error
        raise TargetSilentError(str(error)) from error
    except (OSError, StreamClosedError, WebSocketError) as error:
        raise TargetSilentError(str(error) or type(error).__name__) from error
    except asyncio.CancelledError:
        # What opens meanwhile would stay open, with nobody to close it.
        opening.add_done_callback(_close_late)
        raise
    try:
        async with asyncio.timeout(_CONNECT_S):
            first = await socket.read_message()
        return Relay(socket, Hello.model_validate_json(first or b""))
    except (TimeoutError, ValidationError) as error:
        socket.close()
        raise TargetSilentError("the relay does not greet") from error
    except asyncio.CancelledError:
        socket.close()
        raise


def _close_late(opening: asyncio.Future[WebSocketClientConnection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
