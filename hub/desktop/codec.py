"""Guacamole's wire format: ``LENGTH.VALUE,LENGTH.VALUE,…;`` in UTF-8, lengths in code points.

One encoder, one decoder, and a scan for the last complete instruction of a chunk that builds nothing: most
of what a tunnel carries, it only has to cut at the right places. All three read the same grammar, strictly:
decimal lengths without leading zeros, so that nobody after us can read an instruction otherwise than we did.
Limits are guacd's own (`parser-constants.h`).
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Iterable, Iterator

MAX_INSTRUCTION = 8192
"""Most bytes of an instruction."""

MAX_ELEMENTS = 128
"""Most elements of an instruction; RDP's ``connect`` has 91."""

Instruction = tuple[str, ...]
"""Opcode and arguments."""


class CodecError(ValueError):
    """Bytes or text that are not instructions, or go beyond the limits."""


def encode(*elements: str) -> str:
    """Write one instruction.

    Raises
    ------
    CodecError
        If it is beyond the limits, empty, or holds a lone surrogate, which UTF-8 cannot carry.
    """
    if not 0 < len(elements) <= MAX_ELEMENTS:
        raise CodecError(f"an instruction of {len(elements)} elements")
    text = ",".join([f"{len(element)}.{element}" for element in elements]) + ";"
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise CodecError("text that UTF-8 cannot carry") from error
    if size > MAX_INSTRUCTION:
        raise CodecError(f"an instruction of {size} bytes")
    return text


def decode(text: str) -> list[Instruction]:
    """Read whole instructions.

    Raises
    ------
    CodecError
        If the text is anything but whole instructions within the limits.
    """
    return [elements for elements, _ in parsed(text)]


def parsed(text: str) -> Iterator[tuple[Instruction, str]]:
    """Yield each instruction with its text; raises as `decode`, when it comes to the fault."""
    is_ascii = text.isascii()
    position, size = 0, len(text)
    while position < size:
        start, sign = position, ","
        elements: list[str] = []
        while sign == ",":
            head = _TEXT_LENGTH.match(text, position)
            if head is None or len(elements) == MAX_ELEMENTS:
                raise CodecError("not an instruction")
            value = head.end()
            position = value + int(head[1]) + 1
            if position > size:
                raise CodecError("half an instruction")
            elements.append(text[value : position - 1])
            sign = text[position - 1]
        if sign != ";":
            raise CodecError("a length that does not fit")
        whole = text[start:position]
        if (len(whole) if is_ascii else _utf8_size(whole)) > MAX_INSTRUCTION:
            raise CodecError("an instruction beyond the limit")
        yield tuple(elements), whole


class Watch:
    """Opcodes that a scan should notice."""

    def __init__(self, opcodes: Iterable[str]) -> None:
        any_of = "|".join(f"{len(opcode)}[.]{opcode}[,;]" for opcode in opcodes).encode()
        self.first = re.compile(any_of or b"(?!)").match
        # All but the first instruction follow a semicolon, which is rarer than what opcodes begin with.
        self.later = re.compile(b";(?:" + any_of + b")" if any_of else b"(?!)").search


NOTHING = Watch(())


def end_of_complete(buffer: bytes) -> int:
    """Return where the last complete instruction of a chunk ends: see `complete`."""
    return complete(buffer)[0]


def complete(buffer: bytes, watch: Watch = NOTHING) -> tuple[int, bool]:
    """Return where the last complete instruction of a chunk ends, and whether a watched one may be in it.

    The chunk starts with an instruction. The end is 0 if there is none that is complete. What is left is the
    start of one, of `MAX_INSTRUCTION` bytes at most; the next call gets it with what was read since.

    Raises
    ------
    CodecError
        If it is not UTF-8, not instructions, or one is beyond the limits.
    """
    if buffer.isascii():
        end, is_seen = _scan(buffer, watch)
    else:
        try:
            text, _ = utf_8_decode(buffer, "strict", False)
        except UnicodeDecodeError as error:
            raise CodecError("not UTF-8") from error
        # One byte for each code point, and none that means something: the scan counts code points.
        end, is_seen = _scan(text.encode("ascii", "replace"), watch)
        end = len(text[:end].encode())
    if len(buffer) - end > MAX_INSTRUCTION:
        raise CodecError("an instruction beyond the limit")
    return end, is_seen


def _utf8_size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise CodecError("text that UTF-8 cannot carry") from error


_SEMICOLON, _COMMA = b";,"
_LENGTH = r"(0|[1-9][0-9]{0,4})\."
_TEXT_LENGTH = re.compile(_LENGTH)
_BYTES_LENGTH = re.compile(_LENGTH.encode())
_HALF_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,4})?\Z")


def _any_of(most: int) -> bytes:
    """Pattern of one element of up to so many bytes (two digits): a tree of its digits, then that many."""
    tens: dict[int, list[bytes]] = {}
    for length in range(10, most + 1):
        tens.setdefault(length // 10, []).append(rb"%d\..{%d}" % (length % 10, length))
    digits = [rb"%d(?:\..{%d}|%b)" % (digit, digit, b"|".join(tens[digit])) for digit in range(1, 10)]
    return rb"(?:0\.|" + b"|".join(digits) + rb")"


_RUN = re.compile(
    rb"((?:(?:%b,){0,63}+%b;)*+)(?:(?:%b,){0,63}+([1-9][0-9]{2,3})\.)?" % ((_any_of(99),) * 3), re.DOTALL
)
"""Any number of instructions of small elements, which is most of them, and the beginning of one that has a
large element: a blob. The engine of `re` reads them ten times as fast as a loop in Python does. Sixty-four
small elements are within `MAX_INSTRUCTION`."""


def _scan(data: bytes, watch: Watch) -> tuple[int, bool]:
    position, size, is_seen = 0, len(data), False
    is_watching = watch is not NOTHING
    run, first, later = _RUN.match, watch.first, watch.later
    while True:
        head = run(data, position)
        assert head is not None  # the pattern matches nothing, too
        start = head.end(1)
        if is_watching and not is_seen:
            if start > position:
                is_seen = bool(first(data, position) or later(data, position, start))
            is_seen = is_seen or bool(first(data, start))
        if start == size:
            return size, is_seen
        if head[2] is not None:
            position = head.end() + int(head[2])
            if position < size and data[position] == _SEMICOLON and position - start < MAX_INSTRUCTION:
                position += 1
                continue
        position = _end_of_one(data, start, size)
        if position == 0:
            return start, is_seen


def _end_of_one(data: bytes, start: int, size: int) -> int:
    """End of the instruction that starts there, or 0 if it is not all there yet."""
    position = start
    for _ in range(MAX_ELEMENTS):
        head = _BYTES_LENGTH.match(data, position)
        if head is None:
            if _HALF_LENGTH.match(data, position):
                return 0
            raise CodecError("not an instruction")
        position = head.end() + int(head[1])
        if position - start >= MAX_INSTRUCTION:
            raise CodecError("an instruction beyond the limit")
        if position >= size:
            return 0
        sign = data[position]
        position += 1
        if sign == _SEMICOLON:
            return position
        if sign != _COMMA:
            raise CodecError("a length that does not fit")
    raise CodecError("too many elements")
