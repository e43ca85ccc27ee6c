"""What is behind a room, as guacd is told of it and as its bytes are carried.

guacd itself reaches nothing: it connects to a one-shot join, and the tunnel carries the bytes of that to
where a `Carrier` leads: a session's display (`hub.desktop.relay`) or a workstation
(`hub.desktop.workstations`). Parameters come from the engine and the operator, never from a browser.
"""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class CarryEnd(StrEnum):
    """Who ended it: guacd let go, the other side was cut off, or it said that it is over for good."""

    GUACD = "guacd"
    CUT = "cut"
    OVER = "over"


class TargetSilentError(Exception):
    """What is behind does not answer; it may be in a moment."""


class TargetRefusedError(Exception):
    """What is behind answers that there is no desktop, or is not set up: trying again is of no use."""


class Carrier(Protocol):
    """An open way to the desktop. ``values`` are the parameters for guacd that belong to it."""

    values: Mapping[str, str]

    async def carry(self, reader: StreamReader, writer: StreamWriter) -> CarryEnd:
        """Carry bytes both ways until one side ends; closes nothing."""
        ...

    async def tell_input(self) -> None:
        """Say that somebody used mouse or keys."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Target(Protocol):
    """Where a room leads. ``protocol`` and ``values`` are guacd's; ``needs`` what it must know of them."""

    protocol: str
    values: Mapping[str, str]
    needs: frozenset[str]

    async def open(self) -> Carrier:
        """Open a way there.

        Raises
        ------
        TargetSilentError
            If it does not answer now.
        TargetRefusedError
            If it will not.
        """
        ...
