"""The way in of pages and API: say what would start, or register it and ask the hub to start it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import store
from hub.launch.handover import HandOver
from hub.launch.models import LaunchRequest
from hub.launch.planner import Planner
from hub.launch.refusing import Refusing, common_columns, digest_of, new_launch_id, same_or_refuse
from hub.launch.runner import Runner
from hub.launch.states import LaunchState
from hub.launch.store import Launch
from hub.launch.summary import Summary
from hub.problems import Problem, RequestError


class Registering:
    """Plans launches that people ask for, and hands them to the hub."""

    def __init__(
        self, *, db: Database, planner: Planner, refusing: Refusing, runner: Runner, hand_over: HandOver
    ) -> None:
        self._db = db
        self._planner = planner
        self._refusing = refusing
        self._runner = runner
        self._hand_over = hand_over

    async def dry_run(self, person: Person, request: LaunchRequest) -> Summary:
        """What would start, by the same code that starts it.

        Raises
        ------
        RequestError
            Exactly as the start would.
        """
        launch_id = new_launch_id()
        prepared = await self._planner.prepare(person, request, launch_id=launch_id, server_name="preview")
        await self._refusing.over_quota(person, prepared)
        return prepared.summary

    async def summarise(
        self, person: Person, request: LaunchRequest
    ) -> tuple[Summary | None, Problem | None]:
        """`dry_run` for a page: the summary even where quota refuses, and the refusal."""
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=new_launch_id(), server_name="preview"
            )
        except RequestError as error:
            return None, error.problem
        try:
            await self._refusing.over_quota(person, prepared)
        except RequestError as error:
            return prepared.summary, error.problem
        return prepared.summary, None

    async def register(
        self, person: Person, request: LaunchRequest, *, origin: str, idempotency_key: str | None = None
    ) -> tuple[Launch, bool]:
        """Plan a launch and ask the hub to start it. The second value: whether it is new.

        Raises
        ------
        RequestError
            If it is refused, or the key was used with another request (422).
        """
        body = request.model_dump(mode="json")
        digest = digest_of(body)
        if idempotency_key is not None:
            known = await self._db.run(lambda s: store.by_idempotency_key(s, person.id, idempotency_key))
            if known is not None:
                return same_or_refuse(known, digest), False
        launch_id = new_launch_id()
        server_name = f"s-{launch_id[:12]}"
        columns: dict[str, Any] = {
            **common_columns(person, launch_id, server_name, request, origin),
            "idempotency_key": idempotency_key,
            "idempotency_hash": digest if idempotency_key else None,
        }
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=launch_id, server_name=server_name
            )
            await self._refusing.over_quota(person, prepared)
        except RequestError as error:
            return await self._refusing.new(person, columns, error.problem), False
        columns |= {
            "summary": prepared.summary.model_dump(mode="json"),
            "proposal": prepared.proposal,
            "place": prepared.plan.place,
            "display_name": request.display_name or prepared.display_name,
        }

        def add(session: Session) -> Launch:
            launch = store.insert(session, **columns, state=LaunchState.REQUESTED)
            store.add_event(session, launch_id, "checked", "Access and quota checked.", launch.created_at)
            return launch

        try:
            launch = await self._db.run(add)
        except IntegrityError:
            # The same key came twice at once: the other one won.
            known = await self._db.run(
                lambda s: store.by_idempotency_key(s, person.id, idempotency_key or "")
            )
            if known is None:
                raise
            return same_or_refuse(known, digest), False
        self._runner.tell(launch)
        self._hand_over.begin(launch)
        return launch, True
