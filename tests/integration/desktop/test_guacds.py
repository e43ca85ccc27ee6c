"""A guacd for each room: what one room's guacd can reach, another's cannot."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.desktop.guacd import Guacd
from hub.desktop.guacds import Guacds
from hub.desktop.settings import SandboxedGuacd
from tests.support.guacd import guacd_root, instruction, read_instruction


@pytest_asyncio.fixture
async def guacds() -> AsyncIterator[Guacds]:
    root = await asyncio.to_thread(guacd_root)
    running = Guacds(SandboxedGuacd(kind="sandbox", root=root))
    await running.start()
    yield running
    await running.aclose()


async def _answers(guacd: Guacd) -> bool:
    reader, writer = await guacd.connect()
    writer.write(instruction("select", "vnc"))
    answer = await read_instruction(reader)
    writer.close()
    return answer[0] == "args"


def _network(guacd: Guacd) -> Path:
    assert guacd.sandbox is not None
    children = [guacd.sandbox.pid]
    while children:  # the innermost process is guacd itself, in its namespaces
        pid = children[0]
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return Path(f"/proc/{pid}/ns/net").readlink()


async def test_rooms_share_no_guacd_and_no_network(guacds: Guacds) -> None:
    first, second = await guacds.lease(), await guacds.lease()
    assert await _answers(first)
    assert await _answers(second)
    assert len({_network(first), _network(second), Path("/proc/self/ns/net").readlink()}) == 3


async def test_a_guacd_that_is_given_back_ends(guacds: Guacds) -> None:
    guacd = await guacds.lease()
    assert guacd.sandbox is not None
    pid = guacd.sandbox.pid
    await guacds.release(guacd)
    assert guacd.sandbox is None
    assert not Path(f"/proc/{pid}").exists()


async def test_the_death_of_one_is_nothing_to_another(guacds: Guacds) -> None:
    first, second = await guacds.lease(), await guacds.lease()
    assert first.sandbox is not None
    os.kill(first.sandbox.pid, signal.SIGKILL)
    assert await _answers(second)


async def test_rooms_at_once_have_one_each(guacds: Guacds) -> None:
    leased = await asyncio.gather(*(guacds.lease() for _ in range(4)))
    assert len(set(leased)) == 4
    assert all(await asyncio.gather(*map(_answers, leased)))


async def test_who_gives_up_leaves_nothing_behind(guacds: Guacds) -> None:
    held = await guacds.lease()
    waiting = asyncio.create_task(guacds.lease())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    pids = {guacd.sandbox.pid for guacd in [held, await guacds.lease()] if guacd.sandbox is not None}
    await guacds.aclose()
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_what_was_started_for_who_gave_up_is_the_next_room_s(guacds: Guacds) -> None:
    await guacds.lease()  # the next one is being started now
    starting = guacds._spares[0]
    waiting = asyncio.create_task(guacds.lease())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await guacds.lease() is await starting
