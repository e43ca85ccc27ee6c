"""Desktops that people share, in real browsers: the running platform, a real guacd, real X servers.

Pictures of the way are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import expect

from hub.demo.picture import changed
from tests.support.beamtimes import give_beamtime
from tests.support.browsing import PATIENCE_MS, Album, chromium, guest
from tests.support.platform import Platform
from tests.support.screens import FEW, Screen
from tests.support.workstations import vnc_machine, window_on

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DOCUMENTED = {"desktop-people": "desktop-people"}
"""Pictures of this way that are shown in the documentation."""

_QUIET_S = 2.0
_CLOCK = 60
"""Rows at the bottom with the desktop's clock, which goes on by itself."""


_STATION = "ws-id22-control"
_CALL = "https://call.facility.example/id22"
_LEFT, _RIGHT = (0xE8, 0xE0, 0xC8), (0xA0, 0x40, 0x20)
"""Colours of the windows on the two screens of the control computer."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(tmp_path_factory):
    """A control computer with two screens, and a window on each."""
    async with (
        vnc_machine(tmp_path_factory.mktemp("machine"), size="2048x768") as machine,
        window_on(machine, at=(30, 20), colour="#e8e0c8"),
        window_on(machine, at=(1054, 20), colour="#a04020"),
    ):
        yield machine


@pytest.fixture(scope="module")
def platform(tmp_path_factory, machine):
    """Declares the control computer; it is the beamtime of a team that nobody else here is on."""
    state = tmp_path_factory.mktemp("desktop") / "state"
    password = state.with_name("password")
    password.write_text(machine.password)
    password.chmod(0o600)
    station = {
        "title": "ID22 control",
        "instrument": "id22",
        "protocol": "vnc",
        "host": "127.0.0.1",
        "port": machine.port,
        "password_file": str(password),
        "screens": 2,
        "call_url": _CALL,
    }
    platform = Platform(state, {"desktop": {"workstations": {"id22-control": station}}}, desktops=True)
    try:
        give_beamtime(state, "hc4802", "id22")
        platform.start()
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(state, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def album():
    return Album(DOCUMENTED)


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
        assert changed(before[:-_CLOCK], (await mine.pixels())[:-_CLOCK]) <= FEW

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


async def shows(screen, *colours):
    """Wait until of the two windows' colours the screen shows these, each on a good part of it."""
    start = time.monotonic()
    while True:
        seen = await screen.pixels()
        found = [one for one in (_LEFT, _RIGHT) if _like(seen, one) > 20_000]
        if found == list(colours):
            return
        assert time.monotonic() - start < 60, f"{found} is not {colours}"


def _like(seen, colour):
    """How many pixels are nearly of a colour: what is shown may have been a JPEG on its way."""
    return np.count_nonzero((np.abs(seen.astype(int) - colour) < 8).all(axis=2))


async def station_card(person):
    """The control computer on the home page."""
    await person.go()
    return person.page.locator("article.session", has_text="ID22 control")


async def test_a_team_at_the_control_computer_of_its_beamline(platform, browser, album):
    async with (
        guest(browser, platform, album) as rui,
        guest(browser, platform, album) as helene,
        guest(browser, platform, album) as tobi,
    ):
        # 1. In the beamtime the team sees it; where to talk is beside the picture.
        await rui.sign_in("Rui Costa")
        card = await station_card(rui)
        await expect(card).to_contain_text("May see")
        await expect(card).to_contain_text("until")
        await rui.see("home-workstation")
        await card.get_by_role("link", name="Open", exact=True).click()
        team = Screen(rui)
        await team.live()
        await shows(team, _LEFT, _RIGHT)
        await expect(rui.page.locator("#control")).to_contain_text("nobody has control")
        await expect(rui.page.locator("#call")).to_have_attribute("href", _CALL)

        # 2. The instrument's scientist takes control, and hands it over.
        await helene.sign_in("Helene Brandt")
        card = await station_card(helene)
        await expect(card).to_contain_text("You look after it")
        await expect(card).to_contain_text("with Rui Costa")
        await card.get_by_role("link", name="Open", exact=True).click()
        staff = Screen(helene)
        await staff.live()
        take = helene.page.locator("#control").get_by_role("button", name="Take control", exact=True)
        await take.click()
        await expect(rui.page.locator("#control")).to_contain_text("Helene Brandt has control")
        await rui.see("workstation-watching")
        panel = await staff.people()
        await panel.get_by_role("button", name="Let take control: Rui Costa").click()
        await panel.get_by_role("button", name="Give control: Rui Costa").click()
        await expect(rui.page.locator("#control")).to_contain_text("You have control")
        await team.live()
        before, seen = await team.calm(), await staff.pixels()
        await team.write("moved the sample by 2 mm, the team at home " * 2, x=320, y=375)
        await team.change(before)
        await staff.change(seen)

        # 3. It is taken back at once.
        await take.click()
        await expect(rui.page.locator("#control")).to_contain_text("Helene Brandt has control")

        # 4. Somebody of another team comes by a link, which survives their sign-in.
        await panel.get_by_role("button", name="Make a link").click()
        link = await panel.get_by_label("The link", exact=True).input_value()
        await tobi.page.goto(link, wait_until="commit")
        await tobi.page.get_by_role("button", name=re.compile("Tobi Okafor")).click()
        accept = tobi.page.get_by_role("button", name="Accept and open")
        await expect(accept).to_be_enabled(timeout=PATIENCE_MS)
        assert urlsplit(tobi.page.url).fragment == ""
        await tobi.see("invitation")
        other = await tobi.page.context.new_page()
        await other.goto(f"{tobi.home}desktops/{_STATION}")
        await expect(other.get_by_role("heading", name="Ask to see this desktop")).to_be_visible()
        await other.goto(tobi.home)
        await expect(other.locator("article.session", has_text="ID22 control")).to_have_count(0)
        await other.close()

        # 5. They may not read what is measured there: the scientist is asked, and has to say it twice.
        await accept.click()
        await expect(tobi.page.locator("[data-words]")).to_contain_text("the owner is asked first")
        asking = panel.locator(".asking li", has_text="Tobi Okafor")
        await expect(asking).to_contain_text("May not read hc4802")
        await asking.get_by_role("button", name="Let see: Tobi Okafor").click()
        confirm = panel.get_by_role("alertdialog")
        await expect(confirm).to_contain_text("hc4802")
        await helene.see("workstation-confirm")
        await confirm.get_by_role("button", name="Let Tobi Okafor in all the same").click()
        await tobi.page.wait_for_url(f"**/desktops/{_STATION}", timeout=PATIENCE_MS)
        await Screen(tobi).live()

        # 6. Each screen of the machine in a window of its own.
        await helene.page.locator("#open-screens").click()
        async with helene.page.context.expect_page() as opening:
            await helene.page.get_by_role("button", name="Open a second screen").click()
        second = Screen(helene, await opening.value)
        await second.live()
        await shows(staff, _LEFT)
        await shows(second, _RIGHT)
        await album.add(second.page, "workstation-second")
        await helene.see("workstation-first")
        await second.page.close()
        await shows(staff, _LEFT, _RIGHT)

        # 7. It is ended for all others, who are told.
        await (await staff.people()).get_by_role("button", name="End for all others").click()
        for person in (rui, tobi):
            await expect(person.page.locator("#status")).to_contain_text("ended this for everybody else")
        await rui.see("workstation-ended")
        await staff.live()


_AWAY = re.compile(r"WebSocket|status of 50[234]|ERR_CONNECTION|ERR_INCOMPLETE")
"""What a browser reports of a tunnel that is away."""
