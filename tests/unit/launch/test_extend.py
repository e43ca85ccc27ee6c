"""More time for a session that runs: within its limit, within the quota, once for each key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from hub.launch.states import LaunchState
from tests.support.backends import FakeBackend, Place
from tests.support.engines import WALLTIME_MAX, Engine
from tests.unit.launch.test_start import refusal

HOUR = 3600


async def test_an_extension_holds_more_and_moves_the_deadline_everywhere(engine: Engine) -> None:
    launch = await engine.run()
    before = sum(line.amount for line in engine.held(launch.id))
    extended = await engine.launches.extend(engine.person(), launch, HOUR, key=None)
    assert launch.deadline is not None
    assert extended.deadline == launch.deadline + timedelta(hours=1)
    assert engine.place.sessions[launch.id].deadline == extended.deadline
    assert sum(line.amount for line in engine.held(launch.id)) == before + HOUR * 2
    assert extended.launch_plan().walltime == timedelta(hours=3)


async def test_the_same_key_extends_once_and_answers_alike_at_the_limit(engine: Engine) -> None:
    launch = await engine.run(walltime_s=int(WALLTIME_MAX.total_seconds()) - HOUR)
    first = await engine.launches.extend(engine.person(), launch, HOUR, key="k")
    again = await engine.launches.extend(engine.person(), engine.get(launch.id), HOUR, key="k")
    assert (again.deadline, again.plan) == (first.deadline, first.plan)


async def test_two_extensions_at_once_do_not_pass_the_limit_together(engine: Engine) -> None:
    launch = await engine.run(walltime_s=int(WALLTIME_MAX.total_seconds()) - HOUR)
    answers = await asyncio.gather(
        *(engine.launches.extend(engine.person(), launch, HOUR, key=key) for key in "ab"),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Exception) for answer in answers) == 1
    assert engine.get(launch.id).launch_plan().walltime == WALLTIME_MAX


async def test_over_the_profile_s_limit_is_refused_and_holds_nothing(engine: Engine) -> None:
    launch = await engine.run()
    before = engine.held(launch.id)
    person = engine.person()
    assert await refusal(engine.launches.extend(person, launch, 7 * HOUR, key=None)) == "walltime_exceeded"
    assert engine.held(launch.id) == before
    assert engine.get(launch.id).deadline == launch.deadline


async def test_over_the_quota_is_refused_and_the_session_goes_on(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(FakeBackend(Place()), cpu_hours=5)
    launch = await engine.run()
    person = engine.person()
    assert await refusal(engine.launches.extend(person, launch, HOUR, key=None)) == "quota_exceeded"
    assert engine.get(launch.id).state is LaunchState.RUNNING
    assert engine.get(launch.id).deadline == launch.deadline


async def test_only_what_runs_is_extended(engine: Engine) -> None:
    launch = await engine.start(await engine.claim())
    person = engine.person()
    assert await refusal(engine.launches.extend(person, launch, HOUR, key=None)) == "not_running"
    running = await engine.report(launch.id)
    engine.place.answering.add("work")
    running = await engine.launches.wait(launch.id, 5)
    await engine.stop(running)
    assert await refusal(engine.launches.extend(person, running, HOUR, key=None)) == "not_running"
    assert not engine.held()
