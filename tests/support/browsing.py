"""A person in front of a real Chromium, with what must hold on every page they see.

A `Guest` keeps a note of each request that leaves the site and of each error that the browser
reports on a page of ours; `Album` keeps the pictures of their way.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from hub.settings import SERVICE_PREFIX
from tests.support.axe import AXE, CHROMIUM, CHROMIUM_ARGUMENTS, grave_faults
from tests.support.platform import Platform
from tests.support.required import require

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_MS = 60_000
"""For what waits for a session to start or a notebook to run."""

expect.set_options(timeout=30_000)  # the default of 5 s is short for a busy machine

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


class Album:
    """Pictures of what a person sees, in ``build/screenshots``.

    With ``PANHUB_DOC_IMAGES=1`` those named in ``documented`` go into ``docs/images`` too.
    """

    def __init__(self, documented: Mapping[str, str]) -> None:
        self._folder = ROOT / "build" / "screenshots"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._documented = documented if os.environ.get("PANHUB_DOC_IMAGES") == "1" else {}

    async def add(self, page: Page, name: str, *, whole: bool = False) -> None:
        """Take a picture of the window, or of the ``whole`` page."""
        await page.screenshot(path=self._folder / f"{name}.png", full_page=whole, animations="disabled")
        if name in self._documented:
            target = ROOT / "docs" / "images" / f"{self._documented[name]}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=target, animations="disabled")


class Guest:
    """A person in a browser window of their own."""

    def __init__(self, page: Page, platform: Platform, album: Album) -> None:
        self.page = page
        self.platform = platform
        self.album = album
        self.home = f"{platform.url}{SERVICE_PREFIX}/"
        self.left_the_site: list[str] = []
        self.errors: list[str] = []
        self._allowed = {urlsplit(platform.url).netloc, urlsplit(platform.settings.identity.issuer).netloc}
        page.context.on("request", lambda request: self._note(request.url))
        page.on("websocket", lambda socket: self._note(socket.url))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob", "about"} and parts.netloc not in self._allowed:
            self.left_the_site.append(url)

    def _hear(self, kind: str, text: str) -> None:
        # JupyterLab asks for what a session does not have, and says so; its pages are not ours.
        if kind == "error" and "/user/" not in self.page.url and "status of 40" not in text:
            self.errors.append(f"{self.page.url}: {text}")

    async def sign_in(self, name: str) -> None:
        """From the site's address to the sessions page, by the provider's own page."""
        await self.page.goto(self.platform.url)
        await self.page.get_by_role("button", name=re.compile(name)).click()
        await self.page.wait_for_url(self.home)

    async def go(self, path: str = "") -> None:
        """Open a page of the service."""
        await self.page.goto(f"{self.home}{path}")

    async def choose(self, name: str, value: str) -> None:
        """Take a choice of the form, and wait until the summary says what comes of it."""
        async with self.page.expect_response(re.compile("/parts/summary$")):
            await self.page.locator(f"input[name={name}][value='{value}']").first.check(force=True)
        await expect(self.page.locator("#launch-summary.htmx-request")).to_have_count(0)

    async def see(self, name: str, *, whole: bool = False) -> None:
        """Look at the page as it is: a picture, no grave fault, nothing wider than the window."""
        await self.page.wait_for_load_state()
        await self.page.evaluate("window.scrollTo(0, 0)")
        await self.album.add(self.page, name, whole=whole)
        faults = await grave_faults(self.page)
        assert faults == [], name
        width = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert width <= 0, f"{name} is {width} px wider than the window"

    async def wait_for_lab(self) -> None:
        """Wait until the session opened by itself, and JupyterLab shows a notebook."""
        await self.page.wait_for_url("**/user/**", timeout=PATIENCE_MS)
        await expect(self.page.locator(".jp-Notebook")).to_be_visible(timeout=PATIENCE_MS)
        # Before it has a kernel, JupyterLab takes a run of all cells and does nothing.
        await expect(self.page.get_by_text("| Idle")).to_be_visible(timeout=PATIENCE_MS)

    async def show_in_lab(self, what: Locator) -> None:
        """Bring a part of the notebook into view; JupyterLab draws only what is."""
        await what.evaluate("element => element.scrollIntoView({block: 'center'})")
        await expect(what).to_be_in_viewport()
        await self.page.wait_for_timeout(500)  # it settles after its own scrolling

    async def open_menu(self, *names: str) -> None:
        """Take an entry of JupyterLab's menus."""
        await self.page.get_by_role("menuitem", name=names[0], exact=True).click()
        entries = self.page.locator(".lm-Menu-itemLabel")
        for name in names[1:-1]:
            await entries.get_by_text(name, exact=True).hover()
        await entries.get_by_text(names[-1], exact=True).click()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, or the reason why there is none."""
    require(Path(CHROMIUM).exists(), "Chromium (Debian package chromium)")
    require(AXE.exists(), "axe-core (npm ci)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS])
        yield browser
        await browser.close()


@asynccontextmanager
async def guest(browser: Browser, platform: Platform, album: Album, **window: Any) -> AsyncIterator[Guest]:
    """A fresh window; what must hold of all that happened in it is checked at its end."""
    options = {"viewport": LAPTOP, "timezone_id": "Europe/Paris", "locale": "en-GB", **window}
    context = await browser.new_context(**options)
    one = Guest(await context.new_page(), platform, album)
    yield one
    await context.close()
    assert one.left_the_site == []
    assert one.errors == []
