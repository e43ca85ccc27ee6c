"""The tunnel's own stay in a connection of guacd: wait for the first picture, read on, say nothing."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter

from hub.desktop.codec import CodecError, end_of_complete, parsed
from hub.desktop.handshake import HandshakeError, error_status
from hub.desktop.status import Status

_CHUNK = 64 * 1024

_STAY_S = 12.0
"""Less than the 15 s after which guacd sends away who says nothing."""

_LEAVE_S = 1.0

_SAY_S = 2.0
"""Time for guacd to say why, once the way to the desktop has ended before the first picture."""


async def until_drawn(reader: StreamReader, rest: bytes, carrying: asyncio.Future[None]) -> None:
    """Read until guacd's first ``sync``: from then on the desktop is there. ``rest`` was read before.

    ``ready`` says nothing of the desktop: guacd sends it before it connects to it. ``carrying`` is done when
    the way to the desktop has ended. guacd (seen with 1.3.0) may keep silent about that, and its connection
    open: a desktop that refuses quickly fails before guacd counts who asked for it, and nobody hears why.

    Raises
    ------
    HandshakeError
        If guacd says an error, or closes, before that, or says nothing of a desktop that is gone.
    """
    drawing = asyncio.create_task(_read_until_drawn(reader, rest))
    try:
        await asyncio.wait((drawing, carrying), return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(_SAY_S):
            await drawing
    except TimeoutError as error:
        raise HandshakeError(Status.UPSTREAM_NOT_FOUND, "the desktop closed, guacd says nothing") from error
    finally:
        drawing.cancel()


async def _read_until_drawn(reader: StreamReader, rest: bytes) -> None:
    buffer = rest
    try:
        while True:
            end = end_of_complete(buffer)
            for (opcode, *arguments), _ in parsed(buffer[:end].decode()):
                if opcode == "sync":
                    return
                if opcode == "required":
                    raise HandshakeError(Status.CLIENT_UNAUTHORIZED, "the desktop asks for a password")
                if opcode in {"error", "disconnect"}:
                    status = error_status(arguments) if opcode == "error" else Status.UPSTREAM_ERROR
                    raise HandshakeError(status, "guacd could not show the desktop")
            data = await reader.read(_CHUNK)
            if not data:
                raise HandshakeError(Status.UPSTREAM_ERROR, "guacd closed before it showed the desktop")
            buffer = buffer[end:] + data
    except CodecError as error:
        raise HandshakeError(Status.UPSTREAM_ERROR, f"guacd does not speak its protocol: {error}") from error
    except OSError as error:
        raise HandshakeError(Status.UPSTREAM_ERROR, "guacd closed the connection") from error


async def _drain(reader: StreamReader) -> None:
    """Read on, so that others in the connection are not held up."""
    try:
        while await reader.read(_CHUNK):
            pass
    except OSError:
        return


async def stay(reader: StreamReader, writer: StreamWriter, is_shown: asyncio.Event) -> None:
    """Stay in a connection until a window shows it; not for long, for one that never will."""
    reading = asyncio.create_task(_drain(reader))
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STAY_S):
                await is_shown.wait()
        with contextlib.suppress(OSError, TimeoutError):
            writer.write(b"10.disconnect;")
            async with asyncio.timeout(_LEAVE_S):
                await writer.drain()
    finally:
        reading.cancel()
        writer.close()
