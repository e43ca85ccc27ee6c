"""The pump between a socket and a browser: what arrives, what does not, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.desktop.codec import decode, encode
from hub.desktop.models import Decision, Role
from hub.desktop.pump import MOST_UNSENT, Ended, Pump
from hub.desktop.status import Status

OWNER = Decision(may_stay=True, role=Role.OWNER, has_control=True)
VIEWER = Decision(may_stay=True, may_copy=False)
SYNC = encode("sync", "1700000000000")
PING = encode("", "ping", "1700000000000")
KEY = encode("key", "97", "1")


class Browser:
    """Keeps what it gets; one that is stalled takes nothing."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.closed: tuple[int | None, str | None] | None = None
        self.is_stalled = False
        self.waiting: list[asyncio.Future[None]] = []

    def write_message(self, message: bytes, binary: bool = False) -> asyncio.Future[None]:
        assert not binary
        self.messages.append(message)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_stalled:
            self.waiting.append(sent)
        else:
            sent.set_result(None)
        return sent

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.closed = (code, reason)

    def instructions(self) -> list[tuple[str, ...]]:
        """All of them; each message must be whole instructions."""
        return [one for message in self.messages for one in decode(message.decode())]


_guacds: list[asyncio.StreamWriter] = []


@pytest.fixture(autouse=True)
async def _closed():
    yield
    while _guacds:
        _guacds.pop().close()


class World:
    """A pump at work; ``guacd`` is the other end of its socket."""

    async def begin(self, decision: Decision = OWNER, **given) -> World:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        self.guacd_reader, self.guacd = await asyncio.open_connection(sock=theirs)
        _guacds.append(self.guacd)
        self.browser = Browser()
        self.pump = Pump(self.browser, reader, writer, decision=decision, **given)
        self.running = asyncio.create_task(self.pump.run())
        await self.until(lambda: self.browser.messages)
        return self

    async def until(self, holds) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.001)

    async def told(self, count: int) -> list[tuple[str, ...]]:
        """What guacd was told, so many instructions."""
        text = ""
        async with asyncio.timeout(20):
            while text.count(";") < count:
                text += (await self.guacd_reader.read(65536)).decode()
        return decode(text)

    async def end(self) -> Ended:
        self.pump.end(Status.SESSION_CLOSED)
        return await self.over()

    async def over(self) -> Ended:
        async with asyncio.timeout(20):
            return await self.running


async def test_the_greeting_comes_first_then_what_was_read_already():
    world = await World().begin(rest=SYNC.encode() + b"4.sy")
    world.guacd.write(b"nc,1.2;")
    await world.until(lambda: len(world.browser.instructions()) == 3)
    first, second, third = world.browser.instructions()
    assert (first[0], len(first[1])) == ("", 36)
    assert (second, third) == (("sync", "1700000000000"), ("sync", "2"))
    await world.end()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=12), st.data())
def test_any_stream_arrives_whole(texts, data):
    stream = "".join(encode("name", text) for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))

    async def carry() -> None:
        world = await World().begin()
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            world.guacd.write(stream[start:end])
            await asyncio.sleep(0)
        await world.until(lambda: len(world.browser.instructions()) == 1 + len(texts))
        assert world.browser.instructions()[1:] == [("name", text) for text in texts]
        await world.end()
        _guacds.pop().close()

    asyncio.run(carry())


async def test_a_ping_is_echoed_and_a_key_goes_on():
    inputs = []
    world = await World().begin(on_input=lambda: inputs.append(1))
    world.guacd.write(b"4.name,10.half of")
    world.pump.receive(PING + SYNC + KEY)
    assert await world.told(2) == [("sync", "1700000000000"), ("key", "97", "1")]
    assert world.browser.instructions()[-1] == ("", "ping", "1700000000000")
    assert inputs == [1]
    assert (await world.end()).status is Status.SESSION_CLOSED
    assert await world.told(2) == [("key", "97", "0"), ("disconnect",)]


async def test_a_viewer_is_neither_heard_nor_given_the_clipboard():
    world = await World().begin(VIEWER)
    world.pump.receive(KEY + SYNC)
    assert await world.told(1) == [("sync", "1700000000000")]
    secret = encode("clipboard", "0", "text/plain") + encode("blob", "0", "c2VjcmV0") + encode("end", "0")
    world.guacd.write((secret + SYNC).encode())
    await world.until(lambda: len(world.browser.messages) == 2)
    assert world.browser.messages[1] == SYNC.encode()
    world.pump.decide(OWNER)
    world.guacd.write((secret + SYNC).encode())
    await world.until(lambda: len(world.browser.messages) == 3)
    assert world.browser.messages[2] == (secret + SYNC).encode()
    await world.end()


async def test_one_who_may_not_stay_is_told_why():
    world = await World().begin()
    world.pump.decide(Decision(may_stay=False, status=0x0303, text="The owner took it back, é."))
    assert (await world.over()).status is Status.CLIENT_FORBIDDEN
    assert world.browser.instructions()[-1] == ("error", "The owner took it back, é.", "771")
    assert world.browser.closed == (1008, "771")
    assert await world.told(1) == [("disconnect",)]


@pytest.mark.parametrize(
    ("message", "status"), [(b"\x00", 0x030F), ("4.sy", 0x0300), ("3.nop;" * 20000, 0x030D)]
)
async def test_a_browser_that_does_not_speak_the_protocol_is_cut(message, status):
    world = await World().begin()
    world.pump.receive(message)
    assert await world.over() == Ended(Status(status), by_browser=True)
    assert world.browser.closed == (Status(status).websocket, str(status))


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (encode("error", "Aborted. See logs.", "519") + "10.disconnect;", Status.UPSTREAM_NOT_FOUND),
        (encode("error", "Timeout", "776"), Status.CLIENT_TIMEOUT),
        ("10.disconnect;", Status.SUCCESS),
        (SYNC, Status.UPSTREAM_UNAVAILABLE),
        ("8.required,8.password;", Status.CLIENT_UNAUTHORIZED),
    ],
)
async def test_why_guacd_ended_is_the_reason(last, status):
    world = await World().begin()
    world.guacd.write(last.encode())
    await world.guacd.drain()
    world.guacd.close()
    assert (await world.over()).status is status
    assert world.browser.closed == (status.websocket, str(int(status)))


async def test_a_guacd_that_does_not_speak_the_protocol_is_left():
    world = await World().begin()
    world.guacd.write(SYNC.encode())
    await world.until(lambda: len(world.browser.messages) == 2)
    world.guacd.write(b"4.sync,x")
    assert (await world.over()).status is Status.UPSTREAM_ERROR
    assert world.browser.closed == (1011, "515")


async def test_an_error_is_the_end_though_guacd_stays():
    world = await World().begin()
    world.guacd.write((SYNC + encode("error", "Aborted. See logs.", "519")).encode())
    assert (await world.over()).status is Status.UPSTREAM_NOT_FOUND
    assert world.browser.instructions()[-1] == ("error", "Aborted. See logs.", "519")
    assert world.browser.closed == (1011, "519")


async def test_a_guacd_that_closed_before_we_began_is_noticed():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(encode("error", "no", "519").encode())
    theirs.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        ended = await Pump(Browser(), reader, writer, decision=OWNER).run()
    assert ended.status is Status.UPSTREAM_NOT_FOUND


async def test_either_end_ends_both_and_so_does_a_stop():
    world = await World().begin()
    world.pump.browser_left()
    assert (await world.over()).by_browser
    assert await world.told(1) == [("disconnect",)]
    world = await World().begin()
    world.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await world.running
    assert await world.told(1) == [("disconnect",)]
    assert world.browser.closed is not None


async def test_the_first_sync_is_the_connection():
    connected = []
    world = await World().begin(on_connected=lambda: connected.append(1))
    world.guacd.write(encode("name", "x").encode())
    await world.until(lambda: len(world.browser.messages) == 2)
    assert connected == []
    world.guacd.write(SYNC.encode() * 2)
    await world.until(lambda: connected)
    await world.end()
    assert connected == [1]


async def test_a_browser_that_does_not_read_stops_its_guacd_and_costs_no_memory():
    world = await World().begin()
    world.browser.is_stalled = True
    blob = encode("blob", "1", "A" * 8000).encode()
    gc.collect()
    tracemalloc.start()
    sending = asyncio.create_task(_send(world.guacd, blob, 2500))  # 20 MB
    await world.until(lambda: world.browser.messages and world.pump._is_paused)
    held = len(world.browser.messages)
    for _ in range(2000):  # nor do its pings pile up
        world.pump.receive(PING)
        await asyncio.sleep(0)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(world.browser.messages) == held
    assert sum(map(len, world.browser.messages)) < MOST_UNSENT + 2 * 65536
    assert grown < 2_000_000
    assert not sending.done()
    world.browser.is_stalled = False
    for one in world.browser.waiting:
        one.set_result(None)
    await world.until(lambda: sum(map(len, world.browser.messages)) > 2500 * len(blob))
    await sending
    assert len(decode(b"".join(world.browser.messages[1:]).decode())) >= 2500
    await world.end()


async def _send(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(data)
        await writer.drain()


async def test_a_guacd_that_does_not_read_stops_its_browser():
    world = await World().begin()
    waits, much = None, encode("ack", "0", "x" * 250, "0") * 200
    world.guacd_reader._transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        while waits is None:
            waits = world.pump.receive(much)
            await asyncio.sleep(0.02)
        world.guacd_reader._transport.resume_reading()  # type: ignore[attr-defined]
        await waits
    await world.end()
