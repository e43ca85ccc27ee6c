"""A desktop as somebody in front of a real browser sees and uses it."""

from __future__ import annotations

import asyncio
import time

from playwright.async_api import Locator, Page, expect

from hub.demo.picture import Pixels, changed, read_png
from tests.support.browsing import PATIENCE_MS, Guest

FEW = 60
"""Fewer pixels than this differ by a blinking or moving pointer at most."""


class Screen:
    """The desktop as somebody sees and uses it in their browser."""

    def __init__(self, person: Guest, page: Page | None = None) -> None:
        self.person = person
        self.page = page or person.page
        self.box = self.page.locator("#picture")

    async def pixels(self) -> Pixels:
        """What is seen of it now."""
        return await asyncio.to_thread(read_png, await self.box.screenshot(animations="disabled"))

    async def live(self) -> None:
        """Wait until the desktop is shown."""
        await expect(self.page.locator("#status")).to_be_hidden(timeout=PATIENCE_MS)
        await expect(self.page.locator(".stage canvas").first).to_be_attached(timeout=PATIENCE_MS)
        start = time.monotonic()
        while not (await self.pixels() != (await self.pixels())[0, 0]).any():
            assert time.monotonic() - start < 60, "nothing is drawn"

    async def calm(self, seconds: float = 1.0) -> Pixels:
        """The picture once nothing moves any more."""
        before, since = await self.pixels(), time.monotonic()
        while time.monotonic() - since < seconds:
            now = await self.pixels()
            if changed(before, now) > FEW:
                since = time.monotonic()
            before = now
        return before

    async def change(self, before: Pixels, most: int = FEW * 3) -> None:
        """Wait until more than ``most`` pixels differ."""
        start = time.monotonic()
        while changed(before, await self.pixels()) <= most:
            assert time.monotonic() - start < 60, "nothing changes"

    async def write(self, text: str, x: int = 200, y: int = 120) -> None:
        """Click into the terminal, which is at a place of the picture, and type."""
        await self.box.click(position={"x": x, "y": y})
        await self.page.keyboard.type(text, delay=15)

    async def terminal(self) -> None:
        """Open a terminal by the desktop's menu."""
        before = await self.calm(3.0)
        await self.box.click(button="right", position={"x": 120, "y": 80})
        await self.change(before, 1000)
        await self.calm()
        await self.page.keyboard.press("t")
        await self.change(before, 20_000)
        await self.calm()

    async def people(self) -> Locator:
        """Open the panel of people."""
        panel = self.page.locator("#panel-people")
        if not await panel.is_visible():
            await self.page.locator("#open-people").click()
        return panel
