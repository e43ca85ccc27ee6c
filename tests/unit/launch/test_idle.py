"""Sessions that nobody uses: warned first, ended with their own reason, never on a guess."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from hub.launch.idle import IdleEnds, IdleRule
from hub.launch.states import LaunchState
from hub.settings import SessionSettings
from tests.support.backends import FakeBackend, Place
from tests.support.engines import Engine

MakeEngine = Callable[..., Engine]

MINUTE = timedelta(minutes=1)
RULE = IdleRule(end_after=60 * MINUTE, warn=20 * MINUTE)
"""Servers report every 5 minutes, so an end comes 7.5 minutes after what was said."""


class Used:
    """What the hub knows of the last use of servers."""

    def __init__(self) -> None:
        self.servers: dict[tuple[str, str], datetime] | None = {}

    async def last_activities(self) -> dict[tuple[str, str], datetime] | None:
        """The same for all who ask."""
        return self.servers


class Clock:
    """An engine, what its hub knows, and looks at minutes after the session began to run."""

    def __init__(self, engine: Engine, rule: IdleRule | None = RULE, hub: Used | None = None) -> None:
        self.engine = engine
        self.hub = hub or Used()
        self.idle = IdleEnds(db=engine.db, runner=engine.runner, hub=self.hub, rule=rule)
        self.start = datetime.now(UTC)

    def used(self, minute: float, name: str = "work") -> None:
        """The hub hears that a server was used then."""
        assert self.hub.servers is not None
        self.hub.servers["ada", name] = self.start + minute * MINUTE

    async def look(self, *minutes: float) -> None:
        """Look once at each minute."""
        for minute in minutes:
            await self.idle.look(self.start + minute * MINUTE)
            await self.engine.settle_down()


@pytest.fixture
def clock(make_engine: MakeEngine) -> Clock:
    """A clock beside an engine whose place is at the present."""
    return Clock(make_engine(FakeBackend(Place(now=datetime.now(UTC)))))


async def test_a_session_that_nobody_uses_is_warned_and_then_ended(clock: Clock) -> None:
    launch = await clock.engine.run()
    clock.used(0)
    await clock.look(0, 39)
    assert clock.idle.ends_at(launch.id) is None
    await clock.look(41)
    ends_at = clock.idle.ends_at(launch.id)
    assert ends_at is not None
    assert abs(ends_at - clock.start - 61 * MINUTE) < 2 * MINUTE, "20 minutes from the warning"
    await clock.look(61, 66)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING, "a use may not have been told yet"
    await clock.look(70)
    ended = clock.engine.get(launch.id)
    assert (ended.state, ended.end_reason) == (LaunchState.ENDED, "idle")
    assert ended.end_message.startswith("Nobody used the session")
    assert clock.engine.steps(launch.id).count("idle") == 1, "said once"
    await clock.look(71)
    assert clock.idle.ends_at(launch.id) is None


async def test_use_cancels_the_warning_until_there_is_none_again(clock: Clock) -> None:
    launch = await clock.engine.run()
    clock.used(0)
    await clock.look(0, 45)
    clock.used(60)
    await clock.look(65)
    assert clock.idle.ends_at(launch.id) is None
    assert clock.engine.steps(launch.id).count("idle") == 2, "warned, and taken back"
    await clock.look(80, 99)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING
    await clock.look(101, 130)
    assert clock.engine.get(launch.id).end_reason == "idle"


async def test_one_in_use_goes_on_beside_one_that_is_not(clock: Clock) -> None:
    idle, busy = await clock.engine.run("work"), await clock.engine.run("other")
    for minute in range(0, 80, 5):
        clock.used(0)
        clock.used(minute, "other")
        await clock.look(minute)
    assert clock.engine.get(idle.id).end_reason == "idle"
    assert clock.engine.get(busy.id).state is LaunchState.RUNNING


async def test_what_is_not_known_ends_nothing(clock: Clock) -> None:
    launch = await clock.engine.run()
    clock.used(0)
    await clock.look(0, 50)
    known, clock.hub.servers = clock.hub.servers, None
    await clock.look(60, 80, 100)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING, "the hub does not answer"
    clock.hub.servers = known
    await clock.look(101, 108)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING, "servers have not reported yet"
    clock.used(105)
    await clock.look(110, 150)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING
    clock.hub.servers = {}
    await clock.look(300)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING, "the hub does not list it"


async def test_nobody_is_ended_whom_a_restart_kept_from_being_warned(clock: Clock) -> None:
    launch = await clock.engine.run()
    clock.used(0)
    await clock.look(0, 50)
    after = Clock(clock.engine, hub=clock.hub)
    after.start = clock.start
    await after.look(90, 109)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING
    await after.look(118)
    assert clock.engine.get(launch.id).end_reason == "idle"


async def test_a_server_of_the_same_name_that_ran_before_says_nothing(clock: Clock) -> None:
    launch = await clock.engine.run()
    clock.used(-500)
    await clock.look(0, 10, 30)
    assert clock.idle.ends_at(launch.id) is None


async def test_what_does_not_run_yet_is_left_alone(clock: Clock) -> None:
    launch = await clock.engine.start(await clock.engine.claim())
    clock.used(-500)
    await clock.look(0, 100, 200)
    assert clock.engine.get(launch.id).state is LaunchState.SUBMITTED


async def test_without_a_rule_nothing_ends(make_engine: MakeEngine) -> None:
    clock = Clock(make_engine(FakeBackend(Place(now=datetime.now(UTC)))), rule=None)
    launch = await clock.engine.run()
    clock.used(0)
    await clock.look(0, 1000, 2000)
    assert clock.engine.get(launch.id).state is LaunchState.RUNNING


def test_sessions_are_told_to_report_several_times_within_a_warning() -> None:
    told = IdleRule(timedelta(seconds=40), timedelta(seconds=20)).environment
    assert told["JUPYTERHUB_ACTIVITY_INTERVAL"] == "5"
    assert RULE.environment["JUPYTERHUB_ACTIVITY_INTERVAL"] == "300"


def test_a_warning_longer_than_half_the_time_is_no_setting() -> None:
    SessionSettings(idle_end_s=1200)
    with pytest.raises(ValidationError, match="half"):
        SessionSettings(idle_end_s=1100)
