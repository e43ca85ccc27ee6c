"""Rooms on a scripted guacd: one maker, many joins, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from hub.desktop.codec import decode, encode
from hub.desktop.ends import ConnectionEnd
from hub.desktop.handshake import ClientFacts
from hub.desktop.models import Decision, Role
from hub.desktop.rooms import MOST_HANDSHAKES, Rooms, restrictions
from hub.desktop.status import Status
from hub.desktop.targets import CarryEnd, TargetRefusedError, TargetSilentError
from tests.support.guacd import OneForAll

ARGS = ("VERSION_1_3_0", "hostname", "port", "password", "read-only", "disable-copy", "disable-paste")
OWNER = Decision(may_stay=True, role=Role.OWNER, has_control=True)
VIEWER = Decision(may_stay=True, role=Role.VIEWER, may_copy=False)
FACTS = ClientFacts()


async def pair() -> tuple[tuple, tuple]:
    left, right = socket.socketpair()
    return await asyncio.open_connection(sock=left), await asyncio.open_connection(sock=right)


class Join:
    host, port = "127.0.0.1", 5900

    def __init__(self) -> None:
        self.came: asyncio.Future = asyncio.get_running_loop().create_future()
        self.is_closed = False

    async def accept(self):
        return await self.came

    def close(self) -> None:
        self.is_closed = True


class Guacd:
    """Answers handshakes; keeps who is in which connection."""

    def __init__(self) -> None:
        self.connections: dict[str, list] = {}
        self.connects: list[dict[str, str]] = []
        self.joins: list[Join] = []
        self.lefts = 0
        self.open_now = self.open_most = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error = ""
        self._tasks: set[asyncio.Task] = set()

    async def connect(self):
        mine, theirs = await pair()
        task = asyncio.create_task(self._serve(*theirs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return mine

    async def join(self) -> Join:
        self.joins.append(Join())
        return self.joins[-1]

    async def _serve(self, reader, writer) -> None:
        self.open_now += 1
        self.open_most = max(self.open_most, self.open_now)
        try:
            ((_, select),) = decode((await reader.readuntil(b";")).decode())
            await self.may_answer.wait()
            if select.startswith("$") and select not in self.connections:
                return
            writer.write(encode("args", *ARGS).encode())
            while not (text := (await reader.readuntil(b";")).decode()).startswith("7.connect"):
                pass
            values = dict(zip(ARGS, decode(text)[0][1:], strict=True))
            self.connects.append({"select": select, **values})
            if not select.startswith("$"):
                select = f"${len(self.connects):08d}-0000-0000-0000-000000000000"
                self.connections[select] = []
                there, self.display = await pair()
                self.joins[-1].came.set_result(there)
            self.connections[select].append(writer)
            writer.write(encode("ready", select).encode())
            self.open_now -= 1
            writer.write((self.error or encode("sync", "1")).encode())
            while text := await reader.read(1024):
                self.lefts += text.endswith(b"10.disconnect;")
            self.connections.get(select, []).remove(writer)
            if not self.connections.get(select):
                self.connections.pop(select, None)
                self.display[1].close()
        finally:
            writer.close()


class Carrier:
    values = {"password": "secret"}  # noqa: RUF012

    def __init__(self) -> None:
        self.inputs = 0
        self.is_closed = False
        self.cut: asyncio.Future = asyncio.get_running_loop().create_future()

    async def carry(self, reader, writer) -> CarryEnd:
        reading = asyncio.ensure_future(reader.read())
        await asyncio.wait((reading, self.cut), return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
        return self.cut.result() if self.cut.done() else CarryEnd.GUACD

    async def tell_input(self) -> None:
        self.inputs += 1

    def close(self) -> None:
        self.is_closed = True


class Target:
    protocol = "vnc"
    values = {"color-depth": "24"}  # noqa: RUF012
    needs = frozenset()

    def __init__(self) -> None:
        self.carriers: list[Carrier] = []
        self.faults: list[Exception] = []

    async def open(self) -> Carrier:
        if self.faults:
            raise self.faults.pop(0)
        self.carriers.append(Carrier())
        return self.carriers[-1]


class Scene:
    def __init__(self) -> None:
        self.guacd, self.target = Guacd(), Target()
        self.ended: list[CarryEnd] = []
        self.rooms = Rooms(OneForAll(self.guacd), self._on_end)

    async def _on_end(self, display: object, end: CarryEnd) -> None:
        self.ended.append(end)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    await made.rooms.aclose()


async def until(what) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.005)


async def test_the_maker_has_no_restrictions_and_each_join_its_own(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        await room.enter(FACTS, VIEWER, "Grace")
        await room.enter(FACTS, OWNER, "Ada")
    maker, viewer, owner = scene.guacd.connects
    assert maker["select"] == "vnc"
    assert (maker["hostname"], maker["port"], maker["password"]) == ("127.0.0.1", "5900", "secret")
    assert not maker["read-only"]
    assert viewer["select"] == owner["select"] != "vnc"
    assert (viewer["read-only"], viewer["disable-copy"], viewer["disable-paste"]) == ("true",) * 3
    assert (owner["read-only"], owner["disable-copy"], owner["disable-paste"]) == ("",) * 3
    assert not viewer["password"], "who joins is told nothing"


async def test_the_maker_stays_until_a_window_shows_the_desktop(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        await room.enter(FACTS, OWNER, "Ada")
        await asyncio.sleep(0.05)
        assert scene.guacd.lefts == 0
        room.note_shown()
        await until(lambda: scene.guacd.lefts == 1)
        assert len(scene.target.carriers) == 1


async def test_many_at_once_make_one_room(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        await asyncio.gather(*(room.enter(FACTS, OWNER, str(n)) for n in range(12)))
    assert [one["select"] for one in scene.guacd.connects].count("vnc") == 1
    assert len(scene.target.carriers) == 1


async def test_a_connection_that_guacd_does_not_know_any_more_is_made_anew(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        await room.enter(FACTS, OWNER, "Ada")
        scene.guacd.connections.clear()  # guacd has lost it, and nobody was told
        entered = await room.enter(FACTS, OWNER, "Ada")
        assert entered.display is room._display
    assert len(scene.target.carriers) == 2


async def test_a_room_without_windows_is_forgotten(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        entered = await room.enter(FACTS, OWNER, "Ada")
        room.note_shown()
        await until(lambda: scene.guacd.lefts == 1)
        entered.writer.close()
        await until(lambda: scene.target.carriers[0].is_closed)
    assert scene.ended == [CarryEnd.GUACD]
    assert not scene.rooms._rooms
    await until(lambda: not scene.rooms._tasks)


@pytest.mark.parametrize("end", [CarryEnd.CUT, CarryEnd.OVER])
async def test_an_end_is_told_before_guacd_hears_of_it(scene: Scene, end: CarryEnd):
    heard: list[bool] = []

    async def on_end(display: object, how: CarryEnd) -> None:
        heard.append(scene.guacd.display[0].at_eof())

    scene.rooms._on_end = on_end
    with scene.rooms.held("d", scene.target) as room:
        await room.enter(FACTS, OWNER, "Ada")
        scene.target.carriers[0].cut.set_result(end)
        await until(lambda: heard)
    assert heard == [False]
    assert await asyncio.wait_for(scene.guacd.display[0].read(), 10) == b""


async def test_a_desktop_that_does_not_answer_is_asked_again_for_some_seconds(scene: Scene, monkeypatch):
    monkeypatch.setattr("hub.desktop.rooms._ASK_AGAIN_S", (0.01, 0.01))
    scene.target.faults = [TargetSilentError("busy"), TargetSilentError("busy")]
    with scene.rooms.held("d", scene.target) as room:
        await room.enter(FACTS, OWNER, "Ada")
        scene.target.faults = [TargetSilentError("busy")] * 3
        scene.guacd.connections.clear()
        with pytest.raises(ConnectionEnd) as caught:
            await room.enter(FACTS, OWNER, "Ada")
        assert caught.value.status is Status.UPSTREAM_NOT_FOUND


async def test_a_desktop_that_refuses_is_not_asked_again(scene: Scene):
    scene.target.faults = [TargetRefusedError("no desktop")]
    with scene.rooms.held("d", scene.target) as room, pytest.raises(ConnectionEnd) as caught:
        await room.enter(FACTS, OWNER, "Ada")
    assert caught.value.status is Status.RESOURCE_NOT_FOUND


async def test_an_error_of_guacd_ends_the_try_and_leaves_nothing(scene: Scene):
    scene.guacd.error = encode("error", "Aborted. See logs.", "519")
    with scene.rooms.held("d", scene.target) as room, pytest.raises(ConnectionEnd) as caught:
        await room.enter(FACTS, OWNER, "Ada")
    assert caught.value.status is Status.UPSTREAM_NOT_FOUND
    assert scene.target.carriers[0].is_closed
    assert scene.guacd.joins[0].is_closed
    await until(lambda: not scene.rooms._tasks)


async def test_not_too_many_handshakes_are_made_at_once(scene: Scene):
    scene.guacd.may_answer.clear()
    targets = [Target() for _ in range(MOST_HANDSHAKES + 8)]

    async def one(number: int) -> None:
        with scene.rooms.held(str(number), targets[number]) as room:
            await room.enter(FACTS, OWNER, "Ada")

    tasks = [asyncio.create_task(one(number)) for number in range(len(targets))]
    await until(lambda: scene.guacd.open_now == MOST_HANDSHAKES)
    await asyncio.sleep(0.05)
    assert scene.guacd.open_most == MOST_HANDSHAKES
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_session_hears_of_input_at_most_every_ten_seconds(scene: Scene):
    with scene.rooms.held("d", scene.target) as room:
        room.note_input()
        await room.enter(FACTS, OWNER, "Ada")
        carrier = scene.target.carriers[0]
        for _ in range(3):
            for _ in range(5):
                room.note_input()
            await asyncio.sleep(0.02)
            room._told_input -= 11
        assert carrier.inputs == 3


def test_restrictions_of_a_role():
    assert restrictions(OWNER) == {"read-only": "", "disable-copy": "", "disable-paste": ""}
    assert restrictions(VIEWER.model_copy(update={"may_copy": True}))["disable-copy"] == ""
    assert restrictions(VIEWER)["read-only"] == "true"
