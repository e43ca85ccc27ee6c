"""Tables of the ledger.

``quota_entries`` is the ledger proper: rows are only ever added, and the database refuses
anything else by trigger. ``quota_accounts`` keeps the running balance of each account and
resource, which the sum of its entries must equal (`quota.audit`). ``quota_use`` says who used
what on which day, for the reports; it is written with the charge.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Connection,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from quota.models import AccountKind, Enforcement, EntryKind, Resource, Source, Window


class QuotaBase(DeclarativeBase):
    """Base of the ledger's tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC time; SQLite keeps no zone, so naive values are refused on the way in."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times, store UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give aware UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _words(kind: type[StrEnum]) -> Enum:
    # Plain strings rather than a type of the database: a new word needs no ALTER TYPE.
    return Enum(kind, native_enum=False, length=16, values_callable=lambda words: [w.value for w in words])


_ID = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts by itself on SQLite

_OPEN = text("settled_at IS NULL")


class AccountRow(QuotaBase):
    """Running balance of one resource of one account, and the allocation in force.

    ``given`` NULL: no allocation. ``used`` counts entries since ``window_start``; ``held`` is all
    open holds, whichever window they began in.
    """

    __tablename__ = "quota_accounts"
    __table_args__ = (
        UniqueConstraint("kind", "key", "resource"),
        CheckConstraint("held >= 0", name="held_not_negative"),
        CheckConstraint("used >= 0", name="used_not_negative"),
        CheckConstraint("given IS NULL OR given >= 0", name="given_not_negative"),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    kind: Mapped[AccountKind] = mapped_column(_words(AccountKind))
    key: Mapped[str] = mapped_column(String(100))
    resource: Mapped[Resource] = mapped_column(_words(Resource))
    given: Mapped[int | None] = mapped_column(BigInteger)
    used: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    enforcement: Mapped[Enforcement] = mapped_column(_words(Enforcement))
    window: Mapped[Window] = mapped_column(_words(Window))
    window_start: Mapped[datetime] = mapped_column(UtcTime)
    window_end: Mapped[datetime | None] = mapped_column(UtcTime)
    source: Mapped[Source | None] = mapped_column(_words(Source))
    until: Mapped[datetime | None] = mapped_column(UtcTime)


class AllocationRow(QuotaBase):
    """An allocation that an operator gave; the newest of an account counts. ``amount`` NULL withdraws."""

    __tablename__ = "quota_allocations"
    __table_args__ = (
        Index(None, "account_id", "id"),
        CheckConstraint("amount IS NULL OR amount >= 0", name="amount_not_negative"),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("quota_accounts.id"))
    amount: Mapped[int | None] = mapped_column(BigInteger)
    window: Mapped[Window] = mapped_column(_words(Window))
    enforcement: Mapped[Enforcement] = mapped_column(_words(Enforcement))
    until: Mapped[datetime | None] = mapped_column(UtcTime)
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[datetime] = mapped_column(UtcTime)


class EntryRow(QuotaBase):
    """One line of the ledger: what it changes of ``given``, ``held`` and ``used``, and who did it why.

    ``key`` makes a repeated call harmless; those of a launch begin with its id.
    """

    __tablename__ = "quota_entries"
    __table_args__ = (UniqueConstraint("key"), Index(None, "account_id", "at"))

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("quota_accounts.id"))
    kind: Mapped[EntryKind] = mapped_column(_words(EntryKind))
    given: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    used: Mapped[int] = mapped_column(BigInteger)
    launch_id: Mapped[str | None] = mapped_column(String(32))
    allocation_id: Mapped[int | None] = mapped_column(ForeignKey("quota_allocations.id"))
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[datetime] = mapped_column(UtcTime)
    key: Mapped[str] = mapped_column(String(160))


class HoldRow(QuotaBase):
    """What one launch holds of one account, extensions included; open until ``settled_at``."""

    __tablename__ = "quota_holds"
    __table_args__ = (
        UniqueConstraint("launch_id", "account_id"),
        Index("ix_quota_holds_open", "account_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("(settled_at IS NULL) = (charged IS NULL)", name="settled_with_charge"),
    )

    id: Mapped[int] = mapped_column(_ID, primary_key=True)
    launch_id: Mapped[str] = mapped_column(String(32))
    account_id: Mapped[int] = mapped_column(ForeignKey("quota_accounts.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    username: Mapped[str] = mapped_column(String(100))
    proposal: Mapped[str | None] = mapped_column(String(100))
    opened_at: Mapped[datetime] = mapped_column(UtcTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    charged: Mapped[int | None] = mapped_column(BigInteger)


class UseRow(QuotaBase):
    """What one launch used of one resource on one day of the site's calendar, and who paid."""

    __tablename__ = "quota_use"
    __table_args__ = (
        Index(None, "day"),
        Index(None, "username", "day"),
        Index(None, "account_id", "day"),
    )

    launch_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    resource: Mapped[Resource] = mapped_column(_words(Resource), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("quota_accounts.id"))
    username: Mapped[str] = mapped_column(String(100))
    proposal: Mapped[str | None] = mapped_column(String(100))
    amount: Mapped[int] = mapped_column(BigInteger)


APPEND_ONLY: dict[str, tuple[str, ...]] = {
    "sqlite": (
        "CREATE TRIGGER quota_entries_no_update BEFORE UPDATE ON quota_entries "
        "BEGIN SELECT RAISE(ABORT, 'quota_entries is append-only'); END",
        "CREATE TRIGGER quota_entries_no_delete BEFORE DELETE ON quota_entries "
        "BEGIN SELECT RAISE(ABORT, 'quota_entries is append-only'); END",
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION quota_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'quota_entries is append-only'; END $$",
        "CREATE TRIGGER quota_entries_no_change BEFORE UPDATE OR DELETE ON quota_entries "
        "FOR EACH ROW EXECUTE FUNCTION quota_entries_append_only()",
    ),
}
"""Statements, by dialect, that make the database itself refuse a change of the ledger's lines."""


@event.listens_for(EntryRow.__table__, "after_create")
def _protect(_table: Any, connection: Connection, **_options: Any) -> None:
    for statement in APPEND_ONLY.get(connection.dialect.name, ()):
        connection.exec_driver_sql(statement)
