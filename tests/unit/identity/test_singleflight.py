"""Work for one key runs once at a time."""

from __future__ import annotations

import asyncio

import pytest

from hub.identity.singleflight import SingleFlight


async def test_callers_at_once_share_one_run() -> None:
    flight: SingleFlight[int] = SingleFlight()
    gate, runs = asyncio.Event(), []

    async def work() -> int:
        runs.append(1)
        await gate.wait()
        return len(runs)

    callers = [asyncio.create_task(flight.run("jane", work)) for _ in range(5)]
    other = asyncio.create_task(flight.run("joe", work))
    await asyncio.sleep(0)
    callers[0].cancel()
    gate.set()
    results = await asyncio.gather(*callers[1:], other)
    assert len(runs) == 2
    assert len(set(results[:-1])) == 1


async def test_next_caller_runs_again() -> None:
    flight: SingleFlight[int] = SingleFlight()
    runs: list[int] = []

    async def work() -> int:
        runs.append(1)
        return len(runs)

    assert await flight.run("jane", work) == 1
    assert await flight.run("jane", work) == 2


async def test_failure_reaches_every_caller_and_is_not_kept() -> None:
    flight: SingleFlight[int] = SingleFlight()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def succeed() -> int:
        return 1

    results = await asyncio.gather(flight.run("j", fail), flight.run("j", fail), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError, ValueError]
    assert await flight.run("j", succeed) == 1
    with pytest.raises(ValueError, match="no"):
        await flight.run("j", fail)
