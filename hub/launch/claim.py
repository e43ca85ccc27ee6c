"""The way in of the hub: it comes for a launch's plan, then for its start.

Plain hub REST comes here alone, so a launch that nobody registered begins here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.planner import Planner
from hub.launch.refusing import Refusing, common_columns, ended_problem, new_launch_id, parse_request
from hub.launch.runner import Runner
from hub.launch.states import BEFORE_HOLD, EndReason, LaunchState, Target
from hub.launch.store import Launch
from hub.problems import RequestError


class Claiming:
    """Plans, holds and submits what the hub starts."""

    def __init__(
        self, *, db: Database, planner: Planner, books: Books, refusing: Refusing, runner: Runner
    ) -> None:
        self._db = db
        self._planner = planner
        self._books = books
        self._refusing = refusing
        self._runner = runner

    async def claim(self, person: Person | None, server_name: str, options: object) -> Launch:
        """Plan what the hub is about to start; whatever way it came there.

        Called from the spawner's ``apply_user_options``, so a refusal here is the 4xx of the
        hub's own REST API too.
        """
        if person is None or person.is_blocked:
            raise refusals.login_required()
        refusals.check_server_name(server_name)
        try:
            request = parse_request(options)
        except RequestError as error:
            # Kept without what was asked for: it may be anything.
            columns = common_columns(person, new_launch_id(), server_name, LaunchRequest(), "hub")
            await self._refusing.keep(None, columns, error.problem)
            raise
        launch = await self._claimable(person, server_name, request)
        launch_id = launch.id if launch is not None else new_launch_id()
        columns = common_columns(person, launch_id, server_name, request, "hub")
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=launch_id, server_name=server_name
            )
            await self._refusing.over_quota(person, prepared)
        except RequestError as error:
            await self._refusing.keep(launch, columns, error.problem)
            raise
        planned: dict[str, Any] = {
            "plan": prepared.plan.to_json(),
            "holds": prepared.holds_json(),
            "summary": prepared.summary.model_dump(mode="json"),
            "proposal": prepared.proposal,
            "place": prepared.plan.place,
            "planned_at": utcnow(),
        }
        return await self._save_plan(launch, columns, planned, request.display_name or prepared.display_name)

    async def _save_plan(
        self, launch: Launch | None, columns: dict[str, Any], planned: dict[str, Any], display_name: str
    ) -> Launch:
        def save(session: Session) -> Launch | None:
            if launch is not None:
                moved = store.move(session, launch.id, LaunchState.PLANNED, **planned)
                # The hub asks for the same start once more: the newer plan takes the older's place.
                return moved or store.change(session, launch.id, only_in={LaunchState.PLANNED}, **planned)
            row = {**columns, **planned, "display_name": display_name}
            return store.insert(session, **row, state=LaunchState.PLANNED)

        try:
            saved = await self._db.run(save)
        except IntegrityError as error:
            raise refusals.session_exists(columns["server_name"]) from error
        if saved is None:
            raise refusals.launch_over()
        self._runner.tell(saved)
        return saved

    async def _claimable(self, person: Person, server_name: str, request: LaunchRequest) -> Launch | None:
        """The registered launch that the hub came for, or None for a start by plain hub REST."""
        known = await self._db.run(
            lambda s: (
                store.live_by_server(s, person.username, server_name)
                or store.latest_by_server(s, person.username, server_name)
            )
        )
        if known is None:
            return None
        if not known.is_live:
            if known.origin != "hub" and known.planned_at is None:
                # Cancelled while the hub was on its way here to start it: it must not start after all.
                raise refusals.launch_over()
            return None
        is_same = known.request == request.model_dump(mode="json")
        if known.state in BEFORE_HOLD and is_same:
            return known
        if known.state is LaunchState.PLANNED:
            # The hub gave up between plan and start, without telling; nothing was held or ran.
            ended = await self._runner.end_unstarted(
                known.id, EndReason.NOT_HANDED_OVER, only_from={LaunchState.PLANNED}
            )
            if ended:
                return None
        raise refusals.session_exists(server_name)

    async def start(self, launch_id: str, environment: Mapping[str, str]) -> Launch:
        """Hold quota and submit. A repeated call goes on with what the first began."""
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        if launch is None:
            raise refusals.launch_unknown()
        if launch.state is LaunchState.PLANNED:
            launch = await self._hold(launch)
        if launch.state is LaunchState.HELD and launch.handle is None and launch.target is Target.RUN:
            if launch.report_hash is None:
                self._runner.submit(launch, environment)
            # With a report hash a submit was begun by a service that died: the reconciler asks the
            # backend whether it took place before anything is started again.
        elif not launch.is_live:
            raise RequestError(ended_problem(launch))
        return launch

    async def _hold(self, launch: Launch) -> Launch:
        now = utcnow()

        def hold(session: Session) -> Launch | None:
            moved = store.move(session, launch.id, LaunchState.HELD, held_at=now)
            if moved is not None:
                self._books.hold(session, moved, now)
                store.add_event(session, launch.id, "held", "Quota held.", now)
            return moved

        try:
            held = await self._db.run(hold)
        except RequestError as error:
            await self._refusing.keep(launch, {}, error.problem)
            raise
        current = held or await self._db.run(lambda s: store.get(s, launch.id))
        assert current is not None, "a launch is never deleted"
        self._runner.tell(current)
        return current
