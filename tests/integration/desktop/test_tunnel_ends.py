"""How connections of the tunnel end, and come back: refusals, silence, deaths of guacd, relay and engine."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError

from hub.desktop.models import Role
from tests.integration.desktop.test_tunnel import SOON_S, a_world, display, world  # noqa: F401
from tests.support.tunnel import PATIENCE_S, World, until_true
from tests.support.xvnc import running_desktop

TUNNEL = logging.getLogger("hub.desktop")


@pytest.fixture(scope="module")
def busy_display(tmp_path_factory):
    with running_desktop(tmp_path_factory.mktemp("b") / "s") as running:
        words = ["sh", "-c", "while :; do od -N 60000 /dev/urandom; done"]
        environment = {**os.environ, **running.environment}
        process = subprocess.Popen(["xterm", "-e", *words], env=environment, start_new_session=True)
        yield running
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def test_another_origin_or_protocol_is_not_upgraded(world: World):  # noqa: F811
    ticket = world.ticket()
    for origin in (
        "https://elsewhere.example.org",
        "https://desktops.example.org.evil.org",
        "https://desktops.example.org:8443",
        "http://desktops.example.org",
        "null",
        "",
    ):
        for more in ({}, {"Sec-Fetch-Site": "same-origin"}):
            with pytest.raises(HTTPClientError) as caught:
                await world.connect(f"ticket={ticket}", Origin=origin, **more)
            assert caught.value.code == 403, origin
    for subprotocol in (None, "chat"):
        with pytest.raises(HTTPClientError) as caught:
            await world.connect(f"ticket={ticket}", subprotocol=subprotocol)
        assert caught.value.code == 400
    assert len(world.engine.tickets) == 1, "the ticket was not looked at"


async def test_who_is_not_admitted_is_told_in_band(world: World, caplog):  # noqa: F811
    caplog.set_level(logging.DEBUG)
    used, others, late = world.ticket(), world.ticket("grace"), world.ticket()
    world.engine.redeem(used, "ada")
    del world.engine.tickets[late]
    for query, headers in (
        (f"ticket={world.ticket()}", {"Cookie": ""}),
        (f"ticket={world.ticket()}", {"Cookie": "service-desktop=forged; jupyterhub-session-id=x"}),
        (f"ticket={world.ticket('stranger')}", {"username": "stranger"}),
        ("", {}),
        ("ticket=", {}),
        ("ticket=short", {}),
        ("ticket=%ff%fe", {}),
        (f"ticket={used}", {}),
        (f"ticket={others}", {}),
        (f"ticket={late}", {}),
    ):
        browser = await world.connect(query, **headers)
        assert (await browser.until("error"))[2] == "769", query
        assert await browser.until_closed() == "769"
        assert browser.code == 1008
    assert not world.relay.opened
    assert all(ticket not in caplog.text for ticket in (used, others, late, *world.engine.tickets))


async def test_no_secret_comes_into_the_log(world: World, caplog, monkeypatch):  # noqa: F811
    caplog.set_level(logging.DEBUG)
    ticket = world.ticket()
    browser = await world.connect(f"ticket={ticket}&width=800")
    await browser.until("sync")
    room = next(iter(world.app._rooms._rooms.values()))
    secrets = [ticket, room._display.id, world.relay.password, world.secret, browser.seen[0][1]]

    async def fails(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(world.app.tunnel, "_enter", fails)
    with caplog.at_level(logging.DEBUG):
        second = world.ticket()
        assert await (await world.connect(f"ticket={second}")).until_closed() == "512"
    assert "a fault" in caplog.text
    for secret in (*secrets, second):
        assert secret not in caplog.text


async def test_pings_are_answered_while_the_desktop_is_looked_for(world: World):  # noqa: F811
    world.relay.status = 503
    browser = await world.connect(f"ticket={world.ticket()}")
    await browser.say("", "ping", "12345")
    assert await browser.until("", "error")
    assert await browser.until("", "error") == ("", "ping", "12345")
    world.relay.status = 0
    assert (await browser.until("sync", "error"))[0] == "sync", "it was asked again"


async def test_a_browser_that_leaves_early_leaves_nothing(world: World):  # noqa: F811
    world.relay.status = 503
    browser = await world.connect(f"ticket={world.ticket()}")
    await until_true(lambda: len(world.app.connections) == 1, "it is not known")
    browser.close()
    await until_true(lambda: not len(world.app.connections), "it is still there")
    assert not world.app._rooms._rooms


@pytest.mark.parametrize(("status", "reason"), [(404, "516"), (403, "516")])
async def test_a_session_without_a_desktop_says_so(world: World, status, reason):  # noqa: F811
    world.relay.status = status
    browser = await world.connect(f"ticket={world.ticket()}")
    assert await browser.until_closed() == reason


async def test_a_wrong_password_of_the_display_is_told(world: World):  # noqa: F811
    world.relay.password = "wrong"
    browser = await world.connect(f"ticket={world.ticket()}")
    assert await browser.until_closed() == "519"


async def test_a_relay_that_is_cut_is_no_end_of_the_session(world: World):  # noqa: F811
    owner, viewer = await world.enter(), await world.enter("grace", Role.VIEWER)
    world.relay.cut(None)
    assert await owner.until_closed() == "519"
    assert await viewer.until_closed() == "519"
    await until_true(lambda: not len(world.app.connections), "they are still there")
    await world.enter()
    assert world.relay.opened == 2


async def test_a_session_that_ends_closes_its_windows_for_good(world: World):  # noqa: F811
    owner = await world.enter()
    world.relay.cut(1001)
    assert await owner.until("error") == ("error", "The session has ended.", "523")
    assert await owner.until_closed() == "523"


async def test_a_relay_that_is_cut_by_the_end_of_the_session_says_what_the_engine_knows(world: World):  # noqa: F811
    owner = await world.enter()
    ended = {"may_stay": False, "status": 0x020B, "text": "The session has ended: its time is over."}
    connection = world.connection_of("ada")
    told = world.engine.decisions[connection].model_copy(update=ended)
    world.engine.decisions[connection] = told  # without news: the tunnel has to ask
    world.relay.cut(None)
    assert await owner.until("error") == ("error", told.text, "523")
    assert await owner.until_closed() == "523"


async def test_a_guacd_that_dies_is_started_again(world: World):  # noqa: F811
    owner, viewer = await world.enter(), await world.enter("grace", Role.VIEWER)
    os.kill(world.guacd.sandbox.pid, signal.SIGKILL)
    assert await owner.until_closed() == "520"
    assert await viewer.until_closed() == "520"
    # As a page does: again, until it is there. guacd may be dying still.
    async with asyncio.timeout(PATIENCE_S):
        while (await (again := await world.connect(f"ticket={world.ticket()}")).until("sync", "error"))[
            0
        ] == "error":
            assert await again.until_closed() in {"515", "520"}


async def test_a_tunnel_that_stops_sends_its_browsers_to_the_next(world: World):  # noqa: F811
    owner = await world.enter()
    closing = asyncio.create_task(world.app.aclose())
    assert await owner.until_closed() == "520"
    await closing
    await until_true(lambda: not world.relay.open, "the relay was not let go")


async def test_who_signs_out_is_closed(world: World, monkeypatch):  # noqa: F811
    owner = await world.enter()
    monkeypatch.setattr("hub.desktop.tunnel._SIGNED_IN_S", 0.05)
    world.app.hub_auth.cache.max_age = 0.01
    checking = asyncio.create_task(world.app.tunnel.check_sign_ins())
    await owner.quietly(0.3)
    world.tokens.clear()
    assert await owner.until_closed() == "769"
    checking.cancel()


async def test_what_takes_its_time(tmp_path: Path, display, busy_display):  # noqa: F811
    """Silence of a browser (15 s, guacd's rule), of the engine (its grace), and one that reads nothing."""

    async def silent_browser(world: World) -> None:  # noqa: F811
        browser = await world.connect(f"ticket={world.ticket('mute')}", username="mute")
        said = ""
        while isinstance(message := await browser.socket.read_message(), str):
            said = message if "5.error," in message else said
        assert said[said.index("5.error,") :].split(";")[0].endswith(",3.776")

    async def silent_engine(world: World) -> None:  # noqa: F811
        browser = await world.enter()
        world.engine.is_silent = True
        other = await world.connect(f"ticket={world.ticket()}")
        assert await other.until_closed() == "520"
        await browser.quietly(3)
        assert len(world.app.connections) == 1, "decisions hold for the grace"
        assert await browser.until_closed() == "520"

    async def stalled_browser(world: World) -> None:  # noqa: F811
        owner, stalled = await world.enter(), await world.enter("grace", Role.VIEWER)
        window = next(w for w, c in world.app.tunnel._windows.items() if c.admission.username == "grace")
        # As on a slow line: the kernel does not keep megabytes for it.
        stalled.socket.protocol.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        window.ws_connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        most = 0
        keeping = asyncio.create_task(owner.until_closed(100))
        while len(world.app.connections) == 2:
            stream = window.ws_connection and window.ws_connection.stream
            most = max(most, len(stream._write_buffer) if stream else 0)
            await stalled.say("nop")
            await asyncio.sleep(0.2)
        seen = len(owner.seen)
        await until_true(lambda: len(owner.seen) > seen + 5, "the others do not go on")
        keeping.cancel()
        assert 0 < most < 512 * 1024

    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    async with (
        a_world(folders[0], display) as first,
        a_world(folders[1], display, recheck_grace_s=5) as second,
        a_world(folders[2], busy_display) as third,
    ):
        await asyncio.gather(silent_browser(first), silent_engine(second), stalled_browser(third))
