"""Carries instructions between guacd and one browser, both ways, until either ends.

guacd → browser: what one read brings is cut at its last complete instruction and sent as one message; nothing
is built for an instruction. While the browser has not taken what was sent, no more is read, so that a slow
one slows its guacd and costs no memory. Browser → guacd: everything goes through `InputFilter`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

from tornado.websocket import WebSocketClosedError

from hub.desktop.codec import MAX_INSTRUCTION, CodecError, complete, decode, encode
from hub.desktop.filter import InputFilter
from hub.desktop.frames import Browser, send
from hub.desktop.halves import without_half
from hub.desktop.handshake import error_status
from hub.desktop.models import Decision
from hub.desktop.output import OutputFilter
from hub.desktop.status import Status

log = logging.getLogger(__name__)

CHUNK = 64 * 1024
"""Most bytes of one read from guacd."""

MOST_UNSENT = 128 * 1024
"""Bytes that a browser may be behind before guacd is not read any more; beside the kernel's buffers."""

MOST_REPLIES = 16 * 1024
"""Bytes of replies kept for a browser that is behind; those beyond are left out, as on a line that is cut."""

_GOODBYE = b"10.disconnect;"

FLUSH_S = 5.0
"""How long guacd may take for our last word [s]."""

_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, bytearray] = WeakKeyDictionary()
"""One read buffer for all connections of a loop: asyncio fills it and has it emptied in one step."""


_REFUSALS = {
    Status.CLIENT_OVERRUN: "The browser sent too much at once",
    Status.CLIENT_TOO_MANY: "The browser sent too many instructions",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a pump ended. ``by_browser``: the browser left or was cut for what it sent."""

    status: Status
    by_browser: bool = False


def greeting() -> bytes:
    """Return the instruction that opens a tunnel for the browser: an id, which nothing of ours goes by."""
    return encode("", str(uuid.uuid4())).encode()


class Pump(asyncio.BufferedProtocol):
    """One connection. Made in the handler's ``open``, after the handshake with guacd.

    Parameters
    ----------
    browser
        The handler.
    reader, writer
        The connection to guacd; the pump owns it and closes it.
    decision
        What the person may do at first.
    rest
        `Connected.rest`.
    greets
        Whether the `greeting` is still to be sent.
    on_input
        Called when mouse, keys or touch were let through (often: the caller thins it out).
    on_connected
        Called once, when the desktop is there (guacd's first ``sync``).
    """

    def __init__(
        self,
        browser: Browser,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        decision: Decision,
        rest: bytes = b"",
        greets: bool = True,
        on_input: Callable[[], None] = lambda: None,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        self._browser = browser
        self._reader, self._writer = reader, writer
        self._rest, self._greets = rest, greets
        self._on_input, self._on_connected = on_input, on_connected
        self._input, self._output = InputFilter(decision), OutputFilter(decision)
        loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, writer.transport)
        self._buffer = memoryview(_buffers.setdefault(loop, bytearray(MAX_INSTRUCTION + CHUNK)))
        self._tail = b""
        self._last = b""
        self._left_out = 0
        self._is_connected = False
        self._unsent = 0
        self._sending: set[asyncio.Future[None]] = set()
        self._is_paused = False
        self._replies: list[bytes] = []
        self._writable: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[Ended] = loop.create_future()

    # ---- what the handler calls

    async def run(self) -> Ended:
        """Carry until either end ends, then close both. Cancelled: closes both too."""
        try:
            await self._take_over()
            # A stop would cancel the future itself, which is how `_finish` knows that it has nothing to do.
            return await asyncio.shield(self._ended)
        finally:
            self._finish(Ended(Status.SUCCESS), says="")

    def receive(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a message. ``on_message`` returns what this returns, to slow a browser that is too fast."""
        if self._ended.done():
            return None
        if isinstance(message, bytes):
            self._finish(Ended(Status.CLIENT_BAD_TYPE, by_browser=True), says="The browser sent binary data")
            return None
        filtered = self._input.feed(message)
        if filtered.had_input:
            self._on_input()
        if filtered.forward:
            self._transport.write(filtered.forward.encode())
        if filtered.reply:
            self._reply(filtered.reply.encode())
        if filtered.ends is not None:
            says = _REFUSALS.get(filtered.ends, "What the browser sent was not understood")
            self._finish(Ended(filtered.ends, by_browser=True), says=says)
            return None
        return self._writable

    def browser_left(self) -> None:
        """Say that the WebSocket is closed: in ``on_close``."""
        self._finish(Ended(Status.SUCCESS, by_browser=True), says="")

    def decide(self, decision: Decision) -> None:
        """Change what the person may do, at once; one who may not stay is closed with its status and text."""
        if self._ended.done():
            return
        if not decision.may_stay:
            self.end(Status.of(decision.status), decision.text)
            return
        self._output.decide(decision)
        released = self._input.decide(decision)
        if released:
            self._transport.write(released.encode())

    def end(self, status: Status, text: str = "") -> None:
        """Close from our side: the text goes to the browser in band, the status in the close frame too."""
        self._finish(Ended(status), says=text or status.name)

    # ---- guacd's side: asyncio calls these

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next read goes: behind what is left of the last one."""
        left = len(self._tail)
        self._buffer[:left] = self._tail
        return self._buffer[left : left + CHUNK]

    def buffer_updated(self, nbytes: int) -> None:
        """Something was read."""
        self._carry(bytes(self._buffer[: len(self._tail) + nbytes]))

    def eof_received(self) -> None:
        """Guacd closed: by returning nothing, we have asyncio close, and call `connection_lost`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Guacd is gone. Its last instructions say why; the browser has them, unless there are none."""
        self.resume_writing()
        status = _last_word(self._last)
        self._finish(
            Ended(status), says="The desktop is gone" if status is Status.UPSTREAM_UNAVAILABLE else ""
        )

    def pause_writing(self) -> None:
        """Guacd does not take more for now."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Guacd takes more."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # ---- inside

    async def _take_over(self) -> None:
        """Have the transport speak to us, with what its reader has already."""
        if self._greets:
            self._send(greeting())
        self._transport.pause_reading()
        self._transport.set_protocol(self)
        self._reader.feed_eof()
        try:
            rest = self._rest + await self._reader.read(-1)
        except ConnectionError:
            rest = self._rest
        if rest:
            self._carry(rest)  # the first of all: there is no tail yet
        if self._transport.is_closing():
            self.connection_lost(None)
        elif not self._is_paused:
            self._transport.resume_reading()

    def _carry(self, data: bytes) -> None:
        if self._ended.done():
            return
        try:
            end, is_seen = complete(data, self._output.watch)
            self._tail = data[end:]
            if end == 0:
                return
            whole, back = self._output.feed(data[:end], is_seen=is_seen)
        except CodecError as error:
            if self._mend(data):
                return
            log.warning("guacd does not speak its protocol: %s", error)
            self._finish(Ended(Status.UPSTREAM_ERROR), says="The desktop's server failed")
            return
        if back:
            self._transport.write(back)
        if not self._is_connected:
            self._look(whole)
        self._last = whole[-512:] if len(whole) >= 512 else (self._last + whole)[-512:]
        if whole:
            self._send(whole)
        if self._output.error is not None:
            self._finish(Ended(self._output.error), says="")
        elif whole.endswith(_GOODBYE):
            # guacd itself keeps the socket of a connection whose own process failed, so its word is the end.
            self.connection_lost(None)

    def _mend(self, data: bytes) -> bool:
        """Carry without the half instruction that a join may begin with; whether that was it."""
        mended = data if self._is_connected else without_half(data)
        self._left_out += len(data) - len(mended)
        if mended == data or self._left_out > MAX_INSTRUCTION:
            return False
        self._tail = b""
        if mended:
            self._carry(mended)
        return True

    def _look(self, whole: bytes) -> None:
        """Whether the desktop is there, or asks for what it should have been given."""
        if b"8.required," in whole:
            self._finish(Ended(Status.CLIENT_UNAUTHORIZED), says="The desktop asks for a password")
        elif b"4.sync," in whole:
            self._is_connected = True
            self._on_connected()

    def _send(self, data: bytes) -> None:
        """Send whole instructions, as one message."""
        try:
            sent = send(self._browser, data)
        except WebSocketClosedError:
            self.browser_left()
            return
        if sent.done() and sent.exception() is None:
            return
        size = len(data)
        self._unsent += size
        self._sending.add(sent)
        sent.add_done_callback(lambda done: self._was_sent(done, size))
        if self._unsent > MOST_UNSENT and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _was_sent(self, done: asyncio.Future[None], size: int) -> None:
        self._sending.discard(done)
        self._unsent -= size
        if done.cancelled() or done.exception() is not None:
            self.browser_left()
            return
        if self._unsent == 0 and self._replies:
            replies = b"".join(self._replies)
            self._replies.clear()
            self._send(replies)
        if self._is_paused and self._unsent <= MOST_UNSENT // 2 and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _reply(self, reply: bytes) -> None:
        if self._unsent == 0:
            self._send(reply)
        elif sum(map(len, self._replies)) + len(reply) <= MOST_REPLIES:
            self._replies.append(reply)

    def _finish(self, ended: Ended, *, says: str) -> None:
        """Close both ends, once."""
        if self._ended.done():
            return
        self._ended.set_result(ended)
        if says and ended.status is not Status.SUCCESS:
            self._send(encode("error", says[:512], ended.status.reason).encode())
        if not self._transport.is_closing():
            self._transport.write(self._input.release().encode() + b"10.disconnect;")
            self._transport.close()
            asyncio.get_running_loop().call_later(FLUSH_S, self._transport.abort)
        self._browser.close(ended.status.websocket, ended.status.reason)


def _last_word(output: bytes) -> Status:
    """Why guacd ended, from the end of its output."""
    at = output.rfind(b"5.error,")
    if at >= 0:
        try:
            for opcode, *arguments in decode(output[at:].decode()):
                if opcode == "error":
                    return error_status(arguments)
        except (CodecError, UnicodeDecodeError):
            pass
    return Status.SUCCESS if output.endswith(b"10.disconnect;") else Status.UPSTREAM_UNAVAILABLE
