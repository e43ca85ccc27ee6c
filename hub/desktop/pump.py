"""Carries instructions between guacd and one browser, both ways, until either ends.

guacd → browser: what one read brings is cut at its last complete instruction and sent as one message; nothing
is built for an instruction. While the browser has not taken a message, nothing more is read, so that a slow
one slows its guacd and costs no memory. Browser → guacd: everything goes through `InputFilter`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hub.desktop.models import Decision
from hub.desktop.status import Status


class Browser(Protocol):
    """What is used of Tornado's ``WebSocketHandler``."""

    def write_message(self, message: bytes, binary: bool = False) -> Awaitable[None]:
        """Send a message; done when the kernel has it all."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the WebSocket."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a pump ended. ``by_browser``: the browser left or was cut for what it sent."""

    status: Status
    by_browser: bool = False


class Pump:
    """One connection. Made in the handler's ``open``, after the handshake with guacd.

    Parameters
    ----------
    browser
        The handler.
    reader, writer
        The connection to guacd; the pump owns it and closes it.
    rest
        `Connected.rest`.
    decision
        What the person may do at first.
    on_input
        Called when mouse, keys or touch were let through (often: the caller thins it out).
    on_connected
        Called once, when the desktop is there (guacd's first ``sync``).
    """

    def __init__(
        self,
        browser: Browser,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        decision: Decision,
        rest: bytes = b"",
        on_input: Callable[[], None] = lambda: None,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None: ...

    async def run(self) -> Ended:
        """Carry until either end ends, then close both. Cancelled: closes both too."""
        raise NotImplementedError

    def receive(self, message: str | bytes) -> Awaitable[None] | None:
        """Take a message. ``on_message`` returns what this returns, which slows a browser that is too fast."""
        raise NotImplementedError

    def browser_left(self) -> None:
        """Say that the WebSocket is closed: in ``on_close``."""
        raise NotImplementedError

    def decide(self, decision: Decision) -> None:
        """Change what the person may do, at once; one who may not stay is closed with its status and text."""
        raise NotImplementedError

    def end(self, status: Status, text: str = "") -> None:
        """Close from our side: the text goes to the browser in band, the status in the close frame too."""
        raise NotImplementedError
