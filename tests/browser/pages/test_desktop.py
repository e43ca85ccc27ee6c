"""What the desktop's page does, with a sample of its service behind it, in a real browser."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.axe import grave_faults
from tests.support.samples.desktop import HELPING, LAB, NOBODY, OWNER, WATCHING

pytestmark = pytest.mark.asyncio(loop_scope="package")

BLUE, GREY = [38, 64, 92, 255], [236, 238, 240, 255]


class Desk:
    """A page of a desktop, and what its service heard."""

    def __init__(self, page, site):
        self.page = page
        self._site = site
        parts = urlsplit(site)
        self._service = f"{parts.scheme}://{parts.netloc}/services/desktop"

    async def open(self, desktop=OWNER, query=""):
        await self.page.goto(f"{self._site}/desktops/{desktop}{query}")
        await expect(self.page.locator(".stage canvas").first).to_be_visible()
        await expect(self.page.locator("#status")).to_be_hidden()

    async def tell(self, what, **query):
        address = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        await self.page.request.get(f"{self._service}/{what}?{address}")

    async def change(self, desktop, **parts):
        await self.tell("state", desktop=desktop, parts=json.dumps(parts))

    async def heard(self):
        answer = await self.page.request.get(f"{self._service}/heard")
        return (await answer.json())["heard"]

    async def hears(self, wanted):
        """Wait until something that fits was heard; gives it."""
        for _ in range(300):
            found = [one for one in await self.heard() if wanted(one)]
            if found:
                return found
            await self.page.wait_for_timeout(50)
        raise AssertionError(await self.heard())

    async def tickets(self):
        """Connections that were begun."""
        return [one for one in await self.heard() if one[0] == "POST" and one[1].endswith("/tickets")]

    async def pixel(self, x, y):
        """Colour of the picture, as it was drawn."""
        return await self.page.evaluate(
            "([x, y]) => [...document.querySelector('.stage canvas').getContext('2d')"
            ".getImageData(x, y, 1, 1).data]",
            [x, y],
        )

    async def click(self, x, y):
        """Click at a place of the picture, which is 1280 x 720."""
        box = await self.page.locator(".stage").bounding_box()
        await self.page.mouse.click(box["x"] + x * box["width"] / 1280, box["y"] + y * box["height"] / 720)


@pytest_asyncio.fixture(loop_scope="package")
async def desk(page, site):
    one = Desk(page, site)
    await one.tell("forget")
    return one


@pytest_asyncio.fixture(loop_scope="package")
async def refused(chromium, desk):
    """A page to which something is refused, which the browser notes as an error; others fail the test."""
    context = await chromium.new_context(viewport={"width": 1360, "height": 850})
    page = await context.new_page()
    errors = []
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert [text for text in errors if not text.startswith("Failed to load resource")] == []


def _keys(heard):
    return [(one[1], one[2]) for one in heard if one[0] == "key"]


async def test_the_picture_is_drawn_and_keys_and_clicks_reach_it(desk, page):
    await desk.open()
    assert await desk.pixel(20, 20) == BLUE
    assert await desk.pixel(300, 300) == GREY
    await desk.click(300, 300)
    mouse = await desk.hears(lambda one: one[0] == "mouse" and one[3] == "1")
    assert abs(int(mouse[0][1]) - 300) <= 1
    assert abs(int(mouse[0][2]) - 300) <= 1
    await page.keyboard.type("aÅ€")
    keys = _keys(await desk.hears(lambda one: one[:3] == ["key", "16785580", "0"]))
    heard = _keys(await desk.heard())
    assert keys
    assert [pair for pair in heard if pair[0] in {"97", "197", "16785580"}] == [
        ("97", "1"),
        ("97", "0"),
        ("197", "1"),
        ("197", "0"),
        ("16785580", "1"),
        ("16785580", "0"),
    ]


async def test_the_holder_gives_the_desktop_the_size_of_the_window(desk, page):
    await desk.open()
    await desk.hears(lambda one: one[0] == "screens")
    await page.set_viewport_size({"width": 1000, "height": 700})
    sizes = await desk.hears(lambda one: one[0] == "screens" and '"width":1000' in one[2])
    height = json.loads(sizes[-1][2])["screens"][0]["height"]
    assert height == await page.evaluate("document.getElementById('picture').clientHeight")


async def test_the_desktop_takes_the_full_screen_and_gives_it_back(desk, page):
    await desk.open()
    await page.locator("#full-screen").click()
    await page.wait_for_function("document.fullscreenElement === document.documentElement")
    await expect(page.locator("#full-screen use")).to_have_attribute("href", re.compile("#fullscreen-exit$"))
    await page.locator("#full-screen").click()
    await page.wait_for_function("document.fullscreenElement === null")
    await expect(page.locator("#full-screen use")).to_have_attribute("href", re.compile("#fullscreen$"))


async def test_a_second_window_is_a_screen_on_the_right_until_it_is_closed(desk, page):
    await desk.open()
    await page.locator("#open-screens").click()
    async with page.expect_popup() as opened:
        await page.get_by_role("button", name="Open a second screen").click()
    second = await opened.value
    assert "screen=2" in second.url
    both = await desk.hears(lambda one: one[0] == "screens" and one[2].count('"width"') == 2)
    assert json.loads(both[-1][2])["screens"][0]["width"] == 1360
    await desk.hears(lambda one: one[0] == "POST" and one[1].endswith("tickets") and '"screen":2' in one[2])
    before = len([one for one in await desk.heard() if one[0] == "screens"])
    await second.close(run_before_unload=True)
    for _ in range(100):
        sizes = [one for one in await desk.heard() if one[0] == "screens"]
        if len(sizes) > before and sizes[-1][2].count('"width"') == 1:
            break
        await page.wait_for_timeout(50)
    else:
        raise AssertionError(sizes)


async def test_who_watches_is_told_so_and_nothing_is_sent(desk, page):
    await desk.open(WATCHING)
    await expect(page.locator("#control")).to_contain_text("Watching")
    await desk.click(300, 300)
    await expect(page.locator("#toast")).to_contain_text("Maja Lindqvist has control")
    await page.locator("#keys").focus()
    await page.keyboard.type("secret")
    assert not [one for one in await desk.heard() if one[0] in {"key", "mouse", "screens", "clipboard"}]
    await page.get_by_role("button", name="Ask for control").click()
    await desk.hears(lambda one: one[:2] == ["POST", f"{WATCHING}/requests"] and '"control"' in one[2])


async def test_a_watcher_who_may_do_more_connects_anew(desk, page):
    await desk.open(WATCHING)
    tickets = len(await desk.tickets())
    me = {"username": "nils", "name": "Nils", "role": "control", "has_control": False}
    rights = {"may_copy": True, "may_transfer": False, "may_manage": False, "asked": None}
    await desk.change(WATCHING, me={**me, **rights}, holder=None)
    await expect(page.get_by_role("button", name="Take control")).to_be_visible()
    for _ in range(100):
        if len(await desk.tickets()) > tickets:
            return
        await page.wait_for_timeout(50)
    raise AssertionError("no new connection")


async def test_control_that_was_taken_back_lets_go_of_the_keys_and_says_who_has_it(desk, page):
    await desk.open(HELPING)
    state = {"username": "nils", "name": "Nils", "role": "control", "may_copy": True, "may_transfer": False}
    me = {**state, "may_manage": False, "asked": None}
    await desk.change(HELPING, me={**me, "has_control": True}, holder="nils")
    await expect(page.locator("#control")).to_contain_text("You have control")
    await page.locator("#keys").focus()
    await page.keyboard.down("a")
    await desk.hears(lambda one: one[:3] == ["key", "97", "1"])
    await desk.change(HELPING, me={**me, "has_control": False}, holder="maja")
    await expect(page.locator("#control")).to_contain_text("Maja Lindqvist has control")
    await page.keyboard.press("b")
    assert ("98", "1") not in _keys(await desk.heard())


async def test_a_lost_connection_comes_back_by_itself_with_the_last_picture_dimmed(desk, page):
    await desk.open()
    tickets = len(await desk.tickets())
    await desk.tell("cut", status=519, then="closed")
    await expect(page.locator("#status")).to_contain_text("cannot be reached")
    await expect(page.locator("#picture")).to_have_class(re.compile("is-dim"))
    assert await desk.pixel(300, 300) == GREY
    await expect(page.locator("#status")).to_contain_text(re.compile("not ready yet|Trying again"))
    await desk.tell("cut", then="open")
    await expect(page.locator("#status")).to_be_hidden(timeout=20_000)
    await expect(page.locator("#picture")).not_to_have_class(re.compile("is-dim"))
    assert len(await desk.tickets()) > tickets


async def test_a_status_that_needs_a_person_waits_for_one(desk, page):
    await desk.open()
    await desk.tell("cut", status=0x031D)
    await expect(page.locator("#status")).to_contain_text("too many windows")
    await page.get_by_role("button", name="Connect again").click()
    await expect(page.locator("#status")).to_be_hidden()


async def test_keys_in_a_panel_stay_in_the_panel_and_the_way_out_is_by_keys_too(desk, page):
    await desk.open()
    await desk.click(300, 300)
    await expect(page.locator("#keys")).to_be_focused()
    for key in ("Control", "Alt", "Shift"):
        await page.keyboard.down(key)
    for key in ("Shift", "Alt", "Control"):
        await page.keyboard.up(key)
    await expect(page.locator("#keys")).not_to_be_focused()
    assert await page.evaluate("document.activeElement.closest('#desktop-bar') !== null")
    await page.locator("#open-clipboard").focus()
    await page.keyboard.press("Enter")
    await page.locator("#to-desktop").fill("")
    await page.locator("#to-desktop").type("z and z")
    assert "122" not in {key for key, _ in _keys(await desk.heard())}
    await page.keyboard.press("Escape")
    await expect(page.locator("#panel-clipboard")).to_be_hidden()
    await expect(page.locator("#open-clipboard")).to_be_focused()


async def test_text_goes_both_ways_by_the_panel_also_beyond_the_basic_plane(desk, page):
    await desk.open()
    await page.locator("#open-clipboard").click()
    await page.locator("#to-desktop").fill("q = 4π sin θ / λ 😀")
    await page.get_by_role("button", name="Give it to the desktop").click()
    await desk.hears(lambda one: one[0] == "clipboard")
    blobs = await desk.hears(lambda one: one[0] == "blob")
    assert len(blobs) == 1
    await desk.tell("copy", text="aus dem Gerät 😀")
    await expect(page.locator("#from-desktop")).to_have_value("aus dem Gerät 😀")


async def test_names_of_files_are_text_and_bytes_go_up_with_their_progress(desk, page):
    await desk.open()
    await page.locator("#open-files").click()
    await page.get_by_role("button", name="results").click()
    entry = page.get_by_role("link", name="<img src=x onerror=alert(1)>.txt")
    await expect(entry).to_be_visible()
    await expect(page.locator("#entries img")).to_have_count(0)
    address = await entry.get_attribute("href")
    query = "path=results%2F%3Cimg+src%3Dx+onerror%3Dalert%281%29%3E.txt"
    assert address == f"/services/desktop/desktops/{OWNER}/file?{query}"
    name = "scan & <b>.dat"
    await page.locator("#pick").set_input_files([{"name": name, "mimeType": "text/plain", "buffer": b"12 3"}])
    await expect(page.locator("#uploads")).to_contain_text("here")
    assert ["file", f"results/{name}", "12 3"] in await desk.heard()


async def test_the_keyboard_on_the_screen_sends_accents_and_combinations(desk, page):
    await desk.open()
    await page.locator("#open-keyboard").click()
    await page.get_by_role("button", name="acute accent, then the letter").click()
    await page.locator(".board").get_by_role("button", name="Ctrl", exact=True).click()
    await page.locator(".board").get_by_role("button", name="c", exact=True).click()
    await page.get_by_role("button", name="Ctrl + Alt + Del").click()
    await desk.hears(lambda one: one[:2] == ["key", "65535"])
    heard = _keys(await desk.heard())
    assert heard[:2] == [("65105", "1"), ("65105", "0")]
    assert heard[2:6] == [("65507", "1"), ("99", "1"), ("99", "0"), ("65507", "0")]
    assert [key for key, is_down in heard[6:] if is_down == "1"] == ["65507", "65513", "65535"]
    await page.locator("#layout").select_option("de")
    await desk.hears(lambda one: one[0] == "keyboard" and '"de"' in one[2])
    await expect(page.locator(".board").get_by_role("button", name="ß")).to_be_visible()


async def test_who_may_not_read_the_data_is_let_in_only_after_a_second_word(refused, site):
    page, desk = refused, Desk(refused, site)
    await desk.open()
    await page.locator("#open-people").click()
    await page.get_by_role("button", name="Ruth Abara", exact=True).click()
    await page.get_by_role("button", name="Invite", exact=True).click()
    await expect(page.get_by_role("alertdialog")).to_contain_text("data of MA-1234")
    assert await grave_faults(page) == []
    await page.get_by_role("button", name="Let ruth in all the same").click()
    await desk.hears(lambda one: one[1].endswith("/members") and '"confirm":true' in one[2])
    await expect(page.get_by_role("alertdialog")).to_be_hidden()


async def test_a_link_is_shown_once_with_its_secret_behind_the_hash(desk, page):
    await desk.open()
    await page.locator("#open-people").click()
    await page.get_by_role("button", name="Make a link").click()
    link = await page.get_by_label("The link", exact=True).input_value()
    assert re.search(r"/invitation#k{22}$", link)
    await page.goto(link)
    await expect(page.get_by_role("button", name="Accept and open")).to_be_enabled()
    assert "#" not in page.url


async def test_who_is_nobody_there_asks_and_comes_in_when_let(refused, site):
    page, is_in = refused, False

    async def answer(route):
        if is_in:
            await route.continue_(url=route.request.url.replace(NOBODY, WATCHING))
        elif route.request.method == "POST":
            await route.fulfill(status=202, json={"detail": "If there is one, its owner was asked."})
        else:
            await route.fulfill(status=404, json={"code": "desktop_not_found"})

    await page.route(re.compile(f"/api/v1/desktops/{NOBODY}"), answer)
    await page.goto(f"{site}/desktops/{NOBODY}")
    await expect(page.get_by_role("heading", name="Ask to see this desktop")).to_be_visible()
    assert await grave_faults(page) == []
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator("#ask-words")).to_contain_text("its owner was asked")
    await expect(page.locator("#status")).to_be_hidden()
    is_in = True
    await expect(page.locator("#ask")).to_be_hidden(timeout=15_000)
    await expect(page.locator("#control")).to_contain_text("Watching")


async def test_a_session_without_a_desktop_leads_to_jupyterlab(desk, page, site):
    await page.goto(f"{site}/desktops/{LAB}")
    link = page.get_by_role("link", name="Open JupyterLab")
    await expect(link).to_have_attribute("href", "/user/maja/x/lab")


async def test_the_bar_hides_comes_back_by_its_handle_and_stays_as_it_was(desk, page):
    await desk.open()
    await page.get_by_role("button", name="Hide this bar").click()
    await expect(page.locator("#desktop-bar")).to_be_hidden()
    await expect(page.get_by_role("button", name="Show the bar")).to_be_focused()
    await desk.open()
    await expect(page.locator("#desktop-bar")).to_be_hidden()
    await page.keyboard.press("Tab")
    await page.get_by_role("button", name="Show the bar").press("Enter")
    await expect(page.locator("#desktop-bar")).to_be_visible()


async def test_panels_have_no_grave_fault_and_fit_a_phone_and_a_small_picture_is_sent(desk, page):
    await page.emulate_media(reduced_motion="reduce")
    await desk.open()
    panels = ("people", "clipboard", "keyboard", "files", "screens", "quality", "time")
    for number, name in enumerate(panels):
        await page.locator(f"[data-panel={name}]").click()
        await page.emulate_media(color_scheme=("dark", "light")[number % 2])
        assert await grave_faults(page) == [], name
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert await grave_faults(page) == []
    sent = await desk.hears(lambda one: one[0] == "PUT" and one[1].endswith("/thumbnail"))
    assert sent[0][2] == "ffd8ff"  # a JPEG


async def test_fingers_tap_hold_and_scroll(chromium, site, desk):
    context = await chromium.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    phone = await context.new_page()
    on_phone = Desk(phone, site)
    await on_phone.open()
    box = await phone.locator(".stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await phone.touchscreen.tap(x, y)
    tapped = await desk.hears(lambda one: one[0] == "mouse" and one[3] == "1")
    assert abs(int(tapped[0][1]) - 640) < 8
    session = await context.new_cdp_session(phone)

    async def touch(kind, *points):
        places = [{"x": px, "y": py, "id": at} for at, (px, py) in enumerate(points)]
        await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    await touch("touchStart", (x, y))
    await desk.hears(lambda one: one[0] == "mouse" and one[3] == "4")
    await touch("touchEnd")
    await touch("touchStart", (x, y), (x + 40, y))
    await touch("touchMove", (x, y - 60), (x + 40, y - 60))
    await touch("touchEnd")
    await desk.hears(lambda one: one[0] == "mouse" and one[3] == "16")
    await context.close()


async def test_instructions_count_code_points(page, site, desk):
    await desk.open()
    source = await page.evaluate(
        "performance.getEntriesByType('resource').map(e => e.name).find(n => n.includes('desktop-tunnel'))"
    )
    result = await page.evaluate(
        """async (address) => {
          const { decode, encode } = await import(address);
          const heard = [];
          decode(encode(["name", "a😀b", ""]) + encode(["sync", 1]), (...one) => heard.push(one));
          const bad = [];
          for (const text of ["4.name", "4.nam,1.a;", "x.a;", "2.ab,1.c"])
            try { decode(text, () => {}); } catch (error) { bad.push(error.name); }
          return [encode(["😀"]), heard, bad];
        }""",
        source,
    )
    assert result == ["1.😀;", [["name", ["a😀b", ""]], ["sync", ["1"]]], ["SyntaxError"] * 4]


async def test_a_card_shares_in_a_dialogue_of_its_own(page, site, desk):
    await page.goto(f"{site}/home-desktop")
    await page.get_by_role("button", name=re.compile("^Share")).click()
    dialog = page.get_by_role("dialog", name="Share “Tomography, bone 7”")
    await expect(dialog).to_contain_text("Ruth Abara asks to see")
    await dialog.get_by_role("button", name="Let take control: Ruth Abara").click()
    await desk.hears(lambda one: "/requests/" in one[1] and '"control"' in one[2])
    assert await grave_faults(page) == []
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
