"""From a claim to a session that answers, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hub.launch.hubclient import HubAnswer
from hub.launch.models import LaunchRequest
from hub.launch.refusals import walltime_exceeded
from hub.launch.states import EndReason, LaunchState, Target
from hub.problems import RequestError
from tests.support.backends import (
    BackendAnswersNothing,
    BackendFailsDuringStart,
    BackendRefusesAfterItsHandle,
    BackendSlowToStart,
    Place,
)
from tests.support.engines import WALLTIME_MAX, Engine

MakeEngine = Callable[..., Engine]


async def refusal(awaitable: object) -> str:
    """Code of the refusal that a call ends in."""
    with pytest.raises(RequestError) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value.problem.code


async def test_a_launch_goes_from_plan_to_hold_to_handle_to_answer(engine: Engine) -> None:
    launch = await engine.claim()
    assert launch.state is LaunchState.PLANNED
    assert not engine.held()
    launch = await engine.start(launch)
    assert (launch.state, launch.handle) == (LaunchState.SUBMITTED, {"job": 1})
    assert engine.held(launch.id)
    engine.place.answering.add("work")
    launch = await engine.report(launch.id)
    assert (launch.state, launch.url) == (LaunchState.RUNNING, "http://127.0.0.1:45000")
    assert engine.steps(launch.id) == ["held", "starting", "running"]


async def test_a_session_that_reported_runs_only_once_it_answers(engine: Engine) -> None:
    launch = await engine.start(await engine.claim())
    launch = await engine.report(launch.id)
    assert launch.state is LaunchState.SUBMITTED
    engine.place.answering.add("work")
    launch = await engine.launches.wait(launch.id, 5)
    assert launch.state is LaunchState.RUNNING


async def test_a_repeated_start_submits_once(engine: Engine) -> None:
    launch = await engine.claim()
    await asyncio.gather(*(engine.launches.start(launch.id, {}) for _ in range(3)))
    await engine.settle_down()
    await engine.start(launch)
    assert engine.place.submitted == [launch.id]
    assert engine.charged() == 0


async def test_a_report_needs_its_secret_and_is_taken_once(engine: Engine) -> None:
    launch = await engine.start(await engine.claim())
    assert await refusal(engine.launches.report(launch.id, "a guess", 45000)) == "wrong_secret"
    assert await refusal(engine.launches.report("0" * 16, "a guess", 45000)) == "wrong_secret"
    await engine.report(launch.id)
    secret = engine.place.sessions[launch.id].secret
    assert await refusal(engine.launches.report(launch.id, secret, 45001)) == "already_reported"
    assert engine.get(launch.id).url == "http://127.0.0.1:45000"


async def test_a_report_that_comes_before_the_handle_is_saved_is_asked_for_again(
    make_engine: MakeEngine,
) -> None:
    backend = BackendSlowToStart(Place())
    engine = make_engine(backend)
    backend.before.set()
    launch = await engine.start(await engine.claim())
    engine.place.answering.add("work")
    assert await refusal(engine.report(launch.id)) == "backend_unavailable"
    assert engine.get(launch.id).url is None
    backend.after.set()
    await asyncio.sleep(0.05)
    await engine.report(launch.id)
    assert (await engine.launches.wait(launch.id, 5)).state is LaunchState.RUNNING


async def test_a_refused_submit_releases_the_hold_and_says_why(make_engine: MakeEngine) -> None:
    engine = make_engine(BackendFailsDuringStart(Place()))
    launch = await engine.start(await engine.claim())
    assert (launch.state, launch.end_reason) == (LaunchState.ENDED, "start_failed")
    assert launch.end_message == "The session could not be started. The partition is closed."
    assert not engine.held()
    assert await refusal(engine.launches.start(launch.id, {})) == "launch_start_failed"


async def test_a_submit_that_is_refused_after_its_handle_releases_the_hold(make_engine: MakeEngine) -> None:
    engine = make_engine(BackendRefusesAfterItsHandle(Place()))
    launch = await engine.start(await engine.claim())
    assert (launch.state, launch.end_reason) == (LaunchState.ENDED, "start_failed")
    assert not engine.held()


@pytest.mark.parametrize("does_start", [True, False])
async def test_a_submit_without_an_answer_is_looked_for_by_its_launch_id(
    make_engine: MakeEngine, does_start: bool
) -> None:
    backend = BackendAnswersNothing(Place())
    backend.does_start = does_start
    engine = make_engine(backend)
    launch = await engine.start(await engine.claim())
    assert (launch.state, launch.handle) == (LaunchState.HELD, None)
    assert (await engine.launches.start(launch.id, {})).state is LaunchState.HELD
    await engine.settle_down()
    assert len(engine.place.submitted) == does_start, "not submitted again while it is not known"
    await engine.reconciler.reconcile()
    found = engine.get(launch.id)
    assert (found.state, found.report_hash is None) == (
        (LaunchState.SUBMITTED, False) if does_start else (LaunchState.HELD, True)
    )


async def test_a_submit_that_came_to_nothing_is_made_anew_when_the_hub_asks_again(
    make_engine: MakeEngine,
) -> None:
    backend = BackendAnswersNothing(Place())
    backend.does_start = False
    engine = make_engine(backend)
    launch = await engine.start(await engine.claim())
    waiting = asyncio.create_task(engine.launches.wait(launch.id, 30))
    await engine.reconciler.reconcile()
    assert (await waiting).state is LaunchState.HELD, "the hub is told at once that it is needed again"
    backend.does_start = True
    await engine.start(launch)
    assert engine.place.submitted == [launch.id]


async def test_more_than_the_quota_is_refused_and_kept(engine: Engine) -> None:
    assert await refusal(engine.claim(walltime_s=60 * 3600)) == "quota_exceeded"
    (kept,) = engine.all()
    assert kept.state is LaunchState.REFUSED
    assert kept.problem is not None
    assert kept.problem["quota"]["asked"] == 60 * 3600 * 2
    assert not engine.held()


async def test_of_two_planned_launches_that_do_not_fit_together_one_is_refused_at_its_hold(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(cpu_hours=10)
    first, second = (
        await engine.claim("one", walltime_s=4 * 3600),
        await engine.claim("two", walltime_s=4 * 3600),
    )
    await engine.start(first)
    assert await refusal(engine.launches.start(second.id, {})) == "quota_exceeded"
    assert engine.get(second.id).state is LaunchState.REFUSED
    assert not engine.held(second.id)


async def test_a_planner_s_refusal_is_kept_with_the_registered_launch(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    engine.planner.refuse = walltime_exceeded(WALLTIME_MAX * 2, WALLTIME_MAX)
    assert await refusal(engine.claim(launch.server_name)) == "walltime_exceeded"
    kept = engine.get(launch.id)
    assert kept.state is LaunchState.REFUSED
    assert kept.problem is not None
    assert kept.problem["code"] == "walltime_exceeded"


async def test_one_server_name_has_one_live_launch(engine: Engine) -> None:
    running = await engine.run()
    assert await refusal(engine.claim()) == "session_exists"
    assert engine.get(running.id).state is LaunchState.RUNNING


async def test_the_same_server_name_started_again_is_another_launch(engine: Engine) -> None:
    first = await engine.run()
    await engine.stop(first)
    second = await engine.run()
    assert second.id != first.id
    assert engine.get(first.id).state is LaunchState.ENDED


async def test_two_claims_of_one_name_at_once_make_one_launch(engine: Engine) -> None:
    answers = await asyncio.gather(*(engine.claim() for _ in range(4)), return_exceptions=True)
    live = [launch for launch in engine.all() if launch.is_live]
    assert len(live) == 1
    assert all(isinstance(x, RequestError) or x.id == live[0].id for x in answers)  # type: ignore[union-attr]


async def test_a_hub_that_asks_again_for_the_same_start_gets_the_same_launch(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    first = await engine.claim(launch.server_name)
    again = await engine.claim(launch.server_name)
    assert first.id == again.id == launch.id
    assert again.state is LaunchState.PLANNED


async def test_another_request_for_a_planned_name_takes_its_place(engine: Engine) -> None:
    given_up = await engine.claim()
    launch = await engine.claim(walltime_s=3600)
    assert launch.id != given_up.id
    assert engine.get(given_up.id).end_reason == EndReason.NOT_HANDED_OVER


async def test_a_registered_name_is_claimed_with_its_own_request_only(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    assert await refusal(engine.claim(launch.server_name, walltime_s=3600)) == "session_exists"
    assert engine.get(launch.id).state is LaunchState.REQUESTED


async def test_a_launch_cancelled_before_the_hub_comes_for_it_never_starts(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    await engine.stop(launch)
    assert await refusal(engine.claim(launch.server_name)) == "launch_cancelled"
    assert [x.id for x in engine.all()] == [launch.id]


async def test_a_launch_cancelled_while_it_is_planned_never_starts(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")

    async def cancel() -> None:
        engine.planner.on_the_way = None
        await engine.launches.stop(launch, reason=EndReason.STOPPED_BY_USER, by="ada")

    engine.planner.on_the_way = cancel
    assert await refusal(engine.claim(launch.server_name)) == "launch_cancelled"
    assert engine.get(launch.id).state is LaunchState.ENDED


async def test_a_hub_that_does_not_answer_is_asked_until_it_does(engine: Engine) -> None:
    engine.hub.answer = HubAnswer.UNKNOWN
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    await engine.settle_down()
    assert len(engine.hub.started) > 1
    engine.hub.answer = HubAnswer.DONE
    await engine.settle_down()
    asked = len(engine.hub.started)
    await engine.settle_down()
    assert len(engine.hub.started) == asked
    assert engine.get(launch.id).state is LaunchState.REQUESTED


async def test_a_hub_that_refuses_by_a_rule_of_its_own_refuses_the_launch(engine: Engine) -> None:
    engine.hub.answer = HubAnswer.REFUSED
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    await engine.settle_down()
    refused = engine.get(launch.id)
    assert refused.state is LaunchState.REFUSED
    assert refused.problem is not None
    assert refused.problem["code"] == "hub_refused"


async def test_a_session_that_never_answers_is_ended_at_its_start_timeout(engine: Engine) -> None:
    launch = await engine.start(await engine.claim())
    await engine.watcher.look()
    engine.watcher._start_timeout *= 0
    await engine.watcher.look()
    await engine.settle_down()
    ended = engine.get(launch.id)
    assert (ended.state, ended.end_reason, ended.target) == (LaunchState.ENDED, "start_timeout", Target.STOP)
