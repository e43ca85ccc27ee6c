"""Workstations through a real guacd: VNC, RDP and SSH servers, and those that are not who they should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hub.desktop.ends import ConnectionEnd
from hub.desktop.guacd import Guacd
from hub.desktop.handshake import ClientFacts
from hub.desktop.models import Decision, Role
from hub.desktop.rooms import Entered, Room, Rooms
from hub.desktop.settings import WorkstationSettings
from hub.desktop.status import Status
from hub.desktop.targets import CarryEnd
from hub.desktop.workstations import Workstation
from tests.support.guacd import OneForAll, instruction, running_guacd, until
from tests.support.workstations import Machine, account, free_port, rdp_machine, ssh_machine, vnc_machine

pytestmark = pytest.mark.asyncio(loop_scope="module")

_VIEWER = Decision(may_stay=True, role=Role.VIEWER, may_copy=False)
_OWNER = Decision(may_stay=True, role=Role.OWNER, has_control=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guacd() -> AsyncIterator[Guacd]:
    async with running_guacd() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rooms(guacd: Guacd) -> AsyncIterator[Rooms]:
    async def on_end(display: object, end: CarryEnd) -> None:
        """Nobody has to be told."""

    running = Rooms(OneForAll(guacd), on_end)
    yield running
    await running.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vnc(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """Two screens side by side."""
    async with vnc_machine(tmp_path_factory.mktemp("vnc"), size="2560x768") as machine:
        yield machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rdp(tmp_path_factory: pytest.TempPathFactory, vnc: Machine) -> AsyncIterator[Machine]:
    async with rdp_machine(tmp_path_factory.mktemp("rdp"), vnc) as machine:
        yield machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ssh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with ssh_machine(tmp_path_factory.mktemp("ssh")) as machine:
        yield machine


def _settings(protocol: str, port: int, **more: Any) -> WorkstationSettings:
    machine = {"title": "Control", "instrument": "id22", "host": "127.0.0.1", "port": port}
    return WorkstationSettings.model_validate({**machine, "protocol": protocol, **more})


def _secret(folder: Path, text: str) -> Path:
    path = folder / "secret"
    path.write_text(f"{text}\n")
    return path


@contextmanager
def _room(rooms: Rooms, settings: WorkstationSettings) -> Iterator[Room]:
    with rooms.held("ws-control", Workstation(settings)) as room:
        yield room


async def _enter(room: Room, decision: Decision = _OWNER) -> Entered:
    return await room.enter(ClientFacts(width=1024, height=700), decision, "Ada")


async def _size(entered: Entered) -> tuple[int, int]:
    """Size of the display that a window is shown."""
    reader = asyncio.StreamReader()
    reader.feed_data(entered.rest)
    pumping = asyncio.create_task(_feed(entered.reader, reader))
    try:
        while True:
            _, layer, width, height = await until(reader, "size")
            if layer == "0":
                await until(reader, "sync")
                return int(width), int(height)
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)


async def _feed(source: asyncio.StreamReader, sink: asyncio.StreamReader) -> None:
    while data := await source.read(65536):
        sink.feed_data(data)


async def _leave(*windows: Entered) -> None:
    for entered in windows:
        entered.writer.write(instruction("disconnect"))
        entered.writer.close()


async def _end_of(rooms: Rooms, settings: WorkstationSettings) -> ConnectionEnd:
    with _room(rooms, settings) as room, pytest.raises(ConnectionEnd) as end:
        await _enter(room)
    return end.value


async def test_vnc_is_shown_to_several_at_once(rooms: Rooms, vnc: Machine, tmp_path: Path) -> None:
    settings = _settings("vnc", vnc.port, password_file=_secret(tmp_path, vnc.password), screens=2)
    with _room(rooms, settings) as room:
        owner = await _enter(room)
        viewer = await _enter(room, _VIEWER)
        assert await _size(owner) == (2560, 768)
        assert await _size(viewer) == (2560, 768)
        await _leave(owner, viewer)


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_vnc_with_a_wrong_password_is_told(
    rooms: Rooms, vnc: Machine, tmp_path: Path, password: str
) -> None:
    end = await _end_of(rooms, _settings("vnc", vnc.port, password_file=_secret(tmp_path, password)))
    assert end.status in {Status.UPSTREAM_NOT_FOUND, Status.CLIENT_UNAUTHORIZED}
    assert vnc.password not in end.text


async def test_a_secret_that_cannot_be_read_is_told(rooms: Rooms, vnc: Machine, tmp_path: Path) -> None:
    end = await _end_of(rooms, _settings("vnc", vnc.port, password_file=tmp_path / "none"))
    assert end.status is Status.RESOURCE_NOT_FOUND
    assert str(tmp_path) not in end.text


async def test_a_machine_that_is_off_is_told(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.desktop.rooms._ASK_AGAIN_S", (0.0,))
    end = await _end_of(rooms, _settings("vnc", free_port()))
    assert end.status is Status.UPSTREAM_NOT_FOUND


async def test_a_machine_that_closes_at_once_is_told(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when guacd says nothing, as it may: nobody waits until the room is given up."""
    monkeypatch.setattr("hub.desktop.rooms._MAKE_S", None)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(60):
            end = await _end_of(rooms, _settings("vnc", port))
    assert end.status in {Status.UPSTREAM_NOT_FOUND, Status.UPSTREAM_ERROR}


async def test_rdp_is_shown(rooms: Rooms, rdp: Machine) -> None:
    """With a certificate that this guacd cannot check: by the operator's word for it."""
    with _room(rooms, _settings("rdp", rdp.port, security="tls", trust_network=True)) as room:
        entered = await _enter(room)
        width, height = await _size(entered)
        assert width >= 1000
        assert height >= 600
        await _leave(entered)


async def test_rdp_with_a_fingerprint_needs_a_guacd_that_checks_it(rooms: Rooms, rdp: Machine) -> None:
    end = await _end_of(rooms, _settings("rdp", rdp.port, security="tls", host_key=rdp.host_key))
    assert end.status is Status.UNSUPPORTED


async def test_rdp_is_refused_without_the_operators_word(
    rooms: Rooms, rdp: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it not for the check of names, guacd itself would refuse a certificate that nobody signed."""
    monkeypatch.setattr("hub.desktop.workstations.FINGERPRINTS", frozenset())
    end = await _end_of(rooms, _settings("rdp", rdp.port, security="tls", host_key=rdp.host_key))
    assert end.status is not Status.UNSUPPORTED


async def test_ssh_is_refused_by_an_old_guacd(rooms: Rooms, ssh: Machine) -> None:
    settings = _settings("ssh", ssh.port, host_key=ssh.host_key, private_key_file=ssh.private_key)
    end = await _end_of(rooms, settings)
    assert end.status is Status.UNSUPPORTED
    assert "tell the staff" in end.text


async def test_ssh_is_shown_where_the_server_is_trusted(rooms: Rooms, ssh: Machine) -> None:
    settings = _settings(
        "ssh",
        ssh.port,
        username=account(),
        host_key=ssh.host_key,
        private_key_file=ssh.private_key,
        trust_ssh_server=True,
    )
    with _room(rooms, settings) as room:
        entered = await _enter(room)
        assert (await _size(entered))[0] > 500
        await _leave(entered)


async def test_ssh_of_another_machine_is_refused(rooms: Rooms, ssh: Machine) -> None:
    kind, key = ssh.host_key.split()
    other = f"{kind} {key[:-6]}{'A' * 6}"
    settings = _settings(
        "ssh",
        ssh.port,
        username=account(),
        host_key=other,
        private_key_file=ssh.private_key,
        trust_ssh_server=True,
    )
    end = await _end_of(rooms, settings)
    assert end.status is not Status.UNSUPPORTED
