"""Every sample page in a real browser: accessible in both themes, and as wide as a phone."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.support.axe import grave_faults
from tests.support.samples.pages import PAGES

pytestmark = pytest.mark.asyncio(loop_scope="package")

IN_DARK = (
    "home",
    "home-faults",
    "home-slurm",
    "new-refused",
    "new-detail",
    "new-faults",
    "new-kubernetes",
    "progress-failed",
    "usage",
    "operate",
)
"""Pages that between them have every colour: inspected in the dark theme too."""


async def _show(page, site, name):
    # Streams never answer, so that the page stays as it is.
    await page.route(re.compile(r"/events(\?|$)"), lambda _: None)
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    await page.goto(f"{site}/{name}")


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_has_no_grave_fault_and_fits_a_phone(page, site, name):
    await _show(page, site, name)
    assert await grave_faults(page) == []
    for width in (390, 320):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", IN_DARK)
async def test_a_page_has_no_grave_fault_in_the_dark(page, site, name):
    await _show(page, site, name)
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html[data-bs-theme=dark]")).to_be_attached()
    assert await grave_faults(page) == []


async def test_a_page_works_without_script(chromium, site):
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site}/home")
    await page.get_by_text("Stop", exact=True).first.click()
    assert await page.get_by_role("button", name="Stop now").first.is_visible()
    await page.goto(f"{site}/new")
    assert await page.get_by_role("button", name="Start", exact=True).is_visible()
    await page.goto(f"{site}/new-slurm")
    await page.locator("#detail-fields > summary").click()
    await page.get_by_label("Quarter").check(force=True)
    await page.get_by_label("Account").select_option("id22")
    assert await page.get_by_role("button", name="Update the summary").is_visible()
    await page.goto(f"{site}/usage")
    assert await page.locator("#use-by-day").is_visible()
    await context.close()
