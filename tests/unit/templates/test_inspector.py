"""The worker that looks into files on the engine's behalf."""

import asyncio
import os
import sys

import h5py
import pytest

from templates.inspector import Inspector

SLOW = (sys.executable, "-c", "import sys, time; [time.sleep(60) for _ in sys.stdin]")
CRASHING = (sys.executable, "-c", "import os, sys; sys.stdin.readline(); os.abort()")
NONSENSE = (sys.executable, "-c", "print('hello', flush=True)")


@pytest.fixture
async def inspector():
    inspector = Inspector()
    yield inspector
    await inspector.aclose()


def make(path, value=1.0):
    with h5py.File(path, "w") as file:
        file["value"] = value
    return path


async def test_facts_come_from_the_worker_and_are_kept_until_the_file_changes(inspector, tmp_path):
    path = make(tmp_path / "a.h5")
    first = await inspector.facts(path)
    assert [item.value for item in first.items] == [1.0]
    assert await inspector.facts(path) is first
    make(path, 2.0)
    os.utime(path, ns=(1, 1))
    assert [item.value for item in (await inspector.facts(path)).items] == [2.0]


async def test_many_questions_at_once_each_get_their_answer(inspector, tmp_path):
    files = [make(tmp_path / f"{n}.h5", float(n)) for n in range(20)]
    answers = await asyncio.gather(*(inspector.facts(path) for path in files))
    assert [facts.items[0].value for facts in answers] == [float(n) for n in range(20)]


async def test_missing_and_unreadable_files_are_none_and_the_worker_goes_on(inspector, tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"not HDF5")
    assert await inspector.facts(tmp_path / "missing.h5") is None
    assert await inspector.facts(tmp_path / "bad.h5") is None
    assert await inspector.facts(make(tmp_path / "good.h5")) is not None


@pytest.mark.parametrize("command", [SLOW, CRASHING, NONSENSE], ids=["slow", "crashing", "nonsense"])
async def test_a_lost_worker_is_none_and_is_not_asked_again_at_once(tmp_path, command, monkeypatch):
    monkeypatch.setattr("templates.inspector._START_SECONDS", 0.5)
    inspector = Inspector(seconds=0.1, command=command)
    try:
        path = make(tmp_path / "a.h5")
        assert await inspector.facts(path) is None
        inspector._workers[0]._command = ("/nonexistent",)
        assert await inspector.facts(path) is None
    finally:
        await inspector.aclose()


async def test_workers_can_be_started_ahead_and_a_program_that_is_missing_is_no_error(inspector, tmp_path):
    await inspector.start()
    assert inspector._workers[0]._process.returncode is None
    await Inspector(command=("/nonexistent",)).start()


async def test_a_killed_worker_is_started_again(inspector, tmp_path):
    assert await inspector.facts(make(tmp_path / "a.h5")) is not None
    process = inspector._workers[0]._process
    process.kill()
    await process.wait()
    assert await inspector.facts(make(tmp_path / "b.h5")) is not None


async def test_a_cancelled_question_does_not_shift_the_answers(inspector, tmp_path):
    first, second = make(tmp_path / "a.h5", 1.0), make(tmp_path / "b.h5", 2.0)
    question = asyncio.create_task(inspector.facts(first))
    await asyncio.sleep(0.05)
    question.cancel()
    await asyncio.gather(question, return_exceptions=True)
    assert (await inspector.facts(second)).items[0].value == 2.0


async def test_the_worker_sees_no_secret_of_the_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("PANHUB_SECRET", "s")
    show = "import os, json; input(); print(json.dumps({'error': str('PANHUB_SECRET' in os.environ)}))"
    inspector = Inspector(command=(sys.executable, "-c", show))
    answer = await inspector._workers[0].ask({}, 5)
    await inspector.aclose()
    assert answer == {"error": "False"}
