"""A small client of the RFB protocol 3.8 (RFC 6143): pixels, keys, mouse. Raw encoding only."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

_VNC_AUTH = 2
_PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
_RAW, _DESKTOP_SIZE, _EXTENDED_SIZE = 0, -223, -308
_FRAMEBUFFER_UPDATE, _COLOURS, _BELL, _CUT_TEXT = range(4)
_RETURN = 0xFF0D


class RfbClient:
    """Speaks over anything that reads exactly n bytes and writes bytes."""

    def __init__(
        self, read: Callable[[int], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._read = read
        self._write = write
        self.width = 0
        self.height = 0
        self.pixels = bytearray()
        """Rows of 4 bytes (blue, green, red, unused) for each pixel."""

    async def handshake(self, password: str) -> None:
        """Version, VncAuth, sizes, pixel format.

        Raises
        ------
        PermissionError
            If the password is refused.
        """
        version = await self._read(12)
        assert version == b"RFB 003.008\n", version
        await self._write(version)
        kinds = await self._read((await self._read(1))[0])
        assert list(kinds) == [_VNC_AUTH], kinds
        await self._write(bytes([_VNC_AUTH]))
        await self._write(vnc_answer(password, await self._read(16)))
        (refused,) = struct.unpack(">I", await self._read(4))
        if refused:
            raise PermissionError("The password was refused.")
        await self._write(b"\x01")
        self.width, self.height = struct.unpack(">HH", await self._read(4))
        await self._read(16)
        (length,) = struct.unpack(">I", await self._read(4))
        await self._read(length)
        await self._write(b"\x00\0\0\0" + _PIXELS)
        encodings = (_RAW, _DESKTOP_SIZE, _EXTENDED_SIZE)
        await self._write(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))
        self._resized(self.width, self.height)

    def _resized(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels = bytearray(width * height * 4)

    async def ask(self, *, is_incremental: bool) -> None:
        """Ask for an update of the whole screen."""
        await self._write(struct.pack(">BBHHHH", 3, is_incremental, 0, 0, self.width, self.height))

    async def update(self, *, is_incremental: bool = False) -> int:
        """Ask for an update and wait for it; number of rectangles with pixels."""
        await self.ask(is_incremental=is_incremental)
        rectangles = await self.take()
        while not rectangles:  # an answer that tells the size alone; the pixels are due still
            await self.ask(is_incremental=True)
            rectangles = await self.take()
        return rectangles

    async def take(self) -> int:
        """Wait for the next update; number of rectangles with pixels."""
        while True:
            (kind,) = await self._read(1)
            if kind == _FRAMEBUFFER_UPDATE:
                _, count = struct.unpack(">BH", await self._read(3))
                return sum([await self._rectangle() for _ in range(count)])
            if kind == _CUT_TEXT:
                (length,) = struct.unpack(">3xi", await self._read(7))
                await self._read(abs(length))
            else:
                assert kind == _BELL, kind

    async def _rectangle(self) -> int:
        x, y, width, height, encoding = struct.unpack(">HHHHi", await self._read(12))
        if encoding == _EXTENDED_SIZE:
            (screens,) = struct.unpack(">B3x", await self._read(4))
            await self._read(16 * screens)
        if encoding in (_EXTENDED_SIZE, _DESKTOP_SIZE):
            if (width, height) != (self.width, self.height):
                self._resized(width, height)
            return 0
        assert encoding == _RAW, encoding
        data = await self._read(width * height * 4)
        for row in range(height):
            at = ((y + row) * self.width + x) * 4
            self.pixels[at : at + width * 4] = data[row * width * 4 : (row + 1) * width * 4]
        return 1

    async def until(self, wanted: Callable[[RfbClient], bool], timeout_s: float = 60) -> None:
        """Follow the screen until it is as wanted.

        Raises
        ------
        TimeoutError
            If it never is.
        """
        async with asyncio.timeout(timeout_s):
            await self.update()
            while not wanted(self):
                await self.update(is_incremental=True)

    async def press(self, keysym: int) -> None:
        """Press and let go a key (keysyms of X11)."""
        for is_down in (1, 0):
            await self._write(struct.pack(">BBxxI", 4, is_down, keysym))

    async def type(self, text: str) -> None:
        """Type text; a newline is the return key."""
        for letter in text:
            await self.press(_RETURN if letter == "\n" else ord(letter))

    async def point(self, x: int, y: int, buttons: int = 0) -> None:
        """Move the mouse and hold these buttons (bit 0 is the left one)."""
        await self._write(struct.pack(">BBHH", 5, buttons, x, y))

    async def click(self, x: int, y: int) -> None:
        """Click once with the left button."""
        for buttons in (0, 1, 0):
            await self.point(x, y, buttons)

    def colour(self, x: int, y: int) -> tuple[int, int, int]:
        """Red, green, blue of a pixel."""
        at = (y * self.width + x) * 4
        blue, green, red = self.pixels[at : at + 3]
        return red, green, blue

    def colours(self) -> int:
        """How many colours there are on the screen."""
        return len(set(memoryview(self.pixels).cast("I").tolist()))


def vnc_answer(password: str, challenge: bytes) -> bytes:
    """Answer of VncAuth (RFC 6143, 7.2.2): DES with the bits of each byte of the key reversed."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode("ascii")[:8].ljust(8, b"\0"))
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


async def connect_socket(path: Path, password: str) -> tuple[RfbClient, asyncio.StreamWriter]:
    """A client at a unix socket."""
    reader, writer = await asyncio.open_unix_connection(path)

    async def write(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    client = RfbClient(reader.readexactly, write)
    await client.handshake(password)
    return client, writer
