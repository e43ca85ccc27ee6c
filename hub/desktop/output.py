"""Takes out of guacd's stream what a person may not have: the clipboard, files, pipes.

guacd is told the same by its own parameters where it has them (``disable-copy``); this is the lock that a
change of rights turns at once. The scan for whole instructions notices what would have to go, and
instructions are only built in chunks that have one.
"""

from __future__ import annotations

from hub.desktop.codec import Instruction, Watch, encode, parsed
from hub.desktop.handshake import error_status
from hub.desktop.models import Decision
from hub.desktop.status import Status

COPY = ("clipboard",)
"""Opcodes that bring the desktop's clipboard."""

TRANSFER = ("file", "body", "pipe", "filesystem")
"""Opcodes that bring files, or offer them."""

_INDEX = {"clipboard": 1, "file": 1, "pipe": 1, "body": 2}
"""Place of the stream's index in the instructions that open one."""

_ANSWERED = frozenset({"file", "body", "pipe"})
"""Those whose sender waits for an ``ack``."""


class OutputFilter:
    """Instructions of guacd on their way to one browser."""

    error: Status | None = None
    """What guacd gave up with; it may keep the connection open for a while, but nothing comes of it."""

    def __init__(self, decision: Decision) -> None:
        self._dropped: set[str] = set()
        self.decide(decision)

    def decide(self, decision: Decision) -> None:
        """Change the rights. A clipboard on its way passes or does not as it was when it began."""
        self._hidden = (() if decision.may_copy else COPY) + (() if decision.may_transfer else TRANSFER)
        self.watch = Watch((*self._hidden, "error"))

    def feed(self, chunk: bytes, *, is_seen: bool) -> tuple[bytes, bytes]:
        """Return what goes on, and what goes back to guacd.

        Parameters
        ----------
        chunk
            Whole instructions.
        is_seen
            Whether the scan, with `watch`, has seen one in it that must not go on, or an error.

        Raises
        ------
        CodecError
            If it is not whole instructions.
        """
        if not is_seen and not self._dropped:
            return chunk, b""
        passed: list[str] = []
        back: list[str] = []
        for instruction, text in parsed(chunk.decode()):
            if not self._drops(instruction, back):
                passed.append(text)
        return "".join(passed).encode(), "".join(back).encode()

    def _drops(self, instruction: Instruction, back: list[str]) -> bool:
        opcode = instruction[0]
        if opcode == "error" and self.error is None:
            self.error = error_status(instruction[1:])
        place = _INDEX.get(opcode, 1)
        index = instruction[place] if len(instruction) > place else ""
        if opcode in self._hidden:
            if opcode in _INDEX:
                self._dropped.add(index)
            if opcode in _ANSWERED:
                back.append(encode("ack", index, "Refused", Status.CLIENT_FORBIDDEN.reason))
            return True
        if opcode == "blob":
            return index in self._dropped
        if opcode == "end" and index in self._dropped:
            self._dropped.remove(index)
            return True
        if opcode in _OPENS:
            self._dropped.discard(index)
        return False


_OPENS = frozenset({"clipboard", "file", "pipe", "body", "img", "audio", "video", "argv"})
"""Opcodes that open a stream: an index that is used again is another stream."""
