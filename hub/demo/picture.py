"""What a Guacamole client has on its screen: drawing instructions in, pixels out.

Only layer 0, and of images only PNG, which is asked for: it is exact, so that two people's pictures can
be compared pixel by pixel, and `zlib` is all it takes (PNG specification, third edition).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hub.desktop.codec import Instruction

Pixels = NDArray[np.uint8]
"""Red, green and blue: (height, width, 3)."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type."""


class PictureError(Exception):
    """An image that cannot be read."""


class Picture:
    """The pixels of layer 0, drawn by instructions as they come; starts black."""

    def __init__(self) -> None:
        self.pixels: Pixels = np.zeros((0, 0, 3), np.uint8)
        self._streams: dict[str, tuple[int, int, list[str]]] = {}
        self._rect: tuple[int, int, int, int] | None = None

    def draw(self, instruction: Instruction) -> None:
        """Follow one instruction; those that draw nothing on layer 0 are left out.

        Raises
        ------
        PictureError
            For an image that is no PNG.
        """
        match instruction:
            case ("size", "0", width, height):
                self._resize(int(width), int(height))
            case ("img", stream, _, "0", "image/png", x, y):
                self._streams[stream] = (int(x), int(y), [])
            case ("img", _, _, "0", mimetype, *_):
                raise PictureError(f"{mimetype} was not asked for")
            case ("blob", stream, data) if stream in self._streams:
                self._streams[stream][2].append(data)
            case ("end", stream) if stream in self._streams:
                left, top, parts = self._streams.pop(stream)
                self._put(left, top, read_png(b"".join(base64.b64decode(part) for part in parts)))
            case ("rect", "0", x, y, width, height):
                self._rect = (int(x), int(y), int(width), int(height))
            case ("cfill", _, "0", red, green, blue, _) if self._rect is not None:
                left, top, wide, high = self._rect
                self.pixels[top : top + high, left : left + wide] = (int(red), int(green), int(blue))
                self._rect = None
            case ("copy", "0", sx, sy, width, height, _, "0", x, y) | (
                "transfer", "0", sx, sy, width, height, _, "0", x, y,
            ):  # fmt: skip
                left, top = int(sx), int(sy)
                part = self.pixels[top : top + int(height), left : left + int(width)].copy()
                self._put(int(x), int(y), part)

    def _resize(self, width: int, height: int) -> None:
        grown = np.zeros((height, width, 3), np.uint8)
        kept = self.pixels[:height, :width]
        grown[: kept.shape[0], : kept.shape[1]] = kept
        self.pixels = grown

    def _put(self, x: int, y: int, part: Pixels) -> None:
        place = self.pixels[y : y + part.shape[0], x : x + part.shape[1]]
        place[:] = part[: place.shape[0], : place.shape[1]]


def changed(before: Pixels, after: Pixels) -> int:
    """How many pixels differ; all of them where the sizes do."""
    if before.shape != after.shape:
        return int(after.shape[0] * after.shape[1])
    # Asked many times a second: rows that are the same, which most are, are found by a plain comparison.
    height = after.shape[0]
    rows = np.flatnonzero((before.reshape(height, -1) != after.reshape(height, -1)).any(axis=1))
    differ = before[rows] != after[rows]
    return int(np.count_nonzero(differ[..., 0] | differ[..., 1] | differ[..., 2]))


def read_png(data: bytes) -> Pixels:
    """Pixels of a PNG without interlacing; what is transparent is drawn as it is coloured.

    Raises
    ------
    PictureError
        If it is none, or of a kind that guacd does not make.
    """
    if not data.startswith(_SIGNATURE):
        raise PictureError("no PNG")
    header, palette, packed = b"", b"", b""
    for kind, content in _chunks(data):
        if kind == b"IHDR":
            header = content
        elif kind == b"PLTE":
            palette = content
        elif kind == b"IDAT":
            packed += content
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    depth, colour, interlace = header[8], header[9], header[12]
    if colour not in _CHANNELS or depth > 8 or interlace:
        raise PictureError(f"a PNG of depth {depth}, colour type {colour}, interlace {interlace}")
    channels = _CHANNELS[colour]
    row_bytes = (width * channels * depth + 7) // 8
    lines = _unfilter(zlib.decompress(packed), height, row_bytes, max(1, channels * depth // 8))
    if depth < 8:
        bits = np.unpackbits(lines, axis=1).reshape(height, -1, depth)
        weights = 1 << np.arange(depth - 1, -1, -1)
        samples = (bits @ weights).astype(np.uint8)[:, :width, np.newaxis]
        if colour == 0:
            samples = (samples.astype(int) * 255 // (2**depth - 1)).astype(np.uint8)
    else:
        samples = lines.reshape(height, width, channels)
    if colour == 3:
        table = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        return np.asarray(table[samples[:, :, 0]])
    return samples[:, :, :3] if channels >= 3 else np.repeat(samples[:, :, :1], 3, axis=2)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def _unfilter(raw: bytes, height: int, size: int, step: int) -> Pixels:
    """Bytes of the rows, their filters undone; ``step`` is the distance of a pixel's left neighbour."""
    rows = np.frombuffer(raw, np.uint8).reshape(height, size + 1)
    above = np.zeros(size, np.uint8)
    lines = np.empty((height, size), np.uint8)
    for number, (kind, row) in enumerate(zip(rows[:, 0], rows[:, 1:], strict=True)):
        if kind == 0:
            line = row
        elif kind == 1:
            # A running sum for each byte of a pixel; what overflows is cut, as it must be.
            padded = np.concatenate([row, np.zeros(-size % step, np.uint8)]).reshape(-1, step)
            line = np.cumsum(padded, axis=0, dtype=np.uint8).reshape(-1)[:size]
        elif kind == 2:
            line = row + above
        else:
            line = np.frombuffer(_by_left(int(kind), row.tobytes(), above.tobytes(), step), np.uint8)
        lines[number] = above = line
    return lines


def _by_left(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """A row filtered by average (3) or Paeth (4): each byte needs the one to its left."""
    line = bytearray(row)
    for at, value in enumerate(row):
        left = line[at - step] if at >= step else 0
        up = above[at]
        if kind == 3:
            guess = (left + up) // 2
        else:
            corner = above[at - step] if at >= step else 0
            by_left, by_up, by_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            nearest_left = by_left <= by_up and by_left <= by_corner
            guess = left if nearest_left else up if by_up <= by_corner else corner
        line[at] = (value + guess) & 0xFF
    return bytes(line)
