"""Launches at a scheduler: waiting for hours, started when there is room, ended by others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.launch import store
from hub.launch.ends import end_message, sentence
from hub.launch.outlook import Outlooks
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Launch
from hub.launch.timing import TOLERANCE
from hub.problems import RequestError
from spawners.backend import BackendError, EndCause, InnerJob, State, Status, Usage
from tests.support.backends import BackendRefusesDeadlines, BackendWithQueue, Place
from tests.support.engines import Engine
from tests.unit.launch.test_reconciler import next_life
from tests.unit.launch.test_start import refusal

MakeEngine = Callable[..., Engine]
HOUR = 3600
WALLTIME = timedelta(hours=2)
SOON = datetime(2026, 11, 18, 14, 32, 10, tzinfo=UTC)


class BackendWithQueueRefusesDeadlines(BackendRefusesDeadlines, BackendWithQueue):
    """Both: a scheduler that does not move the end of a session while ``is_refusing``."""

    is_refusing = False


@pytest.fixture
def backend() -> BackendWithQueueRefusesDeadlines:
    """A scheduler."""
    return BackendWithQueueRefusesDeadlines(Place())


@pytest.fixture
def engine(make_engine: MakeEngine, backend: BackendWithQueue) -> Engine:
    """An engine whose place is a scheduler's."""
    return make_engine(backend)


def outlook(engine: Engine, launch: Launch) -> tuple[datetime | None, str]:
    """What people are told of a wait."""
    found = Outlooks(engine.backends, engine.watcher.last).waiting(engine.get(launch.id))
    return found.expected_start, found.pending_reason


async def queued(engine: Engine, name: str = "work") -> Launch:
    """A launch that waits in the queue."""
    launch = await engine.start(await engine.claim(name))
    await engine.watcher.look()
    return engine.get(launch.id)


async def begun(engine: Engine, launch: Launch) -> Launch:
    """The same once it runs and answers."""
    engine.place.begin(launch.id)
    await engine.watcher.look()
    engine.place.answering.add(launch.server_name)
    return await engine.report(launch.id)


def messages(engine: Engine, launch: Launch) -> list[str]:
    """Lines of progress."""
    return [event.message for event in engine.db.run_now(lambda s: store.events_after(s, launch.id, 0))]


async def test_waiting_for_hours_costs_no_time_and_ends_nothing(engine: Engine) -> None:
    launch = await queued(engine)
    assert (launch.state, launch.deadline) == (LaunchState.SUBMITTED, None)
    engine.place.later(hours=30)
    engine.age(launch, timedelta(days=20))
    for _ in range(3):
        await engine.watcher.look()
        await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.SUBMITTED
    running = await begun(engine, launch)
    assert running.state is LaunchState.RUNNING
    assert running.deadline == engine.place.now + WALLTIME, "counted from its real start"
    engine.place.later(minutes=10)
    await engine.stop(running)
    assert engine.charged() == 600 * 2, "and so is what is paid"


async def test_a_session_that_runs_but_does_not_answer_is_late_only_after_its_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await queued(engine)
    monkeypatch.setattr(engine.watcher, "_start_timeout", timedelta(0))
    await engine.watcher.look()
    assert engine.get(launch.id).state is LaunchState.SUBMITTED
    engine.place.begin(launch.id)
    await engine.watcher.look()
    await engine.watcher.look()
    await engine.settle_down()
    assert engine.get(launch.id).end_reason == "start_timeout"


async def test_without_an_end_of_the_place_s_own_time_counts_from_the_start_that_it_tells(
    engine: Engine, backend: BackendWithQueue
) -> None:
    backend.tells_end = False
    launch = await queued(engine)
    engine.place.later(hours=30)
    engine.place.begin(launch.id)
    start = engine.place.now
    engine.place.later(minutes=3)
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == start + WALLTIME
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == start + WALLTIME


async def test_a_report_before_the_next_look_sets_the_deadline_too(engine: Engine) -> None:
    launch = await queued(engine)
    engine.place.later(hours=1)
    engine.place.begin(launch.id)
    engine.place.answering.add(launch.server_name)
    running = await engine.report(launch.id)
    assert running.deadline == engine.place.now + WALLTIME


@pytest.mark.parametrize("state", [State.PENDING, State.UNKNOWN])
async def test_a_report_is_asked_for_again_while_its_place_cannot_tell_where_it_runs(
    engine: Engine, state: State
) -> None:
    launch = await queued(engine)
    engine.place.waiting[launch.id] = Status(state, "no look yet")
    with pytest.raises(RequestError) as refused:
        await engine.report(launch.id)
    assert refused.value.problem.status == 503
    assert engine.get(launch.id).url is None
    engine.place.waiting[launch.id] = Status(state, host="fd00::7")
    assert (await engine.report(launch.id)).url == "http://[fd00::7]:45000"


async def test_why_it_waits_and_until_when_is_told(engine: Engine) -> None:
    launch = await queued(engine)
    assert outlook(engine, launch) == (None, "Other jobs come first.")
    engine.place.queue(launch.id, "No GPU is free.", SOON)
    await engine.watcher.look()
    assert outlook(engine, launch) == (SOON, "No GPU is free.")
    await begun(engine, launch)
    assert outlook(engine, launch) == (None, "")


async def test_progress_tells_of_a_wait_when_its_words_change_and_not_more_than_once_a_minute(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = datetime.now(UTC)
    monkeypatch.setattr("hub.launch.watcher.utcnow", lambda: clock)
    launch = await queued(engine)
    assert messages(engine, launch)[-1] == "Waiting: Other jobs come first."
    for second in range(100):
        engine.place.queue(launch.id, "No GPU is free.", SOON + timedelta(seconds=second))
        await engine.watcher.look()
    assert messages(engine, launch)[-1] == "Waiting: Other jobs come first.", "a minute has not passed"
    for second in range(100):
        clock += timedelta(seconds=61)
        engine.place.queue(launch.id, "No GPU is free.", SOON + timedelta(seconds=second))
        await engine.watcher.look()
    told = [line for line in messages(engine, launch) if line.startswith("Waiting")]
    assert told[1:] == ["Waiting: No GPU is free. It is expected to start by 18 Nov, 14:35 UTC."]
    engine.place.begin(launch.id)
    await engine.watcher.look()
    assert messages(engine, launch)[-1] == "It starts on node1."


async def test_a_restart_while_it_waits_keeps_it_and_says_nothing_twice(
    make_engine: MakeEngine, engine: Engine, backend: BackendWithQueue
) -> None:
    launch = await queued(engine)
    before = messages(engine, launch)
    engine.hub.active = frozenset({"work"})
    after = await next_life(make_engine, engine, backend)
    await after.watcher.look()
    assert after.get(launch.id).state is LaunchState.SUBMITTED
    assert messages(after, launch) == before
    assert after.place.submitted == [launch.id]
    running = await begun(after, launch)
    assert running.deadline == after.place.now + WALLTIME


async def test_a_job_whose_handle_a_crash_has_lost_is_found_again_in_the_queue(
    make_engine: MakeEngine, engine: Engine, backend: BackendWithQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        async def lost(*_: object) -> None:
            raise RuntimeError("kill -9")

        patch.setattr(engine.runner._submitting, "submitted", lost)
        launch = await engine.start(await engine.claim())
    assert engine.get(launch.id).handle is None
    after = await next_life(make_engine, engine, backend)
    found = after.get(launch.id)
    assert (found.state, found.handle, found.deadline) == (LaunchState.SUBMITTED, {"job": 1}, None)


async def test_a_job_that_ended_before_its_handle_was_known_is_settled(
    make_engine: MakeEngine, engine: Engine, backend: BackendWithQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await engine.claim()
    with monkeypatch.context() as patch:

        async def lost(*_: object) -> None:
            raise RuntimeError("kill -9")

        patch.setattr(engine.runner._submitting, "submitted", lost)
        await engine.start(launch)
    engine.place.begin(launch.id)
    engine.place.later(minutes=5)
    engine.place.end(launch.id, EndCause.NODE_FAILURE)

    async def find() -> dict[Any, Any]:
        return {}

    async def find_ended(missing: dict[str, str]) -> dict[str, Any]:
        assert missing == {launch.id: "ada"}
        return {launch.id: {"job": 1}}

    monkeypatch.setattr(backend, "find", find)
    monkeypatch.setattr(backend, "find_ended", find_ended)
    after = await next_life(make_engine, engine, backend)
    await after.watcher.look()
    assert after.get(launch.id).end_reason == "node_failure"
    assert after.charged() == 300 * 2


async def test_a_cancel_while_it_waits_ends_it_at_once_and_charges_nothing(engine: Engine) -> None:
    launch = await queued(engine)
    engine.place.later(hours=3)
    ended = await engine.stop(launch)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "cancelled")
    assert not engine.place.running()
    assert (engine.charged(), engine.held()) == (0, [])


@pytest.mark.parametrize(
    ("cause", "detail", "reason", "said"),
    [
        (EndCause.PREEMPTED, "PREEMPTED", "preempted", "higher priority"),
        (EndCause.NODE_FAILURE, "NODE_FAIL on gpu1", "node_failure", "NODE_FAIL on gpu1."),
        (EndCause.CANCELLED, "CANCELLED by root", "cancelled_by_scheduler", "CANCELLED by root."),
        (EndCause.OUT_OF_MEMORY, "OUT_OF_MEMORY", "out_of_memory", "larger size"),
        (EndCause.TIME_LIMIT, "TIMEOUT", "time_limit", "TIMEOUT"),
        (EndCause.EXITED, "FAILED, exit code 3", "exited", "exit code 3"),
    ],
)
async def test_an_end_by_the_scheduler_says_why_and_in_its_own_words(
    engine: Engine, cause: EndCause, detail: str, reason: str, said: str
) -> None:
    launch = await begun(engine, await queued(engine))
    engine.place.later(minutes=1)
    engine.place.end(launch.id, cause, detail=detail)
    await engine.watcher.look()
    ended = engine.get(launch.id)
    assert ended.end_reason == reason
    assert said in ended.end_message
    assert detail in ended.end_message
    assert engine.charged() == 120


async def test_a_job_that_others_cancel_in_the_queue_is_no_failed_start(engine: Engine) -> None:
    launch = await queued(engine)
    engine.place.end(launch.id, EndCause.CANCELLED, None, "CANCELLED by root")
    await engine.watcher.look()
    ended = engine.get(launch.id)
    assert (ended.end_reason, engine.charged()) == ("cancelled_by_scheduler", 0)
    assert (
        ended.end_message
        == f"{sentence(EndReason.CANCELLED_BY_SCHEDULER)} The scheduler says: CANCELLED by root."
    )


@pytest.mark.parametrize("reason", EndReason)
def test_the_end_of_a_pod_is_no_matter_of_jobs(reason: EndReason) -> None:
    pod = {"cluster": "pan", "namespace": "panhub-sessions", "name": "maja--work", "uid": "1-2"}
    usage = Usage(SOON, SOON, 0, 1, 1024, 0, EndCause.CANCELLED, detail="gone with its node")
    said = end_message(reason, usage, pod)
    assert not {"job", "QOS", "scheduler"} & set(re.findall(r"\w+", said))
    assert said.startswith(sentence(reason, pod))


async def test_what_we_ended_ourselves_is_not_explained_by_the_scheduler(engine: Engine) -> None:
    launch = await begun(engine, await queued(engine))
    engine.place.sessions[launch.id].detail = "CANCELLED by ada"
    ended = await engine.stop(launch)
    assert ended.end_message == "You stopped the session."


# --- time ---------------------------------------------------------------------------------------------


async def test_an_end_that_an_operator_moves_is_followed(engine: Engine) -> None:
    launch = await begun(engine, await queued(engine))
    assert launch.deadline is not None
    await engine.watcher.look()
    engine.place.sessions[launch.id].deadline = launch.deadline - timedelta(hours=1)
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == launch.deadline - timedelta(hours=1)
    engine.place.sessions[launch.id].deadline = launch.deadline - timedelta(hours=1) + TOLERANCE
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == launch.deadline - timedelta(hours=1), "minutes, rounded"


async def test_a_look_from_before_an_extension_does_not_take_it_back(
    engine: Engine, backend: BackendWithQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await begun(engine, await queued(engine))
    await engine.watcher.look()
    stale = await backend.status({launch.id: launch.handle or {}})

    async def old_look(_: object) -> Any:
        return stale

    extended = await engine.launches.extend(engine.person(), launch, HOUR, key=None)
    with monkeypatch.context() as patch:
        patch.setattr(backend, "status", old_look)
        await engine.watcher.look()
    assert launch.deadline is not None
    assert engine.get(launch.id).deadline == extended.deadline == launch.deadline + timedelta(hours=1)
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == extended.deadline


async def test_a_refused_extension_tells_the_scheduler_s_words_and_changes_nothing(
    engine: Engine, backend: BackendWithQueueRefusesDeadlines
) -> None:
    launch = await begun(engine, await queued(engine))
    before, held, lines = engine.get(launch.id), engine.held(launch.id), messages(engine, launch)
    backend.is_refusing, backend.error = True, BackendError
    with pytest.raises(Exception, match="The end cannot be moved") as caught:
        await engine.launches.extend(engine.person(), launch, HOUR, key="k")
    assert caught.value.problem.code == "extend_refused"  # type: ignore[attr-defined]
    assert engine.get(launch.id) == before
    assert (engine.held(launch.id), messages(engine, launch)) == (held, lines)
    backend.is_refusing = False
    assert await refusal(engine.launches.extend(engine.person(), launch, HOUR, key="k")) == "extend_refused"
    extended = await engine.launches.extend(engine.person(), launch, HOUR, key="k2")
    assert engine.place.sessions[launch.id].deadline == extended.deadline
    assert extended.deadline != before.deadline


async def test_an_extension_at_a_scheduler_that_does_not_answer_is_kept_and_told_later(
    engine: Engine, backend: BackendWithQueueRefusesDeadlines
) -> None:
    launch = await begun(engine, await queued(engine))
    backend.is_refusing = True
    extended = await engine.launches.extend(engine.person(), launch, HOUR, key=None)
    engine.watcher.last[launch.id] = Status(State.UNKNOWN, "Slurm does not answer.")
    await engine.watcher.look()
    assert engine.get(launch.id).deadline == extended.deadline, "it answers again, and was not told yet"
    backend.is_refusing = False
    await engine.reconciler.reconcile()
    assert engine.place.sessions[launch.id].deadline == extended.deadline


async def test_deadlines_that_the_place_has_are_not_set_again_at_start(
    make_engine: MakeEngine, engine: Engine, backend: BackendWithQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await begun(engine, await queued(engine))
    asked: list[str] = []

    async def set_deadline(launch_id: str, *_: object) -> None:
        asked.append(launch_id)

    monkeypatch.setattr(backend, "set_deadline", set_deadline)
    engine.hub.active = frozenset({"work"})
    after = await next_life(make_engine, engine, backend)
    assert asked == []
    after.place.sessions[launch.id].deadline = after.place.now
    await next_life(make_engine, after, backend)
    assert asked == [launch.id]


# --- jobs from inside ---------------------------------------------------------------------------------


async def test_jobs_from_inside_are_told_while_it_runs(engine: Engine, backend: BackendWithQueue) -> None:
    launch = await queued(engine)
    outlooks = Outlooks(engine.backends, engine.watcher.last)
    backend.inner[launch.id] = [InnerJob("77", "dask-worker", "RUNNING")]
    assert (await outlooks.of(launch)).jobs == ()
    running = await begun(engine, launch)
    assert [job.id for job in (await outlooks.of(running)).jobs] == ["77"]
    ended = await engine.stop(running)
    assert (await outlooks.of(ended)).jobs == ()


async def test_a_scheduler_that_is_silent_says_so_of_a_wait(engine: Engine) -> None:
    launch = await queued(engine)
    engine.watcher.last[launch.id] = Status(State.UNKNOWN, "Slurm does not answer.")
    assert outlook(engine, launch) == (None, "Slurm does not answer.")


# --- places that are slow or silent -------------------------------------------------------------------


async def test_a_place_that_does_not_answer_keeps_neither_the_others_nor_the_start_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await begun(engine, await queued(engine))
    silent = BackendWithQueue(Place())
    never = asyncio.Event()

    async def find() -> dict[Any, Any]:
        await never.wait()
        return {}

    async def status(_: object) -> dict[Any, Any]:
        await never.wait()
        return {}

    monkeypatch.setattr(silent, "find", find)
    monkeypatch.setattr(silent, "status", status)
    monkeypatch.setattr("hub.launch.reconciler._FIRST_PATIENCE_S", 0.05)
    monkeypatch.setattr("hub.launch.watcher._PATIENCE_S", 0.05)
    engine.backends["silent"] = silent
    other = await queued(engine, name="other")
    engine.db.run_now(lambda s: store.change(s, other.id, place="silent"))
    engine.place.end(launch.id)
    async with asyncio.timeout(10):
        await engine.reconciler.at_start()
        for _ in range(50):
            await engine.watcher.look()
            if not engine.get(launch.id).is_live:
                break
    assert engine.get(launch.id).end_reason == "exited"
    assert engine.get(other.id).state is LaunchState.SUBMITTED
    never.set()
    await engine.watcher.aclose()
    await engine.reconciler.aclose()
