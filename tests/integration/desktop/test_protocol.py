"""Our handshake and pump with a real guacd and a real VNC server: opening, joining, and being refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import pytest_asyncio

from hub.desktop.codec import decode, encode
from hub.desktop.guacd import Guacd
from hub.desktop.handshake import ClientFacts, Connected, HandshakeError, handshake
from hub.desktop.models import Decision, Role
from hub.desktop.pump import Ended, Pump
from hub.desktop.status import Status
from tests.support.guacd import running_guacd
from tests.support.workstations import Machine, vnc_machine

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DEADLINE_S = 30
OWNER = Decision(may_stay=True, role=Role.OWNER, has_control=True)
VIEWER = Decision(may_stay=True, may_copy=False)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guacd() -> AsyncIterator[Guacd]:
    async with running_guacd() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with vnc_machine(tmp_path_factory.mktemp("vnc")) as running:
        yield running


class Browser:
    """Answers each ``sync`` as a page does; every message must be whole instructions."""

    pump: Pump

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.changed = asyncio.Event()
        self.closed: tuple[int | None, str | None] | None = None

    def write_message(self, message: bytes, binary: bool = False) -> asyncio.Future[None]:
        for opcode, *arguments in decode(message.decode()):
            self.counts[opcode] = self.counts.get(opcode, 0) + 1
            if opcode == "sync":
                self.pump.receive(encode("sync", arguments[0]) + encode("", "ping", "1"))
        self.changed.set()
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.closed = (code, reason)

    async def has(self, opcode: str, count: int = 1) -> None:
        """Wait for so many of them."""
        async with asyncio.timeout(_DEADLINE_S):
            while self.counts.get(opcode, 0) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def window(
    guacd: Guacd, select: str, values: dict[str, str], decision: Decision
) -> AsyncIterator[tuple[Browser, asyncio.Task[Ended], Connected]]:
    reader, writer = await guacd.connect()
    values = {
        "clipboard-encoding": "UTF-8",
        "read-only": "false" if decision.has_control else "true",
        **values,
    }
    connected = await handshake(reader, writer, select=select, values=values, client=ClientFacts())
    browser = Browser()
    browser.pump = Pump(browser, reader, writer, decision=decision, rest=connected.rest)
    running = asyncio.create_task(browser.pump.run())
    try:
        yield browser, running, connected
    finally:
        browser.pump.browser_left()
        await running


@asynccontextmanager
async def way_to(guacd: Guacd, machine: Machine) -> AsyncIterator[dict[str, str]]:
    """Parameters of guacd's one-shot way to the machine."""
    join = await guacd.join()

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    async def pipe() -> None:
        reader, writer = await join.accept(_DEADLINE_S)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", machine.port)
        with closing(writer), closing(there_writer):
            ways = [
                asyncio.create_task(copy(*one)) for one in ((reader, there_writer), (there_reader, writer))
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for one in ways:
                one.cancel()

    piping = asyncio.create_task(pipe())
    try:
        yield {"hostname": join.host, "port": str(join.port)}
    finally:
        piping.cancel()
        await asyncio.gather(piping, return_exceptions=True)


async def test_an_owner_opens_and_a_viewer_joins_and_stays_when_the_owner_leaves(
    guacd: Guacd, machine: Machine
) -> None:
    async with way_to(guacd, machine) as way:
        values = {**way, "password": machine.password}
        async with window(guacd, "vnc", values, OWNER) as (owner, _, opened):
            assert opened.version == (1, 3, 0)
            await owner.has("blob")
            await owner.has("sync", 2)
            async with window(guacd, opened.id, {"disable-copy": "true"}, VIEWER) as (
                viewer,
                watching,
                joined,
            ):
                assert joined.id == opened.id
                await viewer.has("blob")
                # A viewer who tries all the same is not heard, and stays.
                viewer.pump.receive(encode("key", "97", "1") + encode("size", "10", "10"))
                await viewer.has("sync", 2)
                owner.pump.browser_left()
                seen = viewer.counts["sync"]
                await viewer.has("sync", seen + 2)
                assert not watching.done()
            assert viewer.closed == (1000, "0")


async def test_an_unknown_id_is_not_found(guacd: Guacd) -> None:
    reader, writer = await guacd.connect()
    with closing(writer), pytest.raises(HandshakeError) as caught:
        await handshake(
            reader,
            writer,
            select="$00000000-0000-4000-8000-000000000000",
            values={},
            client=ClientFacts(),
        )
    assert caught.value.status is Status.RESOURCE_NOT_FOUND


@pytest.mark.parametrize(
    ("password", "status"),
    [("wrong", Status.UPSTREAM_NOT_FOUND), ("", Status.CLIENT_UNAUTHORIZED)],
)
async def test_a_password_that_is_wrong_or_missing_has_its_status(
    guacd: Guacd, machine: Machine, password: str, status: Status
) -> None:
    async with way_to(guacd, machine) as way:
        values = {**way, "password": password} if password else way
        async with window(guacd, "vnc", values, OWNER) as (browser, running, _):
            async with asyncio.timeout(_DEADLINE_S):
                ended = await asyncio.shield(running)
            assert ended.status is status
            assert browser.closed == (status.websocket, status.reason)
            assert browser.counts["error"] == 1
