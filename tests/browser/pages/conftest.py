"""A Chromium and the sample pages, for the tests of looks and behaviour."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.support.axe import AXE, CHROMIUM, CHROMIUM_ARGUMENTS
from tests.support.page_server import PREFIX, serve


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(tmp_path_factory):
    """Base address of the sample pages."""
    missing = [path for path in (CHROMIUM, AXE) if not Path(path).exists()]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {missing[0]}")
    server, port = await serve(0, tmp_path_factory.mktemp("pages") / "static")
    yield f"http://127.0.0.1:{port}{PREFIX}"
    server.stop()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium(site):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def page(chromium):
    """A page on a laptop; console errors (the policy's among them) fail the test."""
    context = await chromium.new_context(viewport={"width": 1360, "height": 850}, timezone_id="Europe/Paris")
    page = await context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert errors == []
