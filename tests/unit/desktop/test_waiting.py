"""Waiting for the first picture: what ends it, and how it is told."""

from __future__ import annotations

import asyncio

import pytest

from hub.desktop.handshake import HandshakeError
from hub.desktop.status import Status
from hub.desktop.waiting import until_drawn


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.desktop.waiting._SAY_S", 0.05)


async def _drawn(*said: bytes, rest: bytes = b"", is_carried: bool = True, is_open: bool = True) -> None:
    reader = asyncio.StreamReader()
    carrying: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if not is_carried:
        carrying.set_result(None)
    waiting = asyncio.create_task(until_drawn(reader, rest, carrying))
    for data in said:
        await asyncio.sleep(0)
        reader.feed_data(data)
    if not is_open:
        reader.feed_eof()
    await waiting


@pytest.mark.parametrize("is_carried", [True, False])
async def test_a_picture_ends_it(is_carried: bool) -> None:
    await _drawn(b"4.size,1.0,2.80,2.60;4.sy", b"nc,1.7;", is_carried=is_carried)
    await _drawn(rest=b"4.sync,1.7;", is_carried=is_carried)


@pytest.mark.parametrize("is_carried", [True, False])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"5.error,3.bad,3.769;", Status.CLIENT_UNAUTHORIZED),
        (b"8.required,8.password;", Status.CLIENT_UNAUTHORIZED),
        (b"10.disconnect;", Status.UPSTREAM_ERROR),
        (b"no instruction;", Status.UPSTREAM_ERROR),
    ],
)
async def test_what_guacd_says_is_told(said: bytes, status: Status, is_carried: bool) -> None:
    with pytest.raises(HandshakeError) as caught:
        await _drawn(said, is_carried=is_carried)
    assert caught.value.status is status


async def test_a_guacd_that_closes_is_told() -> None:
    with pytest.raises(HandshakeError) as caught:
        await _drawn(b"3.nop;", is_open=False)
    assert caught.value.status is Status.UPSTREAM_ERROR


async def test_a_desktop_that_is_gone_is_told_though_guacd_says_nothing() -> None:
    with pytest.raises(HandshakeError) as caught:
        async with asyncio.timeout(20):
            await _drawn(b"3.nop;", is_carried=False)
    assert caught.value.status is Status.UPSTREAM_NOT_FOUND


async def test_who_stops_waiting_leaves_nothing() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await _drawn(b"3.nop;")
    assert len(asyncio.all_tasks()) == 1
