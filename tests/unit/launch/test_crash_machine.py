"""Whatever happens in whatever order, with a crash of the engine after any step of the database.

Hypothesis draws what people, the hub and sessions do, and where the engine dies: it is cut off
inside one of its units of work, before or after the commit. Then another life begins, and what must
hold always is looked at.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.orm import Session

from hub.launch.models import LaunchRequest
from hub.launch.states import LIVE, OVER, EndReason, LaunchState
from hub.launch.store import Launch
from hub.problems import RequestError
from spawners.backend import EndCause
from tests.support.backends import FakeBackend, Place
from tests.support.engines import Engine, FakeHub

T = TypeVar("T")

NAMES = st.sampled_from(["one", "two"])
UNITS = st.integers(min_value=0, max_value=8)
MANY_UNITS = st.integers(min_value=3, max_value=9)


class Mortal:
    """Counts an engine's units of work and kills it at a chosen one."""

    def __init__(self, engine: Engine) -> None:
        self.run_surely = engine.db.run
        self.left: int | None = None
        self.commits = True
        self.died = asyncio.Event()
        engine.db.run = self.run  # type: ignore[method-assign]

    async def run(self, unit: Callable[[Session], T]) -> T:
        """Run a unit, or die before or after it."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                if self.commits and not self.died.is_set():
                    await self.run_surely(unit)
                self.died.set()
                # A dead process does nothing more: whoever waits for this waits for ever.
                await asyncio.Event().wait()
        return await self.run_surely(unit)


class Crashes(RuleBasedStateMachine):
    """People, hub and sessions against an engine that dies."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="panhub-crashes-"))
        self.place = Place()
        self.hub = FakeHub()
        self.charges: dict[str, int] = {}

    @initialize()
    def first_life(self) -> None:
        """An engine."""
        self._begin_life()

    def _begin_life(self) -> None:
        self.engine = Engine(self.folder, FakeBackend(self.place), self.hub)
        self.mortal = Mortal(self.engine)

    def _do(self, work: Awaitable[Any], kill_at: int | None, commits: bool) -> None:
        """Do something; with ``kill_at`` the engine dies in that unit of work and lives again."""
        self.mortal.left, self.mortal.commits = kill_at, commits

        async def within() -> None:
            task = asyncio.ensure_future(work)
            died = asyncio.ensure_future(self.mortal.died.wait())
            await asyncio.wait({task, died}, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if task.done() and not isinstance(task.exception(), RequestError | None):
                task.result()
            await self._settle()

        self.loop.run_until_complete(within())
        if kill_at is not None:
            self.next_life()

    async def _settle(self) -> None:
        for _ in range(12):
            await self.mortal.run_surely(lambda _session: None)
            await asyncio.sleep(0)

    def next_life(self) -> None:
        """kill -9, and another engine on the same database and place."""

        async def turn() -> None:
            await self.engine.kill()

        self.loop.run_until_complete(turn())
        self._begin_life()
        self.loop.run_until_complete(self._at_start())

    async def _at_start(self) -> None:
        await self.engine.reconciler.at_start()
        await self._settle()

    def _latest(self, name: str) -> Launch | None:
        return next((x for x in reversed(self.engine.all()) if x.server_name == name), None)

    def _live(self, name: str) -> Launch | None:
        return next((x for x in self.engine.all() if x.server_name == name and x.is_live), None)

    # --- what happens ---------------------------------------------------------------------------

    @rule(kill_at=st.none() | UNITS, commits=st.booleans())
    def register(self, kill_at: int | None, commits: bool) -> None:
        """A person starts one by our pages; its name is the engine's own."""
        person = self.engine.person()
        self._do(self.engine.launches.register(person, LaunchRequest(), origin="api"), kill_at, commits)

    @rule(name=NAMES, kill_at=st.none() | MANY_UNITS, commits=st.booleans())
    def go(self, name: str, kill_at: int | None, commits: bool) -> None:
        """The whole way from nothing to a session that runs."""
        self._do(self.engine.run(name), kill_at, commits)

    @rule(name=NAMES, kill_at=st.none() | UNITS, commits=st.booleans())
    def claim(self, name: str, kill_at: int | None, commits: bool) -> None:
        """The hub asks for a plan."""
        self._do(self.engine.claim(name), kill_at, commits)

    @rule(name=NAMES, kill_at=st.none() | UNITS, commits=st.booleans())
    def start(self, name: str, kill_at: int | None, commits: bool) -> None:
        """The hub asks for the start, or asks again."""
        launch = self._latest(name)
        if launch is not None:
            self._do(self.engine.launches.start(launch.id, {}), kill_at, commits)

    @rule(name=NAMES, kill_at=st.none() | UNITS, commits=st.booleans())
    def report(self, name: str, kill_at: int | None, commits: bool) -> None:
        """The session tells its port and answers."""
        launch = self._latest(name)
        session = self.place.sessions.get(launch.id) if launch is not None else None
        if launch is not None and session is not None and session.ended_at is None:
            self.place.answering.add(name)
            self._do(self.engine.launches.report(launch.id, session.secret, 45000), kill_at, commits)

    @rule(name=NAMES, kill_at=st.none() | UNITS, commits=st.booleans())
    def stop(self, name: str, kill_at: int | None, commits: bool) -> None:
        """A person stops it."""
        launch = self._live(name)
        if launch is not None:
            call = self.engine.launches.stop(launch, reason=EndReason.STOPPED_BY_USER, by="ada")
            self._do(call, kill_at, commits)

    @rule(name=NAMES, minutes=st.integers(min_value=0, max_value=9))
    def exit(self, name: str, minutes: int) -> None:
        """The session ends by itself."""
        self.place.later(minutes=minutes)
        launch = self._latest(name)
        if launch is not None and launch.id in self.place.running():
            self.place.end(launch.id, EndCause.EXITED)

    @rule(kill_at=st.none() | UNITS, commits=st.booleans())
    def look(self, kill_at: int | None, commits: bool) -> None:
        """The watcher looks."""
        self._do(self.engine.watcher.look(), kill_at, commits)

    @rule(kill_at=st.none() | UNITS, commits=st.booleans())
    def reconcile(self, kill_at: int | None, commits: bool) -> None:
        """The reconciler looks."""
        self._do(self.engine.reconciler.reconcile(), kill_at, commits)

    @rule()
    def crash(self) -> None:
        """The engine dies while nothing is under way."""
        self.next_life()

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def a_server_name_has_one_live_launch(self) -> None:
        """At most."""
        live = [launch.server_name for launch in self.engine.all() if launch.is_live]
        assert len(live) == len(set(live))

    @invariant()
    def a_launch_is_submitted_once(self) -> None:
        """Each start carries an id of its own."""
        assert len(self.place.submitted) == len(set(self.place.submitted))

    @invariant()
    def balances_are_the_sums_of_their_entries(self) -> None:
        """The audit finds nothing, and what is over holds nothing."""
        engine = self.engine
        assert engine.db.run_now(engine.books.ledger.audit) == []
        over = {launch.id for launch in engine.all() if launch.state in OVER}
        assert not over & {one.launch_id for one in engine.db.run_now(engine.books.ledger.open_holds)}

    @invariant()
    def what_ran_is_charged_once(self) -> None:
        """The person's use is the sum of what their ended launches used."""
        used = [x.usage for x in self.engine.all() if x.usage is not None]
        assert self.engine.charged() == sum(one["elapsed_seconds"] * one["cpus"] for one in used)

    @invariant()
    def what_is_over_stays_as_it_was(self) -> None:
        """Charges never change afterwards."""
        for launch in self.engine.all():
            if launch.state in OVER and launch.usage is not None:
                seconds = launch.usage["elapsed_seconds"]
                assert self.charges.setdefault(launch.id, seconds) == seconds

    def teardown(self) -> None:
        """After a last reconciliation all parts agree."""
        try:
            if hasattr(self, "engine"):
                self.next_life()
                self.loop.run_until_complete(self._at_start())
                self.loop.run_until_complete(self.engine.watcher.look())
                live = {launch.id for launch in self.engine.all() if launch.state in LIVE}
                assert self.place.running() <= live
                self.balances_are_the_sums_of_their_entries()
                waiting = {LaunchState.HELD, LaunchState.ENDING}
                assert not [x for x in self.engine.all() if x.state in waiting and x.target == "stop"]
                self.loop.run_until_complete(self.engine.kill())
        finally:
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)


TestCrashes = pytest.mark.timeout(120)(Crashes.TestCase)
TestCrashes.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
