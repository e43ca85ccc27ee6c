"""A person's window at a desktop, without a browser: the WebSocket, the protocol, keys and mouse.

It goes the way that the page goes: the tunnel's own sign-in, a ticket, the subprotocol, an answer to each
`sync`. Its picture is `hub.demo.picture.Picture`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from hub.demo.picture import Picture, Pixels, changed
from hub.demo.visitor import VisitError, Visitor
from hub.desktop.codec import Instruction, decode, encode

_NOP_S = 5.0
"""guacd lets go of a window that says nothing for 15 s."""

_KEYSYMS = {"\n": 0xFF0D}
"""Of letters the keysym is their code (X11/keysymdef.h)."""


class Window:
    """One window. ``ended`` is the status that the tunnel closed it with, None while it is open."""

    def __init__(self, visitor: Visitor, connection: WebSocketClientConnection) -> None:
        self.visitor = visitor
        self.picture = Picture()
        self.ended: int | None = None
        self.said = ""
        self._connection = connection
        self._frames = 0
        self._news = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep_alive())]

    @classmethod
    async def open(cls, visitor: Visitor, ticket: str, *, width: int = 1024, height: int = 640) -> Window:
        """Open the tunnel's WebSocket with a ticket; whether it lets in shows afterwards.

        Raises
        ------
        VisitError
            If there is no upgrade.
        """
        facts = f"width={width}&height={height}&dpi=96&image=image/png&timezone=Europe/Paris"
        request = HTTPRequest(
            visitor.socket_url(f"/services/desktop/tunnel?ticket={ticket}&{facts}"),
            headers={"Cookie": visitor.cookies("/services/desktop/"), "Origin": visitor.url},
        )
        try:
            connection = await websocket_connect(
                request, subprotocols=["guacamole"], max_message_size=64 * 1024 * 1024
            )
        except Exception as error:  # tornado has many
            raise VisitError(f"no WebSocket: {error}") from error
        return cls(visitor, connection)

    @staticmethod
    async def status_of(visitor: Visitor, *, origin: str | None, subprotocol: str) -> int:
        """HTTP status of a WebSocket's handshake that is not to succeed; 101 if it does."""
        headers = {"Cookie": visitor.cookies("/services/desktop/")}
        if origin is not None:
            headers["Origin"] = origin
        address = visitor.socket_url("/services/desktop/tunnel")
        try:
            made = await websocket_connect(HTTPRequest(address, headers=headers), subprotocols=[subprotocol])
        except HTTPClientError as error:
            return error.code
        made.close()
        return 101

    # --- what a person does ---------------------------------------------------------------------

    async def press(self, *keysyms: int) -> None:
        """Press keys one after the other, then let go of them in turn."""
        for keysym in keysyms:
            await self._send("key", str(keysym), "1")
        for keysym in reversed(keysyms):
            await self._send("key", str(keysym), "0")

    async def write(self, text: str) -> None:
        """Type a text."""
        for letter in text:
            await self.press(_KEYSYMS.get(letter, ord(letter)))

    async def click(self, x: int, y: int, button: int = 1) -> None:
        """Click there; buttons are 1 left, 2 middle, 3 right."""
        for mask in (0, 1 << (button - 1), 0):
            await self._send("mouse", str(x), str(y), str(mask))

    async def aclose(self) -> None:
        """Leave."""
        with contextlib.suppress(WebSocketClosedError):
            await self._send("disconnect")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connection.close()

    # --- what a person sees ---------------------------------------------------------------------

    @property
    def pixels(self) -> Pixels:
        """The picture as it is now."""
        return self.picture.pixels.copy()

    async def wait(self, what: str, seen: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait until something is seen, asked after each frame.

        Raises
        ------
        VisitError
            If it is not in time, or the window was closed before.
        """
        deadline = time.monotonic() + timeout_s
        while not seen():
            if self.ended is not None:
                raise VisitError(f"{what}: the window was closed with {self.ended:#06x} {self.said}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise VisitError(f"{what}: not seen within {timeout_s:.0f} s")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 1.0))

    async def drawn(self) -> None:
        """Wait for a whole first picture of more than one colour."""

        def is_there() -> bool:
            pixels = self.picture.pixels
            return bool(self._frames and pixels.size and (pixels != pixels[0, 0]).any())

        await self.wait("a picture", is_there)

    async def change(self, before: Pixels, most: int = 0, timeout_s: float = 30.0) -> int:
        """Wait until more than ``most`` pixels differ from ``before``; how many do."""
        await self.wait("a change", lambda: changed(before, self.picture.pixels) > most, timeout_s)
        return changed(before, self.picture.pixels)

    async def calm(self, for_s: float = 1.0, timeout_s: float = 30.0) -> Pixels:
        """Wait until nothing changes any more; the picture then."""
        deadline = time.monotonic() + timeout_s
        before, since = self.pixels, time.monotonic()
        while time.monotonic() - since < for_s:
            await asyncio.sleep(0.1)
            if changed(before, self.picture.pixels):
                before, since = self.pixels, time.monotonic()
            if time.monotonic() > deadline:
                raise VisitError("the picture does not come to rest")
        return before

    async def closed(self, timeout_s: float = 30.0) -> int:
        """Wait until the tunnel closes the window; the status it gave."""
        deadline = time.monotonic() + timeout_s
        while self.ended is None:
            if time.monotonic() > deadline:
                raise VisitError(f"the window is still open after {timeout_s:.0f} s")
            await asyncio.sleep(0.05)
        return self.ended

    # --- protocol -------------------------------------------------------------------------------

    async def _send(self, *elements: str) -> None:
        await self._connection.write_message(encode(*elements))

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(_NOP_S)
            with contextlib.suppress(WebSocketClosedError):
                await self._send("nop")

    async def _read(self) -> None:
        while (message := await self._connection.read_message()) is not None:
            # Pictures take a while to read, and others' windows are in this loop too.
            instructions = decode(message if isinstance(message, str) else message.decode())
            await asyncio.to_thread(self._draw, instructions)
            for instruction in instructions:
                await self._take(instruction)
        reason = self._connection.close_reason or ""
        if self.ended is None:
            self.ended = int(reason) if reason.isdigit() else -(self._connection.close_code or 1)
        self._news.set()

    def _draw(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            self.picture.draw(instruction)

    async def _take(self, instruction: Instruction) -> None:
        match instruction:
            case ("sync", timestamp, *_):
                self._frames += 1
                self._news.set()
                with contextlib.suppress(WebSocketClosedError):
                    await self._send("sync", timestamp)
            case ("error", text, code):
                self.said, self.ended = text, int(code)
                self._news.set()
