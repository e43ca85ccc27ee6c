"""Questions that are never answered take nothing from those that are."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from spawners.ownthreads import OwnThreads


@pytest.fixture
def stuck():
    """A question that is answered when the test is over."""
    is_over = threading.Event()
    yield is_over.wait
    is_over.set()


def fails():
    raise FileNotFoundError("x")


async def test_an_answer_is_returned_and_a_fault_raised():
    threads = OwnThreads("t")
    assert await threads.run(lambda: 7, timeout_s=10) == 7
    with pytest.raises(FileNotFoundError, match="x"):
        await threads.run(fails, timeout_s=10)
    assert await asyncio.gather(*(threads.run(lambda n=n: n, timeout_s=10) for n in range(40))) == [
        *range(40)
    ]


async def test_what_hangs_holds_up_nobody_else_and_is_no_reason_to_stay(stuck):
    threads = OwnThreads("t", most=2)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            await threads.run(stuck, timeout_s=0.05)
    hanging = [each for each in threading.enumerate() if each.name == "t"]
    assert len(hanging) == 2  # no more of them than there may be
    assert all(each.daemon for each in hanging)  # and the process can end
    began = time.monotonic()
    assert await asyncio.to_thread(lambda: 7) == 7  # the loop's own threads are free
    assert time.monotonic() - began < 5


async def test_where_an_answer_came_late_the_thread_is_free_again():
    threads, is_over = OwnThreads("t", most=1), threading.Event()
    with pytest.raises(TimeoutError):
        await threads.run(is_over.wait, timeout_s=0.05)
    is_over.set()
    assert await threads.run(lambda: 7, timeout_s=10) == 7
