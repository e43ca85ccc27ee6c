"""What the next life of an engine does with what the last one left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.database import sqlite_url
from hub.launch.hubclient import HubAnswer
from hub.launch.models import LaunchRequest
from hub.launch.reconciler import is_foreign
from hub.launch.states import LaunchState
from hub.problems import RequestError
from hub.settings import ConfigError
from quota.models import HoldLine
from tests.support.backends import (
    BackendRefusesDeadlines,
    BackendSlowToStart,
    BackendUnknown,
    FakeBackend,
    Place,
)
from tests.support.engines import Engine

MakeEngine = Callable[..., Engine]


async def next_life(make_engine: MakeEngine, engine: Engine, backend: FakeBackend | None = None) -> Engine:
    """kill -9 of the engine, and another one on the same database and place."""
    await engine.kill()
    after = make_engine(backend or FakeBackend(engine.place), hub=engine.hub)
    await after.reconciler.at_start()
    await after.settle_down()
    return after


async def test_a_registered_launch_is_handed_over_by_the_next_life(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.hub.answer = HubAnswer.UNKNOWN
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    engine.hub.started.clear()
    engine.hub.answer = HubAnswer.DONE
    after = await next_life(make_engine, engine)
    assert after.hub.started == [launch.server_name]
    assert (await after.run(launch.server_name)).id == launch.id


async def test_an_engine_killed_before_the_submit_submits_when_the_hub_asks_again(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(BackendSlowToStart(Place()))
    launch = await engine.start(await engine.claim())
    assert launch.state is LaunchState.HELD
    after = await next_life(make_engine, engine)
    told = await after.launches.wait(launch.id, 5)
    assert (told.state, told.report_hash) == (LaunchState.HELD, None)
    launch = await after.start(launch)
    assert launch.state is LaunchState.SUBMITTED
    assert after.place.submitted == [launch.id]


@pytest.mark.parametrize("has_reported", [False, True])
async def test_an_engine_killed_between_submit_and_handle_finds_its_session(
    make_engine: MakeEngine, has_reported: bool
) -> None:
    backend = BackendSlowToStart(Place())
    backend.before.set()
    engine = make_engine(backend)
    launch = await engine.start(await engine.claim())
    engine.place.answering.add("work")
    if has_reported:
        # Not before it is known where it runs; the session reports again until it is taken.
        with pytest.raises(RequestError) as refused:
            await engine.report(launch.id)
        assert refused.value.problem.status == 503
    after = await next_life(make_engine, engine)
    await after.report(launch.id)
    assert after.get(launch.id).state is LaunchState.RUNNING
    assert after.place.submitted == [launch.id]


async def test_a_running_session_goes_on_and_is_charged_once(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    engine.place.later(minutes=1)
    after = await next_life(make_engine, engine)
    assert after.get(launch.id).state is LaunchState.RUNNING
    after.place.later(minutes=1)
    await after.stop(launch)
    assert after.charged() == 240


async def test_a_session_that_reported_to_the_last_life_is_confirmed_by_the_next(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()
    launch = await engine.start(await engine.claim())
    await engine.report(launch.id)
    after = await next_life(make_engine, engine)
    after.place.answering.add("work")
    assert (await after.launches.wait(launch.id, 5)).state is LaunchState.RUNNING


async def test_a_stop_that_was_asked_of_the_last_life_is_carried_out_by_the_next(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(BackendUnknown(Place()))
    launch = await engine.run()
    await engine.stop(launch)
    after = await next_life(make_engine, engine)
    assert after.get(launch.id).state is LaunchState.ENDED
    assert not after.place.running()


async def test_a_session_that_ended_between_two_lives_is_settled(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    engine.place.later(minutes=5)
    engine.place.end(launch.id)
    after = await next_life(make_engine, engine)
    await after.watcher.look()
    assert after.get(launch.id).end_reason == "exited"
    assert after.charged() == 600


async def test_what_runs_without_a_live_row_is_ended(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    orphan = engine.place.sessions[launch.id]
    await engine.stop(launch)
    engine.place.sessions[launch.id] = orphan
    orphan.ended_at = None
    await engine.reconciler.reconcile()
    assert not engine.place.sessions


async def test_what_has_no_row_here_is_another_site_s_and_left_alone(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    engine.place.sessions["f" * 16] = engine.place.sessions[launch.id]
    await engine.reconciler.reconcile()
    assert set(engine.place.sessions) == {launch.id, "f" * 16}


@pytest.mark.parametrize(("user", "foreign"), [("alice", False), (None, False), ("mallory", True)])
async def test_a_mark_on_somebody_else_s_job_is_no_session(
    make_engine: MakeEngine, user: str | None, foreign: bool
) -> None:
    launch = await make_engine().run()
    handle = {} if user is None else {"user": launch.launch_plan().account.name if user == "alice" else user}
    assert is_foreign(launch, handle) is foreign


async def test_a_forged_mark_does_not_hide_that_a_launch_was_never_submitted(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(BackendSlowToStart(Place()))
    launch = await engine.start(await engine.claim())
    forging = FakeBackend(engine.place)

    async def find() -> dict[str, dict[str, str]]:
        return {launch.id: {"user": "mallory"}}

    monkeypatch.setattr(forging, "find", find)
    after = await next_life(make_engine, engine, forging)
    told = after.get(launch.id)
    assert (told.state, told.handle, told.report_hash) == (LaunchState.HELD, None, None)


async def test_a_hold_without_a_live_launch_is_released(engine: Engine) -> None:
    launch = await engine.run()
    (line, _) = engine.held(launch.id)
    person = engine.person()
    from hub.launch.ledgering import holder_of
    from hub.launch.news import utcnow

    lines = [HoldLine(line.account, line.resource, 100)]
    engine.db.run_now(
        lambda s: engine.books.ledger.hold(s, "e" * 16, lines, holder=holder_of(person), now=utcnow())
    )
    await engine.reconciler.reconcile()
    assert not engine.held("e" * 16)
    assert engine.held(launch.id)


async def test_a_launch_that_the_hub_never_came_for_is_refused(engine: Engine) -> None:
    launch, _ = await engine.launches.register(engine.person(), LaunchRequest(), origin="api")
    engine.age(launch)
    await engine.reconciler.reconcile()
    refused = engine.get(launch.id)
    assert refused.state is LaunchState.REFUSED
    assert refused.problem is not None
    assert refused.problem["code"] == "hub_unavailable"


async def test_a_plan_that_nobody_starts_is_given_up_after_its_time_only(engine: Engine) -> None:
    launch = await engine.claim()
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.PLANNED
    engine.age(launch)
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).end_reason == "not_handed_over"


async def test_a_hold_that_nobody_submits_is_given_up(make_engine: MakeEngine) -> None:
    engine = make_engine(BackendSlowToStart(Place()))
    launch = await engine.start(await engine.claim())
    after = await next_life(make_engine, engine)
    after.age(launch)
    await after.reconciler.reconcile()
    assert after.get(launch.id).end_reason == "not_handed_over"
    assert not after.held()


async def test_a_submit_that_ends_while_the_backend_is_asked_is_not_taken_for_missing(
    make_engine: MakeEngine,
) -> None:
    backend = BackendSlowToStart(Place())
    engine = make_engine(backend)
    launch = await engine.start(await engine.claim())
    engine.age(launch)

    async def find_late() -> dict[str, object]:
        backend.before.set()
        backend.after.set()
        await engine.settle_down()
        return {}  # asked before the submit, answered after it

    backend.find = find_late  # type: ignore[assignment, method-assign]
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.SUBMITTED
    assert engine.get(launch.id).report_hash is not None


async def test_a_place_that_does_not_answer_ends_nothing_and_keeps_no_other_from_its_turn(
    make_engine: MakeEngine,
) -> None:
    backend = BackendUnknown(Place())
    engine = make_engine(backend)
    launch = await engine.run()
    engine.age(launch)
    over = await engine.claim("other")
    engine.age(over)
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.RUNNING
    assert engine.get(over.id).state is LaunchState.ENDED


async def test_a_session_that_the_hub_let_go_of_while_no_engine_ran_is_ended(make_engine: MakeEngine) -> None:
    engine = make_engine()
    kept, let_go = await engine.run("kept"), await engine.run("gone")
    engine.hub.active = frozenset({"kept"})
    after = await next_life(make_engine, engine)
    assert after.get(kept.id).state is LaunchState.RUNNING
    assert after.get(let_go.id).state is LaunchState.ENDED


async def test_a_hub_that_does_not_answer_after_a_restart_ends_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    after = await next_life(make_engine, engine)
    await after.reconciler.reconcile()
    assert after.get(launch.id).state is LaunchState.RUNNING


async def test_the_hub_is_asked_about_a_session_once(make_engine: MakeEngine) -> None:
    engine = make_engine()
    launch = await engine.run()
    engine.hub.active = frozenset({"work"})
    after = await next_life(make_engine, engine)
    after.hub.active = frozenset()
    await after.reconciler.reconcile()
    assert after.get(launch.id).state is LaunchState.RUNNING


async def test_deadlines_are_set_again_at_start_and_after_no_answer(make_engine: MakeEngine) -> None:
    backend = BackendRefusesDeadlines(Place())
    backend.is_refusing = False
    engine = make_engine(backend)
    launch = await engine.run()
    backend.is_refusing = True
    extended = await engine.launches.extend(engine.person(), launch, 600, key=None)
    assert engine.place.sessions[launch.id].deadline is None
    backend.is_refusing = False
    await engine.reconciler.reconcile()
    assert engine.place.sessions[launch.id].deadline == extended.deadline
    engine.place.sessions[launch.id].deadline = None
    after = await next_life(make_engine, engine)
    assert after.place.sessions[launch.id].deadline == extended.deadline


async def test_servers_of_launches_that_are_over_are_removed_until_they_are(engine: Engine) -> None:
    engine.hub.removal = HubAnswer.UNKNOWN
    ended = await engine.stop(await engine.run())
    engine.age(ended)
    engine.hub.removed.clear()
    await engine.hand_over.sweep()
    engine.hub.removal = HubAnswer.DONE
    await engine.hand_over.sweep()
    await engine.hand_over.sweep()
    assert engine.hub.removed == [("work", True), ("work", True)]


async def test_a_sweep_leaves_a_server_alone_whose_name_lives_on(engine: Engine) -> None:
    ended = await engine.stop(await engine.run())
    engine.age(ended)
    engine.hub.removed.clear()
    engine.db.run_now(lambda s: _unclean(s, ended.id))
    await engine.claim()
    await engine.hand_over.sweep()
    assert engine.hub.removed == []
    assert engine.get(ended.id).hub_cleaned


async def test_a_launch_of_a_place_that_is_no_longer_offered_is_given_up(engine: Engine) -> None:
    planned = await engine.claim()
    engine.backends.clear()
    launch = await engine.start(planned)
    assert (launch.state, launch.end_reason) == (LaunchState.ENDED, "start_failed")
    assert not engine.held()


async def test_a_fault_of_one_part_does_not_keep_others_from_theirs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = await engine.claim()
    engine.age(launch)

    async def fault() -> dict[str, object]:
        raise RuntimeError("a fault of the backend")

    monkeypatch.setattr(engine.backend, "find", fault)
    await engine.reconciler.reconcile()
    assert engine.get(launch.id).state is LaunchState.ENDED


async def test_a_second_service_on_one_database_is_refused(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from types import SimpleNamespace

    from hub.service import _only_one

    path = tmp_path_factory.mktemp("db") / "panhub.sqlite"
    settings = SimpleNamespace(database=SimpleNamespace(url=sqlite_url(path)))
    with _only_one(settings), pytest.raises(ConfigError, match="another service"), _only_one(settings):  # type: ignore[arg-type]  # it reads the URL alone
        pass
    with _only_one(settings):  # type: ignore[arg-type]
        pass


def _unclean(session: object, launch_id: str) -> None:
    from hub.launch import store
    from hub.launch.states import OVER

    store.change(session, launch_id, only_in=OVER, hub_cleaned=False)  # type: ignore[arg-type]
