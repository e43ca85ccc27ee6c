"""Two people at one desktop, in real browsers: the running platform, a real guacd, a real X server.

Pictures of the way are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import re
import time

import pytest
import pytest_asyncio
from playwright.async_api import expect

from hub.demo.picture import changed, read_png
from tests.support.browsing import PATIENCE_MS, Album, chromium, guest
from tests.support.platform import running_platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DOCUMENTED = {"desktop-people": "desktop-people"}
"""Pictures of this way that are shown in the documentation."""

_FEW = 60
"""Fewer pixels than this differ by a blinking or moving pointer at most."""

_QUIET_S = 2.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with running_platform(tmp_path_factory.mktemp("desktop") / "state", desktops=True) as platform:
        yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def album():
    return Album(DOCUMENTED)


class Screen:
    """The desktop as somebody sees and uses it in their browser."""

    def __init__(self, person, page=None):
        self.person = person
        self.page = page or person.page
        self.box = self.page.locator("#picture")

    async def pixels(self):
        return await asyncio.to_thread(read_png, await self.box.screenshot(animations="disabled"))

    async def live(self):
        """Wait until the desktop is shown."""
        await expect(self.page.locator("#status")).to_be_hidden(timeout=PATIENCE_MS)
        await expect(self.page.locator(".stage canvas").first).to_be_attached(timeout=PATIENCE_MS)
        start = time.monotonic()
        while not (await self.pixels() != (await self.pixels())[0, 0]).any():
            assert time.monotonic() - start < 60, "nothing is drawn"

    async def calm(self, seconds=1.0):
        """The picture once nothing moves any more."""
        before, since = await self.pixels(), time.monotonic()
        while time.monotonic() - since < seconds:
            now = await self.pixels()
            if changed(before, now) > _FEW:
                since = time.monotonic()
            before = now
        return before

    async def change(self, before, most=_FEW * 3):
        """Wait until more than ``most`` pixels differ."""
        start = time.monotonic()
        while changed(before, await self.pixels()) <= most:
            assert time.monotonic() - start < 60, "nothing changes"

    async def write(self, text):
        """Click into the terminal and type."""
        await self.box.click(position={"x": 200, "y": 120})
        await self.page.keyboard.type(text, delay=15)

    async def terminal(self):
        """Open a terminal by the desktop's menu."""
        before = await self.calm(3.0)
        await self.box.click(button="right", position={"x": 120, "y": 80})
        await self.change(before, 1000)
        await self.calm()
        await self.page.keyboard.press("t")
        await self.change(before, 20_000)
        await self.calm()

    async def people(self):
        """Open the panel of people."""
        panel = self.page.locator("#panel-people")
        if not await panel.is_visible():
            await self.page.locator("#open-people").click()
        return panel


async def made(platform, name):
    """Whether a command made a file in the owner's home; waits for it."""
    homes = platform.state / "homes" / "maja"
    start = time.monotonic()
    while time.monotonic() - start < 20:
        if await asyncio.to_thread(lambda: any(homes.rglob(name))):
            return True
        await asyncio.sleep(0.2)
    return False


async def size_of(screen):
    """Width of the desktop, in its own pixels; the library makes canvases of whole steps of 64."""
    return await screen.page.locator(".stage canvas").first.evaluate("canvas => canvas.width")


async def test_two_people_at_one_desktop(platform, browser, album):
    async with guest(browser, platform, album) as maja, guest(browser, platform, album) as tobi:
        page = maja.page
        await tobi.sign_in("Tobi Okafor")
        await maja.sign_in("Maja Lindqvist")

        # 1. The same form; it opens by itself.
        await maja.go("new?input=dataset:ds-ma5501-lab6-series&interface=desktop")
        await expect(page.locator("#launch-summary")).to_contain_text("Desktop")
        await maja.see("desktop-form")
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.wait_for_url("**/desktops/*", timeout=PATIENCE_MS)
        mine = Screen(maja)
        await mine.live()

        # 2. A window is drawn, and typing does what it says.
        await mine.terminal()
        before = await mine.calm()
        await mine.write("touch by-owner; ls -la /data/visitor/ma5501/id22\n")
        await mine.change(before)
        assert await made(platform, "by-owner")
        await maja.see("desktop")

        # 3. The desktop follows the window.
        await page.set_viewport_size({"width": 1100, "height": 700})
        room = await page.locator("#picture").evaluate("box => box.clientWidth")
        start = time.monotonic()
        while not room <= await size_of(mine) < room + 64:
            assert time.monotonic() - start < 30, f"{await size_of(mine)} is not {room}"
        await mine.calm()

        # 4. A second person is invited to look, and only looks.
        panel = await mine.people()
        await panel.get_by_label("User name").fill("tobi")
        await panel.get_by_role("button", name="Invite", exact=True).click()
        await expect(panel.locator(".people li", has_text="Tobi Okafor")).to_contain_text("may see")
        await tobi.go()
        card = tobi.page.locator("article.session", has_text="Maja Lindqvist")
        await expect(card).to_contain_text("May see")
        await tobi.see("home-shared")
        await card.get_by_role("link", name="Open", exact=True).click()
        theirs = Screen(tobi)
        await theirs.live()
        await expect(tobi.page.locator("#control")).to_contain_text("Watching")
        await expect(panel.locator(".people li", has_text="Tobi Okafor")).to_contain_text("here now")
        await maja.see("desktop-people")
        await page.keyboard.press("Escape")
        await maja.see("desktop-shared")
        await tobi.see("desktop-watching")
        before = await mine.calm()
        await theirs.write("touch by-viewer\n")
        await asyncio.sleep(_QUIET_S)
        assert changed(before, await mine.pixels()) <= _FEW

        # 5. Control is handed over, and taken back.
        panel = await mine.people()
        await panel.get_by_role("button", name="Let take control: Tobi Okafor").click()
        await panel.get_by_role("button", name="Give control: Tobi Okafor").click()
        await expect(tobi.page.locator("#control")).to_contain_text("You have control")
        await expect(page.locator("#control")).to_contain_text("Tobi Okafor has control")
        await page.keyboard.press("Escape")
        await theirs.live()
        await theirs.write("touch by-guest\n")
        assert await made(platform, "by-guest")
        await page.locator("#control").get_by_role("button", name="Take control back").click()
        await expect(tobi.page.locator("#control")).to_contain_text("Maja Lindqvist has control")
        await mine.write("touch again-owner\n")
        assert await made(platform, "again-owner")
        assert not any((platform.state / "homes" / "maja").rglob("by-viewer"))

        # 6. The tunnel dies; what was seen stays, and both come back by themselves.
        await asyncio.to_thread(platform.kill, "desktop")
        await expect(page.locator("#status")).to_be_visible(timeout=PATIENCE_MS)
        await maja.album.add(page, "desktop-away")
        await asyncio.to_thread(platform.start, "desktop")
        await mine.live()
        await theirs.live()
        await mine.write("touch after-kill\n")
        assert await made(platform, "after-kill")
        # While it was away, the browsers said so.
        for person in (maja, tobi):
            person.errors[:] = [one for one in person.errors if not _AWAY.search(one)]

        # 7. JupyterLab of the same session.
        async with page.context.expect_page() as opening:
            await page.locator("#lab").click()
        lab = await opening.value
        await expect(lab.locator("#jp-MainLogo")).to_be_visible(timeout=PATIENCE_MS)
        await lab.close()

        # 8. The owner leaves: others go on seeing, and nobody types. The card shows a picture.
        await maja.go()
        card = page.locator("article.session")
        await expect(card.locator("img.thumb")).to_be_visible()
        await maja.see("home-desktop")
        await expect(tobi.page.locator("#control")).to_contain_text("nobody has control", timeout=PATIENCE_MS)

        # 9. It is stopped; who looks on is told.
        await card.locator("summary", has_text="Stop").click()
        await card.get_by_role("button", name="Stop now").click()
        await expect(tobi.page.locator("#status")).to_contain_text("ended", timeout=PATIENCE_MS)
        await tobi.see("desktop-ended")
        await expect(page.locator("#recent-table tbody tr").first).to_contain_text("Ended by you")


_AWAY = re.compile(r"WebSocket|status of 50[234]|ERR_CONNECTION|ERR_INCOMPLETE")
"""What a browser reports of a tunnel that is away."""
