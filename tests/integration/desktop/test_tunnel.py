"""The tunnel between a real guacd, a real display and browsers: who sees, who types, how rooms go on."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.desktop.codec import encode
from hub.desktop.connections import MOST_OF_A_PERSON
from hub.desktop.models import Role, WorkstationTarget
from hub.desktop.status import Status
from tests.support.guacd import running_guacd
from tests.support.tunnel import World, running_world, until_true
from tests.support.xvnc import running_desktop

SOON_S = 5.0
"""What is to happen within a second, on a machine that is busy."""

A, B, SHIFT = 0x61, 0x62, 0xFFE1


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    with running_desktop(tmp_path_factory.mktemp("d") / "s") as running:
        yield running


@asynccontextmanager
async def a_world(folder: Path, display, **rules):
    async with running_guacd() as guacd, running_world(folder, guacd, **rules) as made:
        made.guacd = guacd
        made.relay.display, made.relay.password = display.socket, display.password
        yield made


@pytest.fixture
async def world(tmp_path: Path, display):
    async with a_world(tmp_path, display) as made:
        yield made


async def press(browser, key: int) -> None:
    await browser.say("key", str(key), "1")
    await browser.say("key", str(key), "0")


async def echo(browser) -> None:
    """Until all that was said before has been judged."""
    mark = str(time.monotonic_ns() % 10**12)
    await browser.say("", "ping", mark)
    while (await browser.until("", "error")) != ("", "ping", mark):
        pass


async def test_a_window_sees_the_desktop_and_types_into_it(world: World):
    browser = await world.enter()
    opened = browser.seen[0]
    assert opened[0] == ""
    assert len(opened[1]) == 36
    assert ("size", "0", "800", "600") in browser.seen
    assert any(one[0] == "img" for one in browser.seen)
    await press(browser, A)
    await until_true(lambda: ("release", A) in world.relay.rfb.keys, "no key came")
    assert world.relay.rfb.keys == [("press", A), ("release", A)]
    await echo(browser)


async def test_two_who_come_at_once_share_one_room(world: World):
    first, second = await asyncio.gather(world.enter(), world.enter("grace", Role.CONTROL))
    assert world.relay.opened == 1
    await press(first, A)
    await press(second, B)
    await until_true(lambda: ("release", B) in world.relay.rfb.keys, "no key came")
    assert ("press", A) in world.relay.rfb.keys


async def test_the_room_goes_on_when_the_owner_leaves(world: World):
    owner, viewer = await world.enter(), await world.enter("grace", Role.VIEWER)
    owner.close()
    await until_true(lambda: len(world.app.connections) == 1, "the owner is still there")
    seen = len(viewer.seen)
    await viewer.until("sync")
    await viewer.until("sync")
    assert len(viewer.seen) > seen
    again = await world.enter()
    assert world.relay.opened == 1, "the same connection of guacd"
    await press(again, A)
    await until_true(lambda: ("release", A) in world.relay.rfb.keys, "no key came")


async def test_a_room_that_all_have_left_is_made_anew(world: World):
    first = await world.enter("grace", Role.VIEWER)
    first.close()
    await until_true(lambda: not world.relay.open, "guacd did not let go of the display")
    owner = await world.enter()
    assert world.relay.opened == 2
    await press(owner, A)
    await until_true(lambda: ("release", A) in world.relay.rfb.keys, "no key came")


async def test_a_viewer_types_pastes_and_uploads_in_no_order(world: World):
    owner, viewer = await world.enter(), await world.enter("grace", Role.VIEWER)
    text = base64.b64encode(b"stolen").decode()
    key, mouse = encode("key", "98", "1"), encode("mouse", "10", "10", "1")
    clipboard = encode("clipboard", "0", "text/plain") + encode("blob", "0", text) + encode("end", "0")
    file = encode("file", "1", "text/plain", "a.txt") + encode("blob", "1", text) + encode("end", "1")
    put = encode("put", "0", "2", "text/plain", "/a.txt") + encode("blob", "2", text) + encode("end", "2")
    nop = encode("nop")
    for order in (
        key + mouse + clipboard + file + put,
        put + file + clipboard + mouse + key,
        nop + key + nop + clipboard + encode("size", "640", "480") + key,
        encode("argv", "0", "text/plain", "read-only") + encode("blob", "0", text) + encode("end", "0") + key,
        encode("end", "0") + encode("blob", "0", text) + clipboard + clipboard + key + key,
        encode("pipe", "3", "text/plain", "x") + encode("audio", "4", "audio/L16") + mouse,
    ):
        await viewer.tell(order)
        await echo(viewer)
    await press(owner, A)
    await until_true(lambda: ("release", A) in world.relay.rfb.keys, "no key came")
    assert world.relay.rfb.keys == [("press", A), ("release", A)]
    assert ("pointer", 1) not in world.relay.rfb.events


async def test_a_clipboard_of_the_holder_reaches_the_display(world: World):
    owner = await world.enter()
    await owner.say("clipboard", "0", "text/plain")
    await owner.say("blob", "0", base64.b64encode("µ-XRF".encode()).decode())
    await owner.say("end", "0")
    await until_true(lambda: world.relay.rfb.keys, "no clipboard came")
    kind, text = world.relay.rfb.keys[0]
    assert kind == "clipboard"
    assert b"XRF" in text


async def test_control_that_is_taken_acts_at_once_and_lets_go_of_keys(world: World):
    owner = await world.enter()
    await owner.say("key", str(SHIFT), "1")
    await until_true(lambda: ("press", SHIFT) in world.relay.rfb.keys, "no key came")
    await world.engine.decide(world.connection_of("ada"), has_control=False)
    await until_true(lambda: ("release", SHIFT) in world.relay.rfb.keys, "the key is still down", SOON_S)
    await press(owner, B)
    await echo(owner)
    await world.engine.decide(world.connection_of("ada"), has_control=True)

    async def typed() -> None:
        while ("press", A) not in world.relay.rfb.keys:
            await press(owner, A)
            await owner.quietly(0.1)

    await asyncio.wait_for(typed(), SOON_S)
    assert ("press", B) not in world.relay.rfb.keys


async def test_a_right_that_is_taken_back_closes_within_a_second(world: World):
    viewer = await world.enter("grace", Role.VIEWER)
    began = time.monotonic()
    text = "Ada has taken back your invitation."
    await world.engine.decide(world.connection_of("grace"), may_stay=False, text=text)
    assert await viewer.until("error") == ("error", text, "771")
    assert await viewer.until_closed() == "771"
    assert viewer.code == Status.CLIENT_FORBIDDEN.websocket
    assert time.monotonic() - began < SOON_S


async def test_one_that_the_engine_does_not_name_is_closed(world: World):
    viewer = await world.enter("grace", Role.VIEWER)
    del world.engine.decisions[world.connection_of("grace")]
    await world.engine.tell()
    assert await viewer.until_closed() == "771"


async def test_joins_and_leaves_are_told_at_once_and_input_too(world: World):
    owner = await world.enter()
    connection = world.connection_of("ada")

    def told() -> list:
        return [one for one in world.engine.reports[-1].connections if one.connection == connection]

    await until_true(told, "the join was not told", SOON_S)
    assert told()[0].last_input is None
    for _ in range(5):
        await press(owner, A)
    await until_true(lambda: world.relay.inputs, "the session did not hear of it", SOON_S)
    await world.engine.tell()
    await until_true(lambda: told()[0].last_input, "no input was told", SOON_S)
    assert world.relay.inputs == 1
    owner.close()
    await until_true(lambda: not told(), "the leave was not told", SOON_S)


async def test_a_person_has_so_many_windows(world: World):
    windows = await asyncio.gather(*(world.enter() for _ in range(MOST_OF_A_PERSON)))
    more = await world.connect(f"ticket={world.ticket()}")
    assert await more.until_closed() == "797"
    await world.enter("grace", Role.VIEWER)
    windows[0].close()
    await until_true(lambda: len(world.app.connections) == MOST_OF_A_PERSON, "its place is not free")
    await world.enter()


async def test_a_workstation_is_reached_by_tcp(tmp_path: Path, display):
    async def forward(reader, writer) -> None:
        there, out = await asyncio.open_unix_connection(display.socket)

        async def copy(source, sink) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, out), copy(there, writer), return_exceptions=True)

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    (tmp_path / "password").write_text(display.password + "\n")
    station = {
        "title": "Control",
        "instrument": "bm05",
        "protocol": "vnc",
        "host": "127.0.0.1",
        "port": server.sockets[0].getsockname()[1],
        "password_file": tmp_path / "password",
    }
    async with a_world(tmp_path, display, workstations={"bm05-control": station}) as world:
        target = WorkstationTarget(name="bm05-control")
        window = await world.enter(desktop="ws-bm05-control", target=target)
        assert any(one[0] == "img" for one in window.seen)
        other = world.ticket(desktop="ws-other", target=WorkstationTarget(name="other"))
        assert await (await world.connect(f"ticket={other}")).until_closed() == "516"
        window.close()
        await until_true(lambda: not len(world.app.connections), "the window is still there")
    server.close()
