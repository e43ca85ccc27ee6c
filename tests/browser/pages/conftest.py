"""A Chromium and the sample pages, for the tests of looks and behaviour."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.support.axe import AXE, CHROMIUM, CHROMIUM_ARGUMENTS

ROOT = Path(__file__).parents[3]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def site(tmp_path_factory):
    """Base address of the sample pages."""
    missing = [path for path in (CHROMIUM, AXE) if not Path(path).exists()]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"needs {missing[0]}")
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.page_server",
        "0",
        "--static",
        str(tmp_path_factory.mktemp("pages") / "static"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdout is not None
    yield (await server.stdout.readline()).decode().strip().rstrip("/")
    server.terminate()
    await server.wait()


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
