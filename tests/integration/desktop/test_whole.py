"""Desktops on a whole platform: the smoke's way, what the hub hears of use, and a tunnel that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import pytest
import pytest_asyncio

from hub.check import DESKTOP_CHECKS, run_checks
from hub.checks.finding import Level
from hub.demo.desktopsmoke import Walk
from hub.demo.smoke import Report
from hub.demo.visitor import Visitor
from hub.demo.window import Window
from hub.desktop.status import Status
from tests.support.afterwards import assert_books_are_right
from tests.support.platform import Platform, running_platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with desktops, whose sessions tell of their use every two seconds."""
    folder = tmp_path_factory.mktemp("whole") / "state"
    sessions = {"idle_end_s": 3600, "idle_warn_s": 8}
    with running_platform(folder, desktops=True, sessions=sessions) as platform:
        yield platform
        assert_books_are_right(platform)
        blocked = platform.blocked_loops()
        assert not blocked, "\n".join(blocked)


@pytest_asyncio.fixture(loop_scope="module")
async def walk(platform: Platform) -> AsyncIterator[Walk]:
    """Three people in front of the platform."""
    owner, guest, outsider = (Visitor(platform.url, name) for name in ("maja", "tobi", "rui"))
    one = Walk(owner, guest, outsider, Report(), {})
    yield one
    await one.aclose()


async def test_a_desktop_is_typed_into_watched_handed_over_and_ended(walk: Walk) -> None:
    await walk.go()
    assert walk.report.failures == []


async def test_keys_count_as_use_and_an_open_window_does_not_and_a_dead_tunnel_comes_back(
    walk: Walk, platform: Platform
) -> None:
    await walk.owner.sign_in()
    launch = await walk.start()
    window = await walk.open(walk.owner)
    await walk.terminal(window)

    def last_used() -> datetime:
        server = platform.hub_servers("maja")[launch["server_name"]]
        return datetime.fromisoformat(server["last_activity"])

    async def used_after(moment: datetime, within_s: float) -> bool:
        for _ in range(int(within_s * 2)):
            if await asyncio.to_thread(last_used) > moment:
                return True
            await asyncio.sleep(0.5)
        return False

    # The tunnel passes on that there was input once in 10 s, and the server tells the hub every 2.
    await asyncio.sleep(15)
    before = await asyncio.to_thread(last_used)
    assert not await used_after(before, 8), "an open window is no use"
    await window.write("x")
    assert await used_after(before, 60), "keys are use"

    await asyncio.to_thread(platform.kill, "desktop")
    assert await window.closed() != Status.SESSION_CLOSED
    await asyncio.to_thread(platform.start, "desktop")
    again = await walk.open(walk.owner)
    await again.calm()
    before_typing = again.pixels
    await again.write("echo here")
    await again.change(before_typing, 40)

    found = {one.check: one for one in await run_checks(platform.config)}
    for name in DESKTOP_CHECKS:
        assert found[name].level is Level.FINE, found[name]
    await walk.stop()


async def test_another_origin_and_another_subprotocol_get_no_window(walk: Walk) -> None:
    await walk.owner.sign_in()
    await walk.owner.sign_in_to_tunnel()
    for origin, subprotocol in ((None, "guacamole"), ("https://elsewhere.example", "guacamole")):
        status = await Window.status_of(walk.owner, origin=origin, subprotocol=subprotocol)
        assert status == 403
    assert await Window.status_of(walk.owner, origin=walk.owner.url, subprotocol="another") == 400
