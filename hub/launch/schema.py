"""Tables of the launch path: launches (the session table) and their progress events."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Enum, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from hub.database import HubBase, UtcTime
from hub.launch.states import LIVE, LaunchState, Target

_LIVE_SQL = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in sorted(LIVE))))


_STATE = Enum(LaunchState, native_enum=False, length=10, values_callable=lambda kind: [s.value for s in kind])
_TARGET = Enum(Target, native_enum=False, length=4, values_callable=lambda kind: [s.value for s in kind])


class LaunchRow(HubBase):
    """One start of one session: written before the submit, kept for ever."""

    __tablename__ = "launches"
    __table_args__ = (
        # One live launch for a server name: a second start of it waits for the end of the first.
        Index(
            "uq_launches_live",
            "username",
            "server_name",
            unique=True,
            sqlite_where=_LIVE_SQL,
            postgresql_where=_LIVE_SQL,
        ),
        UniqueConstraint("person_id", "idempotency_key"),
        Index("ix_launches_state", "state"),
        Index("ix_launches_person_id_created_at", "person_id", "created_at"),
        Index("ix_launches_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    username: Mapped[str] = mapped_column(String(32))
    server_name: Mapped[str] = mapped_column(String(30))
    display_name: Mapped[str] = mapped_column(String(100), default="")
    origin: Mapped[str] = mapped_column(String(10))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    holds: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    proposal: Mapped[str | None] = mapped_column(String(64))
    place: Mapped[str | None] = mapped_column(String(64))

    state: Mapped[LaunchState] = mapped_column(_STATE)
    target: Mapped[Target] = mapped_column(_TARGET, default=Target.RUN)
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    report_hash: Mapped[str | None] = mapped_column(String(64))
    url: Mapped[str | None] = mapped_column(String(200))

    created_at: Mapped[datetime] = mapped_column(UtcTime)
    planned_at: Mapped[datetime | None] = mapped_column(UtcTime)
    held_at: Mapped[datetime | None] = mapped_column(UtcTime)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcTime)
    running_at: Mapped[datetime | None] = mapped_column(UtcTime)
    deadline: Mapped[datetime | None] = mapped_column(UtcTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime)

    stop_by: Mapped[str | None] = mapped_column(String(32))
    end_reason: Mapped[str | None] = mapped_column(String(24))
    end_message: Mapped[str] = mapped_column(String(2000), default="")
    log_tail: Mapped[list[str] | None] = mapped_column(JSON)
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    is_dismissed: Mapped[bool] = mapped_column(default=False)
    hub_cleaned: Mapped[bool] = mapped_column(default=False)

    idempotency_key: Mapped[str | None] = mapped_column(String(80))
    idempotency_hash: Mapped[str | None] = mapped_column(String(64))


class EventRow(HubBase):
    """One line of a launch's progress, numbered from 1, for people to read."""

    __tablename__ = "launch_events"

    launch_id: Mapped[str] = mapped_column(ForeignKey("launches.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    step: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(String(500))
