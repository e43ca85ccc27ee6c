"""Half an instruction at the start of what a joining window gets.

guacd (seen with 1.3.0) sends what is drawn to all windows at once, in pieces that do not end with
instructions. A window that is counted in between two pieces gets its own picture of the screen, whole, and
then the second half of something whose first half it never got. It is left out: the picture has it already.
"""

from __future__ import annotations

import re

_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,4})\.")


def without_half(data: bytes) -> bytes:
    """Leave out what is no instruction, up to its end.

    Bytes that are not ASCII, or in which nothing is wrong, come back as they are.
    """
    start = _fault(data) if data.isascii() else None
    if start is None:
        return data
    end = data.find(b";", start)
    return data[:start] + (data[end + 1 :] if end >= 0 else b"")


def _fault(data: bytes) -> int | None:
    """Where the first that is no instruction begins."""
    start = position = 0
    while position < len(data):
        length = _LENGTH.match(data, position)
        if length is None:
            return start
        position = length.end() + int(length[1])
        if position >= len(data):
            return None
        sign = data[position : position + 1]
        position += 1
        if sign == b";":
            start = position
        elif sign != b",":
            return start
    return None
