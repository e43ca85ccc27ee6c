"""Large answers are decoded elsewhere."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from functools import partial

import pytest

from spawners.slurm.decode import INLINE, Decoder
from spawners.slurm.models import Job, JobState
from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.transport import SlurmUnavailableError

LARGE = b"x" * (INLINE + 1)


def _pid(body: bytes) -> int:
    return os.getpid()


def _refuse(body: bytes) -> int:
    raise NotUnderstoodError("of another form")


def _key(body: bytes) -> int:
    raise KeyError("nodes")


def _exit(body: bytes) -> int:
    os._exit(1)


def _sleep(seconds: float, body: bytes) -> int:
    time.sleep(seconds)
    return len(body)


def _jobs(body: bytes) -> tuple[Job, ...]:
    return tuple(
        Job(id=number, state=JobState.RUNNING, user="maja", gpus={"a100": 1}, time_limit=timedelta(hours=1))
        for number in range(1001)
    )


@pytest.fixture
async def decoder():
    made = Decoder(timeout_s=20)
    yield made
    await made.aclose()


async def test_a_small_answer_is_decoded_here_and_a_large_one_elsewhere(decoder):
    assert await decoder.decode(_pid, b"x") == os.getpid()
    other = await decoder.decode(_pid, LARGE)
    assert other != os.getpid()
    assert await decoder.decode(_pid, LARGE) == other


async def test_many_objects_arrive_as_they_are(decoder):
    assert await decoder.decode(_jobs, LARGE) == _jobs(b"")


@pytest.mark.parametrize("body", [b"x", LARGE])
@pytest.mark.parametrize(("function", "text"), [(_refuse, "of another form"), (_key, "nodes")])
async def test_an_answer_of_another_form_is_no_answer(decoder, function, text, body):
    with pytest.raises(SlurmUnavailableError, match=text):
        await decoder.decode(function, body)


async def test_a_process_that_dies_is_replaced(decoder):
    with pytest.raises(SlurmUnavailableError, match="decoder ended"):
        await decoder.decode(_exit, LARGE)
    assert await decoder.decode(len, LARGE) == len(LARGE)


async def test_a_caller_that_gives_up_leaves_nothing_behind(decoder):
    await decoder.start()
    task = asyncio.create_task(decoder.decode(partial(_sleep, 60), LARGE))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await decoder.decode(len, LARGE) == len(LARGE)


async def test_decoding_that_takes_too_long_is_ended():
    decoder = Decoder(timeout_s=0.2)
    with pytest.raises(SlurmUnavailableError, match="decoder ended"):
        await decoder.decode(partial(_sleep, 60), LARGE)
    await decoder.aclose()


async def test_the_process_ends_with_the_decoder():
    decoder = Decoder()
    pid = await decoder.decode(_pid, LARGE)
    await decoder.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
