"""Which instructions pass, in both directions, by what a person may do at the moment.

From the browser nothing passes that `_RULES` does not name; guacd's own ``read-only`` is the second lock on
the same door. Streams (clipboard, files) are followed by their index, so that data passes only in a stream
that was opened with the right to it, and only while the right lasts. Towards the browser, streams that the
person may not have are taken out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from hub.desktop.codec import CodecError, Instruction, encode, parsed
from hub.desktop.models import Decision, Role
from hub.desktop.status import Status

MAX_MESSAGE = 64 * 1024
"""Most bytes of a browser's message."""

MAX_CLIPBOARD = 256 * 1024
"""Most bytes of a clipboard: the buffer that guacd has for it."""

STREAMS = 64
"""guacd's input streams for each user (`user-constants.h`)."""

CLIPBOARD_TYPES = frozenset({"text/plain", "text/plain;charset=utf-8"})

RATE = 2000.0
"""Instructions a second; a hand with a fast mouse makes some hundred."""

BURST = 10_000.0
CLIPBOARD_RATE = 5.0
CLIPBOARD_BURST = 20.0

MOST_KEYS = 64
"""Keys that are followed as held down."""


class Needs(Enum):
    """The right that an instruction needs."""

    NOTHING = auto()
    CONTROL = auto()
    TRANSFER = auto()


@dataclass(frozen=True, slots=True)
class Filtered:
    """What becomes of a message.

    ``forward`` goes to guacd, ``reply`` back to the browser; ``ends`` closes the connection, after both.
    """

    forward: str = ""
    reply: str = ""
    had_input: bool = False
    ends: Status | None = None


@dataclass(slots=True)
class _Stream:
    """A stream that the browser has open: what it needs, and how many bytes it may still bring."""

    needs: Needs
    left: int | None


_NUMBER = r"-?[0-9]{1,16}(?:\.[0-9]{1,20})?"
_TIME = r"[0-9]{1,16}"
_INDEX = r"[1-5]?[0-9]|6[0-3]"
_OBJECT = r"[1-9]?[0-9]"
_TYPE = r"[a-zA-Z0-9.+-]{1,64}/[a-zA-Z0-9.+-]{1,64}(?:; ?[a-zA-Z0-9=.+-]{1,64})?"
_NAME = r"(?!\.{1,2}\Z)[^/\\\x00-\x1f\x7f-\x9f]{1,255}"
_PATH = r"(?:/(?!\.{1,2}(?:/|\Z))[^/\\\x00-\x1f\x7f-\x9f]{1,255}){1,32}|/"
_TEXT = r"[^\x00-\x1f\x7f-\x9f]{0,255}"


def _shape(*arguments: str, more: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Pattern of arguments joined by NUL, which none of them holds; those in ``more`` may be missing."""
    pattern = "\0".join(f"(?:{one})" for one in arguments)
    for one in reversed(more):
        pattern += f"(?:\0(?:{one}))?"
    return re.compile(pattern)


class Bucket:
    """Tokens that come at a rate, up to a burst."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self, count: float = 1) -> bool:
        """Take some, if there are as many."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True


class InputFilter:
    """Instructions of one browser on their way to guacd."""

    def __init__(self, decision: Decision, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._decision = decision
        self._streams: dict[str, _Stream] = {}
        self._keys: dict[str, None] = {}
        self._mouse: Instruction | None = None
        self._rate = Bucket(RATE, BURST, clock)
        self._clipboards = Bucket(CLIPBOARD_RATE, CLIPBOARD_BURST, clock)
        self._ends: Status | None = None
        self._forward: list[str] = []
        self._reply: list[str] = []
        self._had_input = False

    def decide(self, decision: Decision) -> str:
        """Change the rights; returns what goes to guacd for it: keys and buttons that are let go of."""
        self._decision = decision
        self._streams = {index: one for index, one in self._streams.items() if self._may(one.needs)}
        return "" if self._may(Needs.CONTROL) else self.release()

    def release(self) -> str:
        """Let go of all keys and buttons that are down, when control or the connection ends."""
        released = [encode("key", key, "0") for key in self._keys]
        if self._mouse is not None and self._mouse[3] != "0":
            released.append(encode(*self._mouse[:3], "0"))
        self._keys.clear()
        self._mouse = None
        return "".join(released)

    def feed(self, message: str) -> Filtered:
        """Judge a message. Of one that is not whole instructions nothing passes, and the connection ends."""
        if self._ends is not None:
            return Filtered(ends=self._ends)
        if len(message) > MAX_MESSAGE or not (message.isascii() or _fits(message)):
            return self._refuse(Status.CLIENT_OVERRUN)
        try:
            instructions = list(parsed(message))
        except CodecError:
            return self._refuse(Status.CLIENT_BAD_REQUEST)
        if not self._rate.take(len(instructions)):
            return self._refuse(Status.CLIENT_TOO_MANY)
        self._forward, self._reply, self._had_input = [], [], False
        for instruction, text in instructions:
            self._judge(instruction, text)
            if self._ends is not None:
                break
        return Filtered("".join(self._forward), "".join(self._reply), self._had_input, self._ends)

    def _refuse(self, status: Status) -> Filtered:
        self._ends = status
        return Filtered(ends=status)

    def _may(self, needs: Needs) -> bool:
        decision = self._decision
        if needs is Needs.NOTHING:
            return True
        has_control = decision.may_stay and decision.has_control and decision.role is not Role.VIEWER
        return has_control and (needs is Needs.CONTROL or decision.may_transfer)

    def _judge(self, instruction: Instruction, text: str) -> None:
        opcode, *arguments = instruction
        if opcode == "":
            self._internal(arguments, text)
            return
        rule = _RULES.get(opcode)
        if rule is not None:
            needs, shape, handle = rule
            if shape.fullmatch("\0".join(arguments)) and self._may(needs):
                handle(self, instruction, text)
                return
        place = _OPENS.get(opcode)
        if place is not None and len(arguments) > place:
            self._refuse_stream(arguments[place], Status.CLIENT_FORBIDDEN)

    def _internal(self, arguments: list[str], text: str) -> None:
        if len(arguments) == 2 and arguments[0] == "ping" and re.fullmatch(_TIME, arguments[1]):
            self._reply.append(text)

    def _refuse_stream(self, index: str, status: Status) -> None:
        """Drop what comes in a stream, and tell the browser's writer, which waits for an ``ack``."""
        if re.fullmatch(_INDEX, index):
            self._streams.pop(index, None)
            self._reply.append(encode("ack", index, "Refused", status.reason))

    def _pass(self, _: Instruction, text: str) -> None:
        self._forward.append(text)

    def _disconnect(self, _: Instruction, text: str) -> None:
        # The pump says it to guacd, after letting go of the keys.
        self._ends = Status.SUCCESS

    def _mouse_state(self, instruction: Instruction, text: str) -> None:
        self._mouse = instruction
        self._input(text)

    def _key(self, instruction: Instruction, text: str) -> None:
        _, key, pressed, *_ = instruction
        if pressed == "0":
            self._keys.pop(key, None)
        elif len(self._keys) < MOST_KEYS:
            self._keys[key] = None
        self._input(text)

    def _touch(self, _: Instruction, text: str) -> None:
        self._input(text)

    def _input(self, text: str) -> None:
        self._had_input = True
        self._forward.append(text)

    def _clipboard(self, instruction: Instruction, text: str) -> None:
        _, index, mimetype = instruction
        if mimetype not in CLIPBOARD_TYPES:
            self._refuse_stream(index, Status.CLIENT_BAD_TYPE)
        elif not self._clipboards.take():
            self._refuse_stream(index, Status.CLIENT_TOO_MANY)
        else:
            self._streams[index] = _Stream(Needs.CONTROL, MAX_CLIPBOARD)
            self._forward.append(text)

    def _open(self, instruction: Instruction, text: str) -> None:
        self._streams[instruction[1]] = _Stream(Needs.TRANSFER, None)
        self._forward.append(text)

    def _put(self, instruction: Instruction, text: str) -> None:
        self._streams[instruction[2]] = _Stream(Needs.TRANSFER, None)
        self._forward.append(text)

    def _blob(self, instruction: Instruction, text: str) -> None:
        _, index, data = instruction
        stream = self._streams.get(index)
        if stream is None:
            return
        if stream.left is not None:
            stream.left -= len(data) // 4 * 3
            if stream.left < 0:
                # Without its ``end``, guacd never takes over the half of it.
                self._refuse_stream(index, Status.CLIENT_OVERRUN)
                return
        self._forward.append(text)

    def _end(self, instruction: Instruction, text: str) -> None:
        if self._streams.pop(instruction[1], None) is not None:
            self._forward.append(text)


def _fits(message: str) -> bool:
    try:
        return len(message.encode()) <= MAX_MESSAGE
    except UnicodeEncodeError:
        return False


_RULES: dict[str, tuple[Needs, re.Pattern[str], Callable[[InputFilter, Instruction, str], None]]] = {
    # opcode: the right that it needs, its arguments, how it is handled
    "sync": (Needs.NOTHING, _shape(_TIME, more=(_TIME,)), InputFilter._pass),
    "nop": (Needs.NOTHING, re.compile(""), InputFilter._pass),
    "ack": (Needs.NOTHING, _shape(_INDEX, _TEXT, r"[0-9]{1,5}"), InputFilter._pass),
    "disconnect": (Needs.NOTHING, re.compile(""), InputFilter._disconnect),
    "mouse": (
        Needs.CONTROL,
        _shape(_NUMBER, _NUMBER, r"[0-9]{1,3}", more=(_TIME,)),
        InputFilter._mouse_state,
    ),
    "key": (Needs.CONTROL, _shape(r"[0-9]{1,10}", "[01]", more=(_TIME,)), InputFilter._key),
    "touch": (Needs.CONTROL, _shape(*[_NUMBER] * 7, more=(_TIME,)), InputFilter._touch),
    "clipboard": (Needs.CONTROL, _shape(_INDEX, _TYPE), InputFilter._clipboard),
    "file": (Needs.TRANSFER, _shape(_INDEX, _TYPE, _NAME), InputFilter._open),
    "put": (Needs.TRANSFER, _shape(_OBJECT, _INDEX, _TYPE, _PATH), InputFilter._put),
    "get": (Needs.TRANSFER, _shape(_OBJECT, _PATH), InputFilter._pass),
    "blob": (Needs.NOTHING, _shape(_INDEX, r"[A-Za-z0-9+/]*={0,2}"), InputFilter._blob),
    "end": (Needs.NOTHING, _shape(_INDEX), InputFilter._end),
}
"""All that a browser may send. Not in it, on purpose: ``size`` (the screen is set for all, not by a window),
``argv`` (parameters of the connection), ``pipe`` and ``audio`` (CVE-2023-30576)."""

_OPENS = {"argv": 0, "audio": 0, "pipe": 0, "clipboard": 0, "file": 0, "put": 1}
"""Which argument of an opening instruction is the stream's index."""
