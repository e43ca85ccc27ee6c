"""Every sample page in a real browser: accessible in both themes, and as wide as a phone."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.axe import grave_faults
from tests.support.page_samples import PAGES

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest_asyncio.fixture(loop_scope="package")
async def still(page):
    """A page whose streams never answer, so that it stays as it is."""
    await page.route("**/events", lambda _: None)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_has_no_grave_accessibility_fault(still, site, name, scheme):
    await still.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await still.goto(f"{site}/{name}")
    assert await grave_faults(still) == []


@pytest.mark.parametrize("width", [390, 320])
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_fits_a_phone(still, site, name, width):
    await still.set_viewport_size({"width": width, "height": 844})
    await still.goto(f"{site}/{name}")
    assert await still.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_page_works_without_script(chromium, site):
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{site}/home")
    await page.get_by_text("Stop", exact=True).first.click()
    assert await page.get_by_role("button", name="Stop now").first.is_visible()
    await page.goto(f"{site}/new")
    assert await page.get_by_role("button", name="Start", exact=True).is_visible()
    await page.goto(f"{site}/usage")
    assert await page.locator("#use-by-day").is_visible()
    await context.close()
