"""What the scripted client sees: PNG of every kind that guacd makes, and drawing."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest

from hub.demo.picture import Picture, PictureError, changed, read_png


def png(
    rows: list[bytes], width: int, depth: int, colour: int, palette: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG of rows with their filter bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, interlace)
    parts = [chunk(b"IHDR", header), chunk(b"PLTE", palette) if palette else b""]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(rows))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def filtered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """A row as an encoder filters it (PNG specification, 9.2)."""
    out = bytearray([kind])
    for at, value in enumerate(line):
        left = line[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        up = above[at]
        guess = left + up - corner
        near = min((left, up, corner), key=lambda one: abs(guess - one))
        by = {0: 0, 1: left, 2: up, 3: (left + up) // 2, 4: near}[kind]
        out.append((value - by) & 0xFF)
    return bytes(out)


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_every_filter_is_undone(colour, channels):
    pixels = np.random.default_rng(7).integers(0, 256, (10, 9, channels), np.uint8)
    lines = [row.tobytes() for row in pixels]
    above = [bytes(9 * channels), *lines]
    rows = [filtered(n % 5, line, above[n], channels) for n, line in enumerate(lines)]
    assert np.array_equal(read_png(png(rows, 9, 8, colour)), pixels[:, :, :3])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_every_depth(depth):
    numbers = np.random.default_rng(depth).integers(0, min(2**depth, 7), (4, 11))
    table = np.arange(3 * 2**depth, dtype=np.uint8).reshape(-1, 3)
    bits = ["".join(f"{value:0{depth}b}" for value in row) for row in numbers]
    size = (11 * depth + 7) // 8
    rows = [b"\0" + int(row.ljust(8 * size, "0"), 2).to_bytes(size) for row in bits]
    assert np.array_equal(read_png(png(rows, 11, depth, 3, table.tobytes())), table[numbers])


def test_what_guacd_does_not_make_is_refused():
    for data in (b"GIF89a", png([b"\0\0\0"], 1, 16, 0), png([b"\0\0\0\0"], 1, 8, 2, interlace=1)):
        with pytest.raises(PictureError):
            read_png(data)


def test_instructions_draw():
    picture = Picture()
    red = png([b"\0" + b"\xff\0\0" * 2] * 2, 2, 8, 2)
    text = base64.b64encode(red).decode()
    for instruction in (
        ("size", "0", "6", "4"),
        ("rect", "0", "0", "0", "6", "4"),
        ("cfill", "14", "0", "0", "0", "9", "255"),
        ("img", "1", "12", "0", "image/png", "1", "1"),
        ("blob", "1", text[:20]),
        ("blob", "1", text[20:]),
        ("end", "1"),
        ("copy", "0", "1", "1", "2", "2", "12", "0", "5", "2"),
        ("img", "2", "12", "-1", "image/png", "0", "0"),
        ("blob", "2", text),
        ("end", "2"),
    ):
        picture.draw(instruction)
    is_red = (picture.pixels == (255, 0, 0)).all(axis=2)
    assert sorted(map(tuple, np.argwhere(is_red).tolist())) == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (2, 5),
        (3, 5),
    ]
    assert (picture.pixels[~is_red] == (0, 0, 9)).all()
    before = picture.pixels.copy()
    picture.draw(("size", "0", "5", "3"))
    assert changed(before, before) == 0
    assert changed(before, picture.pixels) == 15
    with pytest.raises(PictureError):
        picture.draw(("img", "3", "12", "0", "image/jpeg", "0", "0"))


def test_changes_are_counted_by_pixel():
    before = np.zeros((5, 7, 3), np.uint8)
    after = before.copy()
    after[1, 2, 0] = after[1, 2, 2] = after[4, 6, 1] = 1
    assert changed(before, after) == 2
