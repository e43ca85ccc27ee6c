"""A guacd of the benchmark: it does the handshake, then plays the scene that is named as ``hostname``.

``python -m tests.bench.tunnel_guacd`` prints its port. It writes in pieces of 8 KiB as guacd does
(`GUAC_SOCKET_OUTPUT_BUFFER_SIZE`). Scenes:

image, small
    As much as was asked for (``image:97``: 97 MB), then `LAST`; it starts with the first word of the browser.
echo
    A ``sync`` for each ``key``.
replay
    From the browser's first word on, a recording at 25 frames a second; each ``sync`` carries the time that
    it was sent [µs, monotonic].
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from contextlib import suppress

from hub.desktop.codec import decode, encode, end_of_complete

FRAMES_PER_S = 25
LAST = encode("sync", "9999999999999")
PIECE = 8192
NAMES = ("VERSION_1_5_0", "hostname", "port", "password", "read-only", "disable-copy", "disable-paste")
READY = "$00000000-0000-4000-8000-000000000000"


def image_piece(source: random.Random) -> bytes:
    """Instructions of one picture of 100 kB."""
    said = [encode("img", "1", "14", "0", "image/png", "64", "128")]
    for _ in range(17):
        said.append(encode("blob", "1", base64.b64encode(source.randbytes(6048)).decode()))
    return "".join([*said, encode("end", "1"), encode("sync", "1700000000000")]).encode()


def small_piece(source: random.Random) -> bytes:
    """Instructions of scrolling and of filled rectangles."""
    said = []
    for _ in range(100):
        x, y = (str(source.randrange(1600)) for _ in range(2))
        said += [
            encode("copy", "0", x, y, "64", "64", "14", "0", y, x),
            encode("rect", "0", x, y, "64", "64"),
            encode("cfill", "14", "0", "255", y[:2], x[:2], "255"),
        ]
    return "".join([*said, encode("sync", "1700000000000")]).encode()


def recording(seconds: int = 10) -> list[bytes]:
    """Frames of somebody at work, 1.5 Mbit/s: most are small, some repaint much; without their ``sync``."""
    source = random.Random(5)
    frames = []
    for _ in range(seconds * FRAMES_PER_S):
        count = source.choice([0, 1, 1, 1, 1, 2, 2, 2, 3, 9])
        said = [encode("cursor", "8", "8", "-1", "0", "0", "16", "16")]
        for index in range(count):
            x, y = (str(source.randrange(1600)) for _ in range(2))
            data = base64.b64encode(source.randbytes(source.randrange(400, 4800))).decode()
            said += [
                encode("img", str(index), "14", "0", "image/png", x, y),
                encode("blob", str(index), data),
                encode("end", str(index)),
            ]
        frames.append("".join(said).encode())
    return frames


class Guacd:
    """Serves every connection."""

    def __init__(self) -> None:
        source = random.Random(1)
        self._pieces = {"image": image_piece(source), "small": small_piece(source)}
        self._frames = recording()
        self._count = 0

    async def serve(self) -> None:
        """Serve for ever."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._connect(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: dict[str, tuple[str, ...]] = {}
        said = b""
        while "connect" not in asked:
            data = await reader.read(8192)
            if not data:
                return
            said += data
            end = end_of_complete(said)
            for opcode, *arguments in decode(said[:end].decode()):
                asked[opcode] = tuple(arguments)
                if opcode == "select":
                    writer.write(encode("args", *NAMES).encode())
            said = said[end:]
        writer.write((encode("ready", READY) + encode("sync", "1700000000000")).encode())
        await writer.drain()
        scene, _, amount = dict(zip(NAMES, asked["connect"], strict=True))["hostname"].partition(":")
        if scene in self._pieces:
            await reader.read(1)
            await self._stream(self._pieces[scene], int(amount) * 1_000_000, writer)
        elif scene == "echo":
            await self._echo(reader, writer)
        else:
            await self._replay(reader, writer)

    async def _stream(self, piece: bytes, amount: int, writer: asyncio.StreamWriter) -> None:
        view = memoryview(piece * (1_000_000 // len(piece) + 1))
        while amount > 0:
            for start in range(0, len(view), PIECE):
                writer.write(view[start : start + PIECE])
                await writer.drain()
            amount -= len(view)
        writer.write(LAST.encode())
        await writer.drain()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = encode("sync", "1700000000000").encode()
        while data := await reader.read(8192):
            for _ in range(data.count(b"3.key,")):
                writer.write(answer)

    async def _replay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the recording from a place of its own until the browser leaves; reads what it answers."""
        self._count += 1
        number = self._count * 37
        await reader.read(1)
        playing = asyncio.create_task(self._play(number, writer))
        with suppress(ConnectionError):
            while await reader.read(8192):
                pass
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)

    async def _play(self, number: int, writer: asyncio.StreamWriter) -> None:
        due = time.monotonic() + (number % 40) / 1000
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            frame = self._frames[number % len(self._frames)]
            # Of the time that it is sent: the lateness measured is the tunnel's, not this process'.
            writer.write(frame + encode("sync", str(int(time.monotonic() * 1e6))).encode())
            await writer.drain()
            number += 1
            due += 1 / FRAMES_PER_S


if __name__ == "__main__":
    asyncio.run(Guacd().serve())
