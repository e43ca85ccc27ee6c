"""An engine on a database of its own and a fake backend, without hub, catalogue or web server.

The launch path is the real one; only who answers its questions is not: `FixedPlanner` grants every
request alike, `FakeHub` takes every start and comes for it when the test says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy.orm import Session

from hub.database import ALL_METADATA, Database, sqlite_url
from hub.identity.models import Person, StaffRole
from hub.identity.persons import PersonRow
from hub.launch import store
from hub.launch.feed import Feed
from hub.launch.handover import HandOver
from hub.launch.hubclient import HubAnswer, HubReply
from hub.launch.ledgering import Books, hold_lines
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.planner import Prepared
from hub.launch.reconciler import Reconciler
from hub.launch.runner import Runner
from hub.launch.schema import LaunchRow
from hub.launch.service import LaunchService
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Launch
from hub.launch.summary import Named, Summary
from hub.launch.watcher import Watcher
from hub.problems import RequestError
from quota.ledger import Ledger
from quota.models import AccountKind, AccountRef, HoldLine
from quota.policy import Policy, QuotaSettings
from spawners.backend import Backend
from spawners.plan import Account, Environment, Interface, LaunchId, LaunchPlan, Size
from tests.support.backends import FakeBackend

CPU_HOURS = 100
SESSIONS = 4
WALLTIME_MAX = timedelta(hours=8)
GRACE = timedelta(seconds=60)
SIZE = Size("small", "Small", cpus=2, memory_mib=2048)
ENVIRONMENT = Environment("core", "Core", PurePosixPath("/opt/core"), "0" * 64)


class FixedPlanner:
    """Grants every request: one size, no data; ``refuse`` makes it refuse."""

    def __init__(self) -> None:
        self.refuse: RequestError | None = None
        self.on_the_way: Callable[[], Any] | None = None

    async def prepare(
        self, person: Person, request: LaunchRequest, *, launch_id: LaunchId, server_name: str
    ) -> Prepared:
        """As `hub.launch.planner.Planner.prepare`."""
        if self.on_the_way is not None:
            await self.on_the_way()
        if self.refuse is not None:
            raise self.refuse
        walltime = timedelta(seconds=request.walltime_s or 7200)
        account = Account(person.username, 2000, 2000, PurePosixPath("/home") / person.username)
        plan = LaunchPlan(
            launch_id=launch_id,
            username=person.username,
            server_name=server_name,
            interface=Interface.LAB,
            account=account,
            environment=ENVIRONMENT,
            size=SIZE,
            place="fake",
            walltime=walltime,
        )
        payer = AccountRef(AccountKind.PERSON, person.username)
        holds = hold_lines(payer, person.username, SIZE, walltime)
        return Prepared(plan, holds, _summary(plan), None, "A session", WALLTIME_MAX)

    async def check_extension(self, person: Person, launch: Launch, seconds: int) -> timedelta:
        """As `hub.launch.planner.Planner.check_extension`."""
        if self.refuse is not None:
            raise self.refuse
        return WALLTIME_MAX


class FakeHub:
    """The hub's side of the hand-over: says ``answer`` to every start, lists ``active`` servers."""

    def __init__(self) -> None:
        self.answer = HubAnswer.DONE
        self.started: list[str] = []
        self.removed: list[tuple[str, bool]] = []
        self.removal = HubAnswer.DONE
        self.active: frozenset[str] | None = None

    async def start_server(
        self, username: str, server_name: str, display_name: str, options: Any
    ) -> HubReply:
        """Take the start."""
        self.started.append(server_name)
        return HubReply(self.answer, {"done": 201, "refused": 409, "unknown": 503}[self.answer.value])

    async def active_servers(self, username: str) -> frozenset[str] | None:
        """What runs, by the hub's list."""
        return self.active

    async def remove_server(self, username: str, server_name: str, *, only_idle: bool = False) -> HubReply:
        """Forget it."""
        self.removed.append((server_name, only_idle))
        return HubReply(self.removal, 204 if self.removal is HubAnswer.DONE else 409)


class Engine:
    """One life of the engine; a second one on the same folder and place is its next."""

    def __init__(self, folder: Path, backend: FakeBackend, hub: FakeHub | None = None, **rules: Any) -> None:
        self.db = Database(sqlite_url(folder / "panhub.sqlite"))
        for metadata in ALL_METADATA:
            metadata.create_all(self.db.engine)
        # On a busy machine the start of the database's thread may take long; a service has it early.
        self.db._threads.submit(lambda: None).result()
        self.backend, self.place = backend, backend.place
        self.hub = hub or FakeHub()
        self.planner = FixedPlanner()
        roles = [
            {"group": "users", "resource": "cpu_hours", "limit": rules.get("cpu_hours", CPU_HOURS)},
            {"group": "users", "resource": "sessions", "limit": rules.get("sessions", SESSIONS)},
        ]
        policy = Policy(QuotaSettings.model_validate({"enforcement": "enforced", "roles": roles}))
        self.books = Books(Ledger(policy))
        self.feed = Feed()
        self.backends: dict[str, Backend] = {"fake": backend}
        self.runner = Runner(
            db=self.db,
            books=self.books,
            feed=self.feed,
            backends=self.backends,
            report_base_url="http://engine",
            answers=self._answers,
        )
        self.hand_over = HandOver(self.db, self.hub, self.feed, grace=GRACE, ask_again_s=0)  # type: ignore[arg-type]  # the same three calls
        self.launches = LaunchService(
            db=self.db,
            planner=self.planner,  # type: ignore[arg-type]  # the same one call
            books=self.books,
            runner=self.runner,
            feed=self.feed,
            hand_over=self.hand_over,
            extend_step=timedelta(hours=1),
        )
        self.watcher = Watcher(db=self.db, runner=self.runner, start_timeout=timedelta(seconds=60))
        self.reconciler = Reconciler(
            db=self.db, books=self.books, runner=self.runner, hand_over=self.hand_over, grace=GRACE
        )

    async def _answers(self, url: str) -> bool:
        return url.split("/")[-2] in self.place.answering

    async def kill(self) -> None:
        """End this life at once: whatever was under way stops where it is."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.db.close()

    async def settle_down(self) -> None:
        """Let all that was begun come to where it waits for nothing but the outside."""
        for _ in range(40):
            # The database has one thread: an empty unit of work comes back after all before it.
            await self.db.run(lambda _session: None)
            await asyncio.sleep(0)

    # --- what a person, the hub and a session do -------------------------------------------------

    def person(self, username: str = "ada") -> Person:
        """A person who has signed in."""
        now = utcnow()

        def add(session: Session) -> int:
            row = session.query(PersonRow).filter_by(username=username).one_or_none()
            if row is None:
                row = PersonRow(
                    issuer="https://idp", subject=username, username=username, display_name=username,
                    groups=["users"], roles=[], posix={}, first_seen=now, last_seen=now,
                )  # fmt: skip
                session.add(row)
                session.flush()
            return row.id

        number = self.db.run_now(add)
        roles: frozenset[StaffRole] = frozenset()
        return Person(
            number, "https://idp", username, username, username, groups=frozenset({"users"}), roles=roles
        )

    async def claim(self, name: str = "work", username: str = "ada", **request: Any) -> Launch:
        """The hub asks for a plan, as for plain hub REST."""
        return await self.launches.claim(self.person(username), name, request)

    async def start(self, launch: Launch) -> Launch:
        """The hub asks for the start of a planned launch, and it is submitted."""
        await self.launches.start(launch.id, {"TOKEN": "of the session"})
        await self.settle_down()
        return self.get(launch.id)

    async def report(self, launch_id: str, port: int = 45000) -> Launch:
        """The session tells its port."""
        await self.launches.report(launch_id, self.place.sessions[launch_id].secret, port)
        await self.settle_down()
        return self.get(launch_id)

    async def run(self, name: str = "work", username: str = "ada", **request: Any) -> Launch:
        """A session that runs."""
        launch = await self.start(await self.claim(name, username, **request))
        self.place.answering.add(name)
        return await self.report(launch.id)

    async def stop(self, launch: Launch, reason: EndReason = EndReason.STOPPED_BY_USER) -> Launch:
        """A person stops it."""
        await self.launches.stop(launch, reason=reason, by=launch.username)
        await self.settle_down()
        return self.get(launch.id)

    # --- what there is ----------------------------------------------------------------------------

    def get(self, launch_id: str) -> Launch:
        """A launch as stored."""
        found = self.db.run_now(lambda s: store.get(s, launch_id))
        assert found is not None
        return found

    def all(self) -> list[Launch]:
        """Every launch there ever was, the oldest first."""
        return self.db.run_now(lambda s: store.in_states(s, set(LaunchState)))

    def steps(self, launch_id: str) -> list[str]:
        """Steps of its progress."""
        return [event.step for event in self.db.run_now(lambda s: store.events_after(s, launch_id, 0))]

    def held(self, launch_id: str | None = None) -> list[HoldLine]:
        """What is held now."""
        open_holds = self.db.run_now(self.books.ledger.open_holds)
        return [line for one in open_holds if launch_id in (None, one.launch_id) for line in one.lines]

    def charged(self, username: str = "ada") -> int:
        """CPU-seconds charged to a person."""
        account = AccountRef(AccountKind.PERSON, username)
        meters = self.db.run_now(lambda s: self.books.ledger.meters(s, [account], now=utcnow()))
        return next((m.used for m in meters if m.resource.value == "cpu_seconds"), 0)

    def age(self, launch: Launch, by: timedelta = 2 * GRACE) -> None:
        """Let a launch be older than it is."""

        def change(session: Session) -> None:
            row = session.get(LaunchRow, launch.id)
            assert row is not None
            for name in ("created_at", "planned_at", "held_at", "ended_at"):
                value = getattr(row, name)
                if value is not None:
                    setattr(row, name, value - by)

        self.db.run_now(change)

    def assert_books_are_right(self) -> None:
        """Balances are the sums of their entries, and only what lives holds anything."""
        assert self.db.run_now(self.books.ledger.audit) == []
        live = {launch.id for launch in self.all() if launch.is_live}
        assert {one.launch_id for one in self.db.run_now(self.books.ledger.open_holds)} <= live


def _summary(plan: LaunchPlan) -> Summary:
    return Summary(
        interface=Named(id="lab", title="JupyterLab"),
        profile=Named(id="lab", title="JupyterLab"),
        environment=Named(id=plan.environment.id, title=plan.environment.title),
        place=Named(id=plan.place, title="Fake"),
        size=Named(id=plan.size.id, title=plan.size.title),
        cpus=plan.size.cpus,
        memory_mib=plan.size.memory_mib,
        gpus=plan.size.gpus,
        walltime_s=int(plan.walltime.total_seconds()),
        max_walltime_s=int(WALLTIME_MAX.total_seconds()),
        template=None,
        data=(),
        mounts=(),
        holds=(),
        payer=Named(id="person", title=plan.username),
        workdir=".",
    )
