"""A person's whole way through the running platform, in a real browser.

From the sign-in to a plot of their data and what it cost; refusals; the operator's page; in light
and dark and at the width of a phone. Pictures of it are left in ``build/screenshots``.
"""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.browsing import PATIENCE_MS, PHONE, Album, chromium, guest
from tests.support.history import give_past
from tests.support.platform import running_platform, wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DOCUMENTED = {"home": "home", "form": "form", "lab-plot": "lab", "usage": "usage"}
"""Pictures of this way that are shown in the documentation."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with running_platform(tmp_path_factory.mktemp("walk") / "state") as platform:
        yield platform


@pytest.fixture
def fresh(tmp_path_factory):
    """A platform that nobody has used: also when the walk has to be done once more."""
    with running_platform(tmp_path_factory.mktemp("fresh") / "state") as platform:
        yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def album():
    return Album(DOCUMENTED)


def picked(page):
    """The data set that the form has chosen."""
    return page.locator("#launch-fields .choice.picked")


async def choose_data(page, query, name):
    """Search another data set in the form and take it."""
    await page.get_by_text("Choose other data").click()
    async with page.expect_response(re.compile(r"/parts/data\?q=")):
        await page.get_by_label("Search data").fill(query)
    choice = page.locator("#data-choices").get_by_label(re.compile(name))
    async with page.expect_response(re.compile("/parts/summary$")):
        await choice.check(force=True)
    await expect(picked(page)).to_contain_text(name)


async def test_a_person_goes_from_sign_in_to_a_plot_of_their_data(fresh, browser, album):
    async with guest(browser, fresh, album) as maja:
        page, summary = maja.page, maja.page.locator("#launch-summary")

        # 1. Sign in, by name and role.
        await page.goto(fresh.url)
        person = page.get_by_role(
            "button", name=re.compile("Maja Lindqvist.*Principal investigator", re.DOTALL)
        )
        await expect(person).to_be_visible()
        await maja.see("sign-in")
        await person.click()
        await page.wait_for_url(maja.home)

        # 2. Home, the first time.
        await expect(page.get_by_role("heading", name="Start your first session")).to_be_visible()
        await expect(page.locator("#meters")).to_contain_text("60 of 60 CPU-hours left")
        await maja.see("home-first")

        # 3. The form: complete at once; other data by search; the summary is live.
        await page.get_by_role("main").get_by_role("link", name="New session").first.click()
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
        await choose_data(page, "iron", "Oriented iron")
        await expect(summary).to_contain_text("released on")
        await expect(summary).to_contain_text("Yours")
        await choose_data(page, "lab6", "LaB6 series")
        template = page.locator("input[name=template]:checked + .choice-text")
        await expect(template).to_contain_text("Azimuthal integration")
        await expect(template).to_contain_text("Fits: ")
        place = page.locator(".place", has=page.locator("input[name=place]:checked"))
        await expect(place).to_contain_text(re.compile(r"now.*CPU.*\d+ of \d+ free", re.DOTALL))
        await maja.choose("size", "medium")
        await expect(summary).to_contain_text("2 CPU · 4 GB")
        await expect(summary).to_contain_text("4 CPU-hours")
        await maja.choose("walltime_s", "3600")
        await expect(summary).to_contain_text("up to 1 h")
        await expect(summary).to_contain_text("you are on the team")
        await expect(summary).to_contain_text("of 200 left · Proposal ma5501")
        assert "size=medium" in page.url
        await maja.see("form-chosen")

        # 4. Start: progress in plain words; opens by itself.
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.wait_for_url("**/launches/*")
        await expect(page.locator("#progress")).to_contain_text("Access and quota checked")
        await maja.album.add(page, "progress")
        await maja.wait_for_lab()

        # 5. JupyterLab on a copy of the template with the data set filled in; run all; a plot.
        await expect(page.locator(".jp-Notebook")).to_contain_text("LaB6_series.h5")
        await expect(page.get_by_text(re.compile(r"\d+ min left"))).to_be_visible()
        await maja.album.add(page, "lab")
        await maja.open_menu("Run", "Run All Cells")
        plots = page.locator(".jp-Notebook .jp-OutputArea-output img")
        await expect(plots.first).to_be_attached(timeout=PATIENCE_MS)
        result = "data/visitor/ma5501/**/PROCESSED_DATA/**/*.nxs"
        wait_until(lambda: list(fresh.state.glob(result)), "no result file")
        await maja.show_in_lab(plots.last)
        await maja.album.add(page, "lab-plot")
        await maja.open_menu("Settings", "Theme", "JupyterLab Dark")
        await expect(page.locator("body[data-jp-theme-light=false]")).to_be_attached()
        await maja.show_in_lab(plots.first)
        await maja.album.add(page, "lab-plot-dark")

        # 6. Back home: the card; more time; stop, asked once in place.
        await maja.go()
        card = page.locator("article.session")
        await expect(card).to_contain_text(re.compile(r"5\d min left"))
        await card.locator("summary", has_text="Extend").click()
        await card.get_by_role("button", name="+ 1 h").click()
        await expect(card).to_contain_text(re.compile(r"1 h 5\d min left"))
        await card.locator("summary", has_text="Stop").click()
        await maja.see("home-stop")
        await card.get_by_role("button", name="Stop now").click()
        row = page.locator("#recent-table tbody tr").first
        await expect(row).to_contain_text("Ended by you", timeout=PATIENCE_MS)
        await expect(row).to_contain_text("CPU-h")
        await expect(card).to_have_count(0)

        # 7. What it cost, as a plot.
        await page.get_by_role("link", name="Usage", exact=True).first.click()
        await expect(page.locator("#plot canvas")).to_be_visible()
        await expect(page.locator("#usage-table")).to_contain_text("LaB6 series")
        await maja.see("usage-first")

        # 8. The same again; cancelled while it starts.
        await maja.go()
        await page.get_by_role("button", name="Relaunch last").click()
        await page.wait_for_url("**/launches/*")
        await page.locator("summary", has_text="Cancel").click()
        await page.get_by_role("button", name="Cancel the start").click()
        await page.wait_for_url(maja.home)
        await expect(page.locator("#recent-table tbody tr").first).to_contain_text(
            "Cancelled", timeout=PATIENCE_MS
        )

        # 9. Sign out, at the provider too.
        await page.locator("summary", has_text="Maja").click()
        await page.get_by_role("link", name="Sign out").click()
        await expect(page.get_by_role("main")).to_contain_text("signed out")
        await maja.see("signed-out")
        await maja.go()
        await expect(page.get_by_role("button", name=re.compile("Maja Lindqvist"))).to_be_visible()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tobi(platform):
    """A team member who has worked here for weeks, with a session on measured data running."""
    visitor = await asyncio.to_thread(platform.sign_in, "tobi")
    await asyncio.to_thread(give_past, platform, visitor)
    request = {"inputs": [{"kind": "dataset", "ref": "ds-sc6120-iron"}], "template": "auto", "size": "medium"}
    launch = await asyncio.to_thread(lambda: visitor.launch(**request))
    await asyncio.to_thread(visitor.wait_for, launch["id"], "running")
    return launch


LOOKS = {
    "": {},
    "-dark": {"color_scheme": "dark"},
    "-phone": {"viewport": PHONE, "has_touch": True},
    "-phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
}
"""Suffix of a picture → the window it was taken in."""


@pytest.mark.parametrize("look", LOOKS)
async def test_the_pages_of_a_person_at_work(platform, browser, album, tobi, look):
    async with guest(browser, platform, album, **LOOKS[look]) as person:
        page = person.page
        await person.sign_in("Tobi Okafor")
        await expect(page.locator("article.session")).to_contain_text("Oriented iron")
        await expect(page.locator("#recent-table tbody tr")).to_have_count(14)
        await person.see(f"home{look}")
        await person.go("new?input=dataset:ds-ma5501-lab6-series")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_in_viewport()
        await person.see(f"form{look}")
        await person.go("usage")
        await expect(page.locator("#plot canvas")).to_be_visible()
        await person.see(f"usage{look}")
        await person.go(f"launches/{tobi['id']}")
        await expect(page.get_by_role("link", name="Open", exact=True)).to_be_visible()
        await person.see(f"launch{look}")
        for name in ("data", "templates"):
            await person.go(name)
            await person.see(f"{name}{look}")


async def test_who_may_not_read_is_refused_by_link_and_told_what_to_do(platform, browser, album):
    async with guest(browser, platform, album) as rui:
        await rui.sign_in("Rui Costa")
        await rui.go("launch?dataset=ds-ma5501-lab6-series")
        page = rui.page
        await expect(page.locator(".refusal")).to_have_attribute("data-code", "not_found_or_not_entitled")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
        await rui.see("refused-link")
        await page.get_by_role("link", name="Choose other data").click()
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


async def test_a_refusal_for_quota_says_how_much_and_when_and_which_session_to_stop(platform, browser, album):
    # Rui has 6 CPU-hours a week; this session holds 4 of them.
    visitor = await asyncio.to_thread(platform.sign_in, "rui")
    running = await asyncio.to_thread(lambda: visitor.launch(size="medium", walltime_s=7200))
    await asyncio.to_thread(visitor.wait_for, running["id"], "running")
    refused = await asyncio.to_thread(
        lambda: visitor.api("POST", "/launches", json={"size": "medium", "walltime_s": 7200})
    )
    assert refused.json()["code"] == "quota_exceeded"
    async with guest(browser, platform, album) as rui:
        page, summary = rui.page, rui.page.locator("#launch-summary")
        await rui.sign_in("Rui Costa")
        notice = page.locator(".notice")
        await expect(notice).to_contain_text("Not enough quota left")
        await expect(notice.locator("summary", has_text="Stop it")).to_be_visible()
        await rui.see("home-refused")
        await rui.go("new?input=&template=none")
        await rui.choose("size", "medium")
        start = page.get_by_role("button", name="Start", exact=True)
        await expect(start).to_be_disabled()
        await expect(summary.locator(".refusal")).to_have_attribute("data-code", "quota_exceeded")
        await expect(summary).to_contain_text("4 held of 6 CPU-hours; asked 4 CPU-hours; resets")
        await expect(summary.get_by_role("link", name="Take Small for 1 h")).to_be_visible()
        await rui.see("refused-quota")
        await summary.locator("summary", has_text="Stop it").click()
        await summary.get_by_role("button", name="Stop now").click()
        await page.wait_for_url("**/new?*size=medium*")
        await expect(start).to_be_enabled()


async def test_an_operator_sees_all_sessions_and_changes_an_allocation_with_a_reason(
    platform, browser, album, tobi
):
    async with guest(browser, platform, album) as sam:
        page = sam.page
        await sam.sign_in("Sam Weber")
        await page.get_by_role("link", name="Operate").click()
        await expect(page.locator("#running-table")).to_contain_text("Tobi Okafor")
        await expect(page.locator("#use-table")).to_contain_text("Proposal ma5501")
        await expect(page.locator("#refusals-table")).to_contain_text("quota_exceeded")
        await sam.see("operate")
        await page.get_by_role("link", name="Edit ma5501, CPU-hours").click()
        form = page.locator("tr.edit-row form")
        await form.get_by_label("New limit").fill("300")
        await form.get_by_label("Reason").fill("More samples than planned")
        await expect(form.locator(".preview li").first).to_be_visible()
        await sam.see("operate-edit", whole=True)
        await form.get_by_role("button", name="Save").click()
        await expect(page.locator("#audit")).to_contain_text("More samples than planned")
        await expect(page.locator("#allocations-table tr", has_text="ma5501").first).to_contain_text("300")


async def test_who_is_no_operator_is_told_so(platform, browser, album):
    async with guest(browser, platform, album) as yuki:
        await yuki.sign_in("Yuki Nakata")
        await yuki.go("operate")
        await expect(yuki.page.get_by_role("heading", name="For operators")).to_be_visible()


@pytest.mark.parametrize("look", ["", "-dark"])
async def test_the_hubs_own_pages_look_like_ours(platform, browser, album, look):
    async with guest(browser, platform, album, **LOOKS[look]) as yuki:
        await yuki.sign_in("Yuki Nakata")
        await yuki.page.goto(f"{platform.url}/hub/nothing-here")
        await expect(yuki.page.get_by_role("heading", name="Not found")).to_be_visible()
        await yuki.see(f"hub-error{look}")
        await yuki.page.get_by_role("link", name="Back to my sessions").click()
        await yuki.page.wait_for_url(yuki.home)
