"""The watch finds what blocks a loop, and nothing else."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.loopwatch import LoopWatch, environment, read_report, slowness

OURS = """
import asyncio, hashlib, re, time

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.sha256(b"x" * 1000)

async def burns(seconds):
    await asyncio.sleep(0)
    burn(seconds)

async def sleeps(seconds):
    await asyncio.sleep(0)
    time.sleep(seconds)

async def stays_in_one_call(seconds):
    await asyncio.sleep(0)
    end = time.thread_time() + seconds
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", int(seconds * 4_000_000))

async def waits_in_a_thread(seconds):
    await asyncio.to_thread(time.sleep, seconds)

async def waits_for(future):
    await asyncio.sleep(0)
    future.result()

async def many_short_steps(seconds):
    for _ in range(20):
        burn(seconds / 20)
        await asyncio.sleep(0)
"""


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours" / "module.py"
    path.parent.mkdir()
    path.write_text(OURS)
    spec = importlib.util.spec_from_file_location("ours", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def watch(ours):
    watch = LoopWatch(packages=(Path(ours.__file__).parent,))
    watch.start()
    yield watch
    watch.stop()


@pytest.mark.parametrize("name", ["burns", "sleeps", "stays_in_one_call"])
def test_a_step_of_ours_that_keeps_the_loop_is_found(ours, watch, name):
    asyncio.run(getattr(ours, name)(0.2))
    found = watch.take()
    assert len(found) == 1
    assert found[0].milliseconds > 50
    assert "module.py" in found[0].where


@pytest.mark.parametrize(
    ("times", "seconds", "is_found"), [(1.0, 0.08, True), (2.0, 0.08, False), (9.0, 0.2, True)]
)
def test_what_a_slow_core_adds_counts_only_in_all(ours, watch, monkeypatch, times, seconds, is_found):
    monkeypatch.setattr("tests.support.loopwatch.slowness", lambda: times)
    asyncio.run(ours.burns(seconds))
    assert bool(watch.take()) is is_found


def test_no_core_counts_as_faster_than_one_that_nobody_shares():
    assert 1 <= slowness() < 100


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("burns", 0.02),
        ("sleeps", 0.02),
        ("sleeps", 0.07),
        ("waits_in_a_thread", 0.2),
        ("many_short_steps", 0.3),
    ],
)
def test_what_leaves_the_loop_free_is_not(ours, watch, name, seconds):
    asyncio.run(getattr(ours, name)(seconds))
    assert watch.take() == []


def test_waiting_for_another_thread_is_found(ours, watch):
    future = concurrent.futures.Future()
    timer = threading.Timer(0.2, future.set_result, [None])
    timer.start()
    asyncio.run(ours.waits_for(future))
    timer.join()
    assert len(watch.take()) == 1


def test_a_test_that_blocks_by_itself_is_left_out(ours, watch):
    async def a_test():
        await asyncio.sleep(0)
        time.sleep(0.1)
        ours.burn(0.1)

    asyncio.run(a_test())
    assert watch.take() == []


def test_busy_threads_beside_the_loop_are_left_out(ours, watch):
    done = threading.Event()

    def busy():
        while not done.is_set():
            hashlib.sha256(b"x" * 100)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        asyncio.run(ours.many_short_steps(0.2))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert watch.take() == []


def test_another_process_writes_what_it_finds(tmp_path):
    report = tmp_path / "violations.jsonl"
    code = (
        "import asyncio, profiles.gates as gates, time, types\n"
        "text = 'async def block():\\n await asyncio.sleep(0)\\n time.sleep(0.2)'\n"
        "block = compile(text, gates.__file__, 'exec')\n"
        "space = {'asyncio': asyncio, 'time': time}\n"
        "exec(block, space)\n"
        "asyncio.run(space['block']())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(report))
    (found,) = read_report(report)
    assert "block (profiles/gates.py" in found.where


def test_no_report_is_no_violation(tmp_path):
    assert read_report(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("leaf", "caller", "counts"),
    [
        (
            "_find_and_load <frozen importlib._bootstrap>:1176",
            "initialize /lib/jupyterhub/app.py:3539",
            False,
        ),
        ("_find_and_load <frozen importlib._bootstrap>:1176", "start /lib/jupyterhub/app.py:3700", True),
        ("read_text /lib/pathlib.py:1059", "initialize /lib/jupyterhub/app.py:3539", True),
    ],
)
def test_an_import_before_the_hub_serves_does_not_count(tmp_path, leaf, caller, counts):
    report = tmp_path / "violations.jsonl"
    row = {
        "milliseconds": 120,
        "where": "Wire.__init__",
        "stack": [leaf, "__init__ hub/identity/wire.py:51", caller],
    }
    report.write_text(json.dumps(row) + "\n")
    assert bool(read_report(report)) is counts
