"""At which place a launch runs: the one asked for, or the one that starts first of those that take it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from hub.launch import placement
from hub.launch.placement import Placement, find_place, with_forecast
from hub.problems import RequestError
from profiles.choose import Choice, OfferedPlace
from spawners.backend import BackendError, BackendUnavailableError, Forecast, NotAdmittedError
from spawners.plan import (
    DEFAULT_SCHEDULING,
    Account,
    Interface,
    LaunchId,
    LaunchPlan,
    Scheduling,
)
from tests.support.backends import BackendWithQueue, FakeBackend, Place
from tests.support.engines import ENVIRONMENT, SIZE

FULL = NotAdmittedError("place_limit", "Nodes have 32 CPU at most.", "Take fewer.")
UNKNOWN = Forecast(None)


def at(minutes: float) -> Forecast:
    """A start in some minutes from now."""
    return Forecast(datetime.now(UTC) + timedelta(minutes=minutes), "scheduler")


def backend(
    expected: Forecast = UNKNOWN, refusal: BackendError | None = None, slow_s: float = 0.0
) -> BackendWithQueue:
    """A scheduler that answers so."""
    made = BackendWithQueue(Place())
    made.expected, made.refusal, made.forecast_s = expected, refusal, slow_s
    return made


def choice(*places: str, is_soonest: bool = True, scheduling: Scheduling = DEFAULT_SCHEDULING) -> Choice:
    """What profiles leave open."""
    return Choice(
        profile="lab",
        profile_title="Lab",
        environment=ENVIRONMENT,
        size=SIZE,
        places=tuple(OfferedPlace(id=name, title=name.upper()) for name in places),
        is_soonest=is_soonest,
        scheduling=scheduling,
        interface=Interface.LAB,
        walltime=timedelta(hours=2),
        walltime_max=timedelta(hours=8),
    )


def plan(scheduling: Scheduling = DEFAULT_SCHEDULING) -> LaunchPlan:
    """A plan without a place."""
    return LaunchPlan(
        launch_id=LaunchId("0" * 16),
        username="ada",
        server_name="work",
        interface=Interface.LAB,
        account=Account("ada", 2000, 2000, PurePosixPath("/home/ada")),
        environment=ENVIRONMENT,
        size=SIZE,
        place="",
        walltime=timedelta(hours=2),
        scheduling=scheduling,
    )


async def found(backends: dict[str, BackendWithQueue]) -> Placement:
    """The answer for all places of some backends."""
    return await find_place(dict(backends), choice(*backends), plan())


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (20, 5, "b"),
        (5, 20, "a"),
        (5, 5, "a"),
        (None, 60 * 24, "b"),
        (60 * 24, None, "a"),
        (None, None, "a"),
        (0.4, 0, "a"),
        (-1, -2, "a"),
    ],
    ids=str,
)
async def test_the_soonest_is_taken_and_of_equals_the_profiles_first(
    first: float | None, second: float | None, taken: str
) -> None:
    forecasts = [UNKNOWN if minutes is None else at(minutes) for minutes in (first, second)]
    answer = await found({"a": backend(forecasts[0]), "b": backend(forecasts[1])})
    assert answer.place.id == taken
    [other] = answer.alternatives
    assert other.place.id == ("b" if taken == "a" else "a")
    assert other.expected_start == forecasts[taken == "a"].starts_at


async def test_a_place_that_does_not_take_it_is_left_out_and_says_why() -> None:
    refusing, taking = backend(at(0), FULL), backend(at(30))
    answer = await found({"a": refusing, "b": taking})
    assert answer.place.id == "b"
    assert [one.why_not for one in answer.alternatives] == ["Nodes have 32 CPU at most."]
    assert [one.place for one in taking.admitted] == ["b"], "asked for the plan as it would run there"


@pytest.mark.parametrize(
    ("refusal", "code", "status"),
    [
        (FULL, "place_limit", 400),
        (NotAdmittedError("place_not_allowed", "Not for you.", "Ask."), "place_not_allowed", 403),
        (NotAdmittedError("qos_unknown", "No QOS x.", "Take y."), "qos_unknown", 400),
        (BackendUnavailableError("no answer"), "backend_unavailable", 503),
    ],
)
async def test_where_all_refuse_the_first_refusal_is_told(
    refusal: BackendError, code: str, status: int
) -> None:
    with pytest.raises(RequestError) as caught:
        await found({"a": backend(refusal=refusal), "b": backend(refusal=FULL)})
    problem = caught.value.problem
    assert (problem.code, problem.status) == (code, status)
    if isinstance(refusal, NotAdmittedError):
        assert (problem.detail, problem.hint) == (str(refusal), refusal.hint)


async def test_a_place_without_a_backend_does_not_answer() -> None:
    with pytest.raises(RequestError) as caught:
        await find_place({}, choice("a", is_soonest=False), plan())
    assert caught.value.problem.code == "backend_unavailable"
    assert (await find_place({"b": backend()}, choice("a", "b"), plan())).place.id == "b"


async def test_forecasts_are_asked_all_at_once_and_not_waited_for_beyond_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(placement, "FORECAST_S", 0.2)
    backends = {name: backend(at(1), slow_s=0.1) for name in "abc"} | {"d": backend(at(0), slow_s=60)}
    began = time.monotonic()
    answer = await found(backends)
    assert time.monotonic() - began < 2
    assert answer.place.id == "a"
    assert answer.alternatives[-1].expected_start is None, "it did not answer in time"


async def test_a_forecast_with_a_fault_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = backend()

    async def forecast(_: object) -> Forecast:
        raise RuntimeError("a fault")

    monkeypatch.setattr(broken, "forecast", forecast)
    assert (await found({"a": broken, "b": backend(at(600))})).place.id == "b"


async def test_a_single_place_is_not_asked_when_until_somebody_wants_to_know() -> None:
    later = at(20)
    answer = await find_place({"a": backend(later)}, choice("a", is_soonest=False), plan())
    assert (answer.forecast, answer.alternatives) == (None, ())
    assert (await with_forecast(answer, plan())).forecast == later


async def test_a_place_without_a_scheduler_refuses_what_belongs_to_one() -> None:
    told = Scheduling(qos="long")
    with pytest.raises(RequestError) as caught:
        await find_place({"a": FakeBackend(Place())}, choice("a", scheduling=told), plan(told))
    assert caught.value.problem.code == "place_not_allowed"
