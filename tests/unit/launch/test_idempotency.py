"""One key, one launch: however often, however fast, and whatever came of it."""

from __future__ import annotations

import asyncio

from hub.launch.models import LaunchRequest
from hub.launch.refusals import walltime_exceeded
from hub.launch.states import LaunchState
from tests.support.engines import WALLTIME_MAX, Engine
from tests.unit.launch.test_start import refusal


async def test_the_same_key_and_request_give_the_same_launch(engine: Engine) -> None:
    person = engine.person()
    first, is_new = await engine.launches.register(person, LaunchRequest(), origin="api", idempotency_key="k")
    again, is_new_again = await engine.launches.register(
        person, LaunchRequest(), origin="api", idempotency_key="k"
    )
    assert (again.id, is_new, is_new_again) == (first.id, True, False)
    assert len(engine.all()) == 1


async def test_the_same_key_many_times_at_once_gives_one_launch(engine: Engine) -> None:
    person = engine.person()
    answers = await asyncio.gather(
        *(
            engine.launches.register(person, LaunchRequest(), origin="api", idempotency_key="k")
            for _ in range(6)
        )
    )
    assert len({launch.id for launch, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1


async def test_the_same_key_with_another_request_is_refused(engine: Engine) -> None:
    person = engine.person()
    await engine.launches.register(person, LaunchRequest(), origin="api", idempotency_key="k")
    other = LaunchRequest(walltime_s=600)
    call = engine.launches.register(person, other, origin="api", idempotency_key="k")
    assert await refusal(call) == "idempotency_mismatch"


async def test_a_key_belongs_to_a_person(engine: Engine) -> None:
    ada, ben = engine.person("ada"), engine.person("ben")
    one, _ = await engine.launches.register(ada, LaunchRequest(), origin="api", idempotency_key="k")
    two, _ = await engine.launches.register(ben, LaunchRequest(), origin="api", idempotency_key="k")
    assert one.id != two.id


async def test_a_refusal_is_kept_and_repeated_for_its_key(engine: Engine) -> None:
    person = engine.person()
    engine.planner.refuse = walltime_exceeded(WALLTIME_MAX * 2, WALLTIME_MAX)
    calls = [
        engine.launches.register(person, LaunchRequest(), origin="api", idempotency_key="k") for _ in range(3)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {answer.problem.code for answer in answers} == {"walltime_exceeded"}  # type: ignore[union-attr]
    engine.planner.refuse = None
    call = engine.launches.register(person, LaunchRequest(), origin="api", idempotency_key="k")
    assert await refusal(call) == "walltime_exceeded"
    assert [launch.state for launch in engine.all()] == [LaunchState.REFUSED]


async def test_without_a_key_every_request_is_a_launch_of_its_own(engine: Engine) -> None:
    person = engine.person()
    one, _ = await engine.launches.register(person, LaunchRequest(), origin="api")
    two, _ = await engine.launches.register(person, LaunchRequest(), origin="api")
    assert one.id != two.id


async def test_a_dry_run_keeps_nothing(engine: Engine) -> None:
    summary = await engine.launches.dry_run(engine.person(), LaunchRequest(walltime_s=600))
    assert summary.walltime_s == 600
    assert engine.all() == []
    assert not engine.held()
