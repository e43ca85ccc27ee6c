"""How launches end: asked to, by themselves, too early, twice at once; and what is charged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from hub.launch.models import LaunchRequest
from hub.launch.states import EndReason, LaunchState, Target
from spawners.backend import EndCause
from tests.support.backends import (
    BackendBroken,
    BackendFailsDuringStart,
    BackendSlowToStart,
    BackendUnknown,
    BackendWithoutUsageYet,
    Place,
)
from tests.support.engines import Engine

MakeEngine = Callable[..., Engine]


def place() -> Place:
    """A place whose clock is at the present."""
    return Place(now=datetime.now(UTC))


async def test_a_stopped_session_is_charged_for_what_ran_and_the_rest_is_released(
    make_engine: MakeEngine,
) -> None:
    from tests.support.backends import FakeBackend

    engine = make_engine(FakeBackend(place()))
    launch = await engine.run()
    engine.place.later(minutes=10)
    ended = await engine.stop(launch)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "stopped_by_user")
    assert engine.charged() == 600 * 2
    assert not engine.held()
    assert not engine.place.sessions, "forgotten once it is settled"
    assert ended.log_tail == [f"the log of {launch.id}"]


async def test_two_stops_at_once_and_a_watcher_charge_once(engine: Engine) -> None:
    launch = await engine.run()
    engine.place.later(minutes=1)
    await asyncio.gather(
        engine.stop(launch), engine.watcher.look(), engine.stop(launch), engine.watcher.look()
    )
    await engine.watcher.look()
    assert engine.get(launch.id).end_reason == "stopped_by_user"
    assert engine.charged() == 120
    assert engine.steps(launch.id).count("ended") == 1


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (EndCause.EXITED, "exited"),
        (EndCause.OUT_OF_MEMORY, "out_of_memory"),
        (EndCause.TIME_LIMIT, "time_limit"),
        (EndCause.LOST, "lost"),
    ],
)
async def test_a_session_that_ends_by_itself_is_settled_with_its_cause(
    engine: Engine, cause: EndCause, reason: str
) -> None:
    launch = await engine.run()
    engine.place.later(seconds=30)
    engine.place.end(launch.id, cause)
    await engine.watcher.look()
    ended = engine.get(launch.id)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, reason)
    assert engine.charged() == 60


async def test_a_session_that_exits_before_it_answers_has_failed_to_start(engine: Engine) -> None:
    launch = await engine.start(await engine.claim())
    engine.place.end(launch.id, exit_code=78)
    await engine.watcher.look()
    ended = engine.get(launch.id)
    assert ended.end_reason == "start_failed"
    assert ended.end_message == "The session could not be started. Its exit code was 78."


async def test_why_it_was_stopped_comes_before_what_the_backend_saw(engine: Engine) -> None:
    launch = await engine.run()
    stale = engine.get(launch.id)
    await engine.launches.stop(launch, reason=EndReason.STOPPED_BY_OPERATOR, by="olga")
    engine.place.end(launch.id, EndCause.STOPPED)
    await engine.runner.finish(stale)
    await engine.settle_down()
    assert engine.get(launch.id).end_reason == "stopped_by_operator"


async def test_unknown_never_ends_and_never_settles(make_engine: MakeEngine) -> None:
    backend = BackendUnknown(place())
    engine = make_engine(backend)
    launch = await engine.run()
    await engine.watcher.look()
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.RUNNING
    assert (await engine.stop(launch)).state is LaunchState.ENDING
    assert engine.held(launch.id)
    backend.is_down = False
    await engine.reconciler.reconcile()
    await engine.settle_down()
    assert engine.get(launch.id).state is LaunchState.ENDED, "the reconciler repeats the stop"


async def test_a_hold_stays_until_the_backend_says_what_ran(make_engine: MakeEngine) -> None:
    backend = BackendWithoutUsageYet(place())
    engine = make_engine(backend)
    launch = await engine.run()
    engine.place.later(minutes=2)
    assert (await engine.stop(launch)).state is LaunchState.ENDING
    await engine.watcher.look()
    assert engine.held(launch.id)
    backend.is_accounted = True
    await engine.watcher.look()
    assert engine.get(launch.id).state is LaunchState.ENDED
    assert engine.charged() == 240


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_stop_while_submitting_ends_what_the_submit_starts(
    make_engine: MakeEngine, when: str
) -> None:
    backend = BackendSlowToStart(place())
    engine = make_engine(backend)
    launch = await engine.claim()
    await engine.launches.start(launch.id, {})
    await backend.reached.wait()
    if when == "after":
        backend.before.set()
        await engine.settle_down()
    await engine.launches.stop(engine.get(launch.id), reason=EndReason.STOPPED_BY_USER, by="ada")
    await engine.settle_down()
    assert engine.get(launch.id).state is LaunchState.HELD, "the submit is never cut off half-way"
    backend.before.set()
    backend.after.set()
    ended = await engine.launches.wait_for_end(launch.id, 5)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "cancelled")
    assert not engine.place.running()


async def test_a_stop_while_a_submit_is_being_refused_is_a_cancel(make_engine: MakeEngine) -> None:
    engine = make_engine(BackendFailsDuringStart(place()))
    launch = await engine.claim()
    await engine.launches.start(launch.id, {})
    await engine.launches.stop(engine.get(launch.id), reason=EndReason.STOPPED_BY_USER, by="ada")
    await engine.settle_down()
    assert engine.get(launch.id).state is LaunchState.ENDED
    assert not engine.held()


async def test_a_stop_by_one_who_has_not_seen_the_start_still_stops_it(engine: Engine) -> None:
    planned = await engine.claim()
    await engine.start(planned)
    ended = await engine.stop(planned)
    assert ended.state is LaunchState.ENDED
    assert ended.usage is not None, "it ran, so it is settled by what ran, not given up as unstarted"
    assert not engine.place.running()


async def test_a_held_launch_that_was_never_submitted_is_cancelled_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await engine.claim()
    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "submit", lambda *_: None)
        await engine.start(launch)
    ended = await engine.stop(engine.get(launch.id))
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "cancelled")
    assert not engine.held()


@pytest.mark.parametrize("is_claimed", [False, True])
async def test_a_cancel_before_the_hold_leaves_nothing(engine: Engine, is_claimed: bool) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    if is_claimed:
        launch = await engine.claim(launch.server_name)
    ended = await engine.stop(launch)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "cancelled")
    assert not engine.place.submitted


async def test_stopping_one_that_is_over_changes_nothing(engine: Engine) -> None:
    ended = await engine.stop(await engine.run())
    again = await engine.stop(ended, EndReason.STOPPED_BY_OPERATOR)
    assert (again.end_reason, again.ended_at, again.target) == (ended.end_reason, ended.ended_at, Target.STOP)


async def test_a_fault_with_one_session_does_not_keep_others_from_being_settled(
    make_engine: MakeEngine,
) -> None:
    backend = BackendBroken(place())
    engine = make_engine(backend)
    first, second = await engine.run("one"), await engine.run("two")
    backend.broken = first.id
    for launch in (first, second):
        engine.place.end(launch.id)
    await engine.watcher.look()
    assert engine.get(second.id).state is LaunchState.ENDED
    backend.broken = ""
    await engine.watcher.look()
    assert engine.get(first.id).state is LaunchState.ENDED


async def test_the_hub_is_asked_to_forget_a_stopped_session_at_once(engine: Engine) -> None:
    launch = await engine.run()
    await engine.stop(launch)
    assert ("work", False) in engine.hub.removed
