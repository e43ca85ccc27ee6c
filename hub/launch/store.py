"""The session table as functions over a database session: rows in, `Launch` out.

Every change of state is a compare-and-set (`move`): it says from which states it may come, so
of two who move the same launch one gets None and stops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hub.launch.schema import EventRow, LaunchRow
from hub.launch.states import LIVE, OVER, STEPS, LaunchState, Target
from spawners.plan import LaunchId, LaunchPlan


@dataclass(frozen=True, slots=True)
class Launch:
    """A row of the session table. Times are aware UTC; JSON members are as stored."""

    id: LaunchId
    person_id: int
    username: str
    server_name: str
    display_name: str
    origin: str
    request: dict[str, Any]
    summary: dict[str, Any] | None
    plan: dict[str, Any] | None
    holds: list[dict[str, Any]] | None
    proposal: str | None
    place: str | None
    state: LaunchState
    target: Target
    handle: dict[str, Any] | None
    report_hash: str | None
    url: str | None
    created_at: datetime
    planned_at: datetime | None
    held_at: datetime | None
    submitted_at: datetime | None
    running_at: datetime | None
    deadline: datetime | None
    ended_at: datetime | None
    stop_by: str | None
    end_reason: str | None
    end_message: str
    log_tail: list[str] | None
    usage: dict[str, Any] | None
    problem: dict[str, Any] | None
    is_dismissed: bool
    hub_cleaned: bool
    idempotency_key: str | None
    idempotency_hash: str | None

    @property
    def is_live(self) -> bool:
        """Whether it still occupies its server name."""
        return self.state in LIVE

    def launch_plan(self) -> LaunchPlan:
        """The stored plan."""
        assert self.plan is not None, "a launch has a plan once it is planned"
        return LaunchPlan.from_json(self.plan)


_COLUMNS = tuple(field.name for field in fields(Launch))


@dataclass(frozen=True, slots=True)
class Event:
    """One line of progress; ``seq`` counts from 1 within its launch."""

    launch_id: LaunchId
    seq: int
    at: datetime
    step: str
    message: str


def _launch(row: LaunchRow) -> Launch:
    return Launch(**{name: getattr(row, name) for name in _COLUMNS})


def insert(session: Session, **columns: Any) -> Launch:
    """Add a launch.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        If the server name has a live launch, or the idempotency key is taken.
    """
    row = LaunchRow(**columns)
    session.add(row)
    session.flush()
    return _launch(row)


def get(session: Session, launch_id: str) -> Launch | None:
    """One launch."""
    row = session.get(LaunchRow, launch_id)
    return None if row is None else _launch(row)


def live_by_server(session: Session, username: str, server_name: str) -> Launch | None:
    """The live launch of a server name, of which there is at most one."""
    row = session.scalar(
        select(LaunchRow).where(
            LaunchRow.username == username, LaunchRow.server_name == server_name, LaunchRow.state.in_(LIVE)
        )
    )
    return None if row is None else _launch(row)


def latest_by_server(session: Session, username: str, server_name: str) -> Launch | None:
    """The newest launch of a server name, live or not."""
    row = session.scalar(
        select(LaunchRow)
        .where(LaunchRow.username == username, LaunchRow.server_name == server_name)
        .order_by(LaunchRow.created_at.desc())
        .limit(1)
    )
    return None if row is None else _launch(row)


def by_idempotency_key(session: Session, person_id: int, key: str) -> Launch | None:
    """The launch that a person's key made."""
    row = session.scalar(
        select(LaunchRow).where(LaunchRow.person_id == person_id, LaunchRow.idempotency_key == key)
    )
    return None if row is None else _launch(row)


def in_states(session: Session, states: Collection[LaunchState]) -> list[Launch]:
    """All launches in one of the states, oldest first."""
    rows = session.scalars(
        select(LaunchRow).where(LaunchRow.state.in_(states)).order_by(LaunchRow.created_at)
    )
    return [_launch(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a launch is: what is asked of all of them every second, without plan and summary."""

    id: LaunchId
    username: str
    server_name: str
    state: LaunchState
    place: str | None
    handle: dict[str, Any] | None
    url: str | None
    deadline: datetime | None


_POSITION = tuple(getattr(LaunchRow, field.name) for field in fields(Position))


def positions(session: Session, states: Collection[LaunchState]) -> list[Position]:
    """Where the launches in one of the states are: a tenth of the work of `in_states`."""
    rows = session.execute(select(*_POSITION).where(LaunchRow.state.in_(states)))
    return [Position(*row) for row in rows]


def of_person(
    session: Session,
    person_id: int,
    *,
    states: Collection[LaunchState] | None = None,
    limit: int = 50,
    before: datetime | None = None,
) -> list[Launch]:
    """A person's launches, newest first."""
    query = select(LaunchRow).where(LaunchRow.person_id == person_id)
    if states is not None:
        query = query.where(LaunchRow.state.in_(states))
    if before is not None:
        query = query.where(LaunchRow.created_at < before)
    rows = session.scalars(query.order_by(LaunchRow.created_at.desc()).limit(limit))
    return [_launch(row) for row in rows]


def not_cleaned(session: Session, *, limit: int = 200) -> list[Launch]:
    """Launches that are over and whose server the hub may still list."""
    rows = session.scalars(
        select(LaunchRow)
        .where(LaunchRow.state.in_(OVER), LaunchRow.hub_cleaned.is_(False))
        .order_by(LaunchRow.created_at)
        .limit(limit)
    )
    return [_launch(row) for row in rows]


def move(
    session: Session,
    launch_id: str,
    to: LaunchState,
    *,
    only_from: Collection[LaunchState] | None = None,
    **columns: Any,
) -> Launch | None:
    """Step a launch to another state, or return None if it is not where the step starts."""
    origins = [state for state, following in STEPS.items() if to in following]
    if only_from is not None:
        origins = [state for state in origins if state in only_from]
    return _change(session, launch_id, origins, {"state": to, **columns})


def change(
    session: Session, launch_id: str, *, only_in: Collection[LaunchState] = LIVE, **columns: Any
) -> Launch | None:
    """Change columns of a launch in its state, or return None if it is in none of ``only_in``."""
    return _change(session, launch_id, only_in, columns)


def _change(
    session: Session, launch_id: str, states: Iterable[LaunchState], columns: dict[str, Any]
) -> Launch | None:
    result = session.execute(
        update(LaunchRow)
        .where(LaunchRow.id == launch_id, LaunchRow.state.in_(list(states)))
        .values(**columns)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE gives a CursorResult
        return None
    session.expire_all()
    return get(session, launch_id)


def add_event(session: Session, launch_id: str, step: str, message: str, now: datetime) -> Event:
    """Append a line of progress."""
    last = session.scalar(select(func.max(EventRow.seq)).where(EventRow.launch_id == launch_id)) or 0
    row = EventRow(launch_id=launch_id, seq=last + 1, at=now, step=step, message=message[:500])
    session.add(row)
    session.flush()
    return Event(LaunchId(launch_id), row.seq, now, step, row.message)


def events_after(session: Session, launch_id: str, seq: int, *, limit: int = 500) -> Sequence[Event]:
    """Lines of progress after number ``seq``."""
    rows = session.scalars(
        select(EventRow)
        .where(EventRow.launch_id == launch_id, EventRow.seq > seq)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    return [Event(LaunchId(row.launch_id), row.seq, row.at, row.step, row.message) for row in rows]


def last_event(session: Session, launch_id: str) -> Event | None:
    """The newest line of progress."""
    row = session.scalar(
        select(EventRow).where(EventRow.launch_id == launch_id).order_by(EventRow.seq.desc()).limit(1)
    )
    return None if row is None else Event(LaunchId(row.launch_id), row.seq, row.at, row.step, row.message)


def dismiss(session: Session, launch_id: str) -> None:
    """Put the notice of a launch that is over away."""
    change(session, launch_id, only_in=OVER, is_dismissed=True)


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often one code refused; ``last`` is when it last did."""

    code: str
    count: int
    people: int
    last: datetime


def refusals_by_code(session: Session, since: date) -> list[Refusals]:
    """Refusals since a day (UTC), the most frequent code first."""
    code = LaunchRow.problem["code"].as_string()
    start = datetime.combine(since, time.min, tzinfo=UTC)
    rows = session.execute(
        select(
            code,
            func.count(),
            func.count(LaunchRow.person_id.distinct()),
            func.max(LaunchRow.created_at),
        )
        .where(LaunchRow.state == LaunchState.REFUSED, LaunchRow.created_at >= start)
        .group_by(code)
        .order_by(func.count().desc())
    )
    return [Refusals(str(row[0]), int(row[1]), int(row[2]), row[3]) for row in rows]
