"""The tunnel between a real guacd, a real display and browsers: who gets in, who types, how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError

from hub.desktop.models import Role
from hub.desktop.status import Status
from tests.support.guacd import running_guacd
from tests.support.tunnel import World, running_world, until_true
from tests.support.xvnc import running_desktop


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    with running_desktop(tmp_path_factory.mktemp("d") / "s") as running:
        yield running


@pytest.fixture
async def world(tmp_path: Path, display):
    async with running_guacd() as guacd, running_world(tmp_path, guacd) as made:
        made.relay.display, made.relay.password = display.socket, display.password
        made.guacd = guacd
        yield made


async def test_a_window_sees_the_desktop(world: World):
    browser = await world.enter()
    opened = browser.seen[0]
    assert opened[0] == "" and len(opened[1]) == 36
    assert ("size", "0", "800", "600") in browser.seen
    assert any(one[0] == "img" for one in browser.seen)
