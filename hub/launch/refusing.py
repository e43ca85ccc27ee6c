"""What every way in does before it plans, and when it is refused.

A request is parsed here, closed; a refusal is kept with its launch, so that every page can show it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.ends import sentence
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.planner import Prepared
from hub.launch.runner import Runner
from hub.launch.states import EndReason, LaunchState
from hub.launch.store import Launch
from hub.problems import Problem, RequestError
from spawners.plan import LaunchId


class Refusing:
    """Refuses over quota, and keeps refusals."""

    def __init__(self, *, db: Database, books: Books, runner: Runner) -> None:
        self._db = db
        self._books = books
        self._runner = runner

    async def over_quota(self, person: Person, prepared: Prepared) -> None:
        """Refuse what the quota would not hold now; nothing is written."""
        now = utcnow()
        await self._db.run(lambda s: self._books.check(s, prepared.holds, person, now))

    async def new(self, person: Person, columns: dict[str, Any], problem: Problem) -> Launch:
        """Keep the refusal of a launch that our pages or API asked for, and raise it."""
        try:
            await self.keep(None, columns, problem)
        except IntegrityError:
            # The same key came twice at once: the other one's answer is the answer.
            key, digest = columns["idempotency_key"], columns["idempotency_hash"]
            known = await self._db.run(lambda s: store.by_idempotency_key(s, person.id, key or ""))
            if known is not None:
                return same_or_refuse(known, digest)
        raise RequestError(problem)

    async def keep(self, launch: Launch | None, columns: dict[str, Any], problem: Problem) -> None:
        """Keep a refusal with its launch, or with a new one of ``columns`` where there is none."""

        def refuse(session: Session) -> Launch | None:
            if launch is None:
                return _insert_refused(session, columns, problem)
            moved = store.move(
                session, launch.id, LaunchState.REFUSED, problem=problem.to_json(), ended_at=utcnow()
            )
            if moved is not None:
                store.add_event(session, launch.id, "refused", problem.detail, utcnow())
            return moved

        refused = await self._db.run(refuse)
        if refused is not None:
            self._runner.tell(refused)


def new_launch_id() -> LaunchId:
    """A fresh launch id: 64 random bits in 16 hexadecimal digits."""
    return LaunchId(secrets.token_hex(8))


def parse_request(options: object) -> LaunchRequest:
    """Validate what came from the network as a launch request.

    Raises
    ------
    RequestError
        ``invalid_request`` with the keys and causes, bounded in length, never echoing values.
    """
    try:
        return LaunchRequest.model_validate(options if options is not None else {})
    except ValidationError as error:
        raise refusals.invalid_request(error) from error


def ended_problem(launch: Launch) -> Problem:
    """Why a launch that is over does not run."""
    if launch.problem is not None:
        return Problem.from_json(launch.problem)
    reason = EndReason(launch.end_reason) if launch.end_reason else EndReason.START_FAILED
    return Problem(
        code=f"launch_{reason.value}",
        status=409 if reason is EndReason.CANCELLED else 500,
        title="The session did not start",
        detail=launch.end_message or sentence(reason),
        hint="Open your sessions to see its log, then start it again.",
    )


def common_columns(
    person: Person, launch_id: str, server_name: str, request: LaunchRequest, origin: str
) -> dict[str, Any]:
    """Columns that a launch has from its first moment on."""
    return {
        "id": launch_id,
        "person_id": person.id,
        "username": person.username,
        "server_name": server_name,
        "display_name": request.display_name or "",
        "origin": origin,
        "request": request.model_dump(mode="json"),
        "created_at": utcnow(),
    }


def _insert_refused(session: Session, columns: dict[str, Any], problem: Problem) -> Launch:
    now: datetime = columns["created_at"]
    launch = store.insert(
        session, **columns, state=LaunchState.REFUSED, problem=problem.to_json(), ended_at=now
    )
    store.add_event(session, launch.id, "refused", problem.detail, now)
    return launch


def digest_of(body: dict[str, Any]) -> str:
    """Digest of a request, by which a repeated key is compared."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def same_or_refuse(known: Launch, digest: str) -> Launch:
    """The launch that a repeated key made, as it answered then.

    Raises
    ------
    RequestError
        If it was made by another request, or refused.
    """
    if known.idempotency_hash != digest:
        raise refusals.idempotency_mismatch()
    if known.problem is not None:
        raise RequestError(Problem.from_json(known.problem))
    return known
