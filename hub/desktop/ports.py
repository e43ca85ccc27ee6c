"""What rooms use of guacd: `hub.desktop.guacd.Guacd`, or what a test has in its place."""

from __future__ import annotations

from asyncio import StreamReader, StreamWriter
from typing import Protocol


class JoinPoint(Protocol):
    """A one-shot listener where guacd, and nobody else, connects once."""

    host: str
    port: int

    async def accept(self) -> tuple[StreamReader, StreamWriter]:
        """Wait for guacd."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class GuacdPort(Protocol):
    """The ways to and from guacd."""

    async def connect(self) -> tuple[StreamReader, StreamWriter]:
        """Open a connection to guacd; `GuacdError` if it is not there."""
        ...

    async def join(self) -> JoinPoint:
        """Open a one-shot listener where guacd reaches it; `GuacdError` if it is not there."""
        ...


class GuacdSupply(Protocol):
    """Where rooms have their guacd from."""

    async def lease(self) -> GuacdPort:
        """Return a guacd for one room; `GuacdError` if there is none."""
        ...

    async def release(self, guacd: GuacdPort) -> None:
        """Take it back."""
        ...
