"""A running guacd for tests, and the instructions it speaks."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from hub.demo.guacd import GuacdRootError, prepare_guacd
from hub.desktop.guacd import Guacd
from hub.desktop.ports import GuacdPort
from hub.desktop.settings import SandboxedGuacd
from spawners.session.machine import why_not_bubblewrap
from tests.support.required import require


@cache
def guacd_root() -> Path:
    """Root folder of guacd; skips (in CI: fails) where there can be none. Blocking."""
    why_not = why_not_bubblewrap()
    require(not why_not, f"bubblewrap that works (Debian package bubblewrap): {why_not}")
    assert shutil.which("bwrap")
    try:
        return prepare_guacd()
    except GuacdRootError as error:
        require(None, f"guacd of Debian 11: {error}")
        raise


@asynccontextmanager
async def running_guacd() -> AsyncIterator[Guacd]:
    """A sandboxed guacd of its own; up in 0.2 s."""
    root = await asyncio.to_thread(guacd_root)
    guacd = Guacd(SandboxedGuacd(kind="sandbox", root=root))
    await guacd.start()
    try:
        yield guacd
    finally:
        await guacd.aclose()


class OneForAll:
    """A guacd that rooms share, as one of an address is."""

    def __init__(self, guacd: GuacdPort) -> None:
        self._guacd = guacd

    async def lease(self) -> GuacdPort:
        """Return it."""
        return self._guacd

    async def release(self, guacd: GuacdPort) -> None:
        """Leave it running."""


def instruction(*elements: str) -> bytes:
    """An instruction as it is sent."""
    return (",".join(f"{len(element)}.{element}" for element in elements) + ";").encode()


async def read_instruction(reader: asyncio.StreamReader, deadline_s: float = 20) -> list[str]:
    """The next instruction; raises EOFError at the end."""
    elements: list[str] = []
    async with asyncio.timeout(deadline_s):
        while True:
            length = int((await reader.readuntil(b"."))[:-1])
            text = (await reader.readexactly(length)).decode()
            while len(text) < length:
                text += (await reader.readexactly(length - len(text))).decode()
            elements.append(text)
            if await reader.readexactly(1) == b";":
                return elements


async def until(reader: asyncio.StreamReader, *opcodes: str, deadline_s: float = 30) -> list[str]:
    """The next instruction with one of these opcodes; raises EOFError at the end."""
    async with asyncio.timeout(deadline_s):
        while True:
            found = await read_instruction(reader)
            if found[0] in opcodes:
                return found


async def shake_hands(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    select: str,
    values: dict[str, str],
    *,
    size: Sequence[int] = (1024, 768, 96),
) -> list[str]:
    """Connect with values by name; ``ready`` or ``error`` as it came."""
    writer.write(instruction("select", select))
    _, *names = await until(reader, "args")
    writer.write(
        instruction("size", *map(str, size))
        + instruction("audio")
        + instruction("video")
        + instruction("image", "image/png", "image/jpeg")
        + instruction("timezone", "UTC")
        + instruction("connect", names[0], *(values.get(name, "") for name in names[1:]))
    )
    return await until(reader, "ready", "error")
