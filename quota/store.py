"""Reads and writes of the ledger's tables; it translates and decides nothing.

Statements are Core, built once: a hold is on everybody's way to a session. Locking is by UPDATE,
which waits for other writers of the same row on PostgreSQL (READ COMMITTED) and on SQLite alike;
whatever is read after it is not changed by anybody until the transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    Insert,
    Row,
    Table,
    TextClause,
    bindparam,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from quota.models import (
    AccountKind,
    AccountRef,
    Enforcement,
    Entry,
    EntryKind,
    Limit,
    Resource,
    Source,
    Window,
)
from quota.schema import AccountRow, AllocationRow, EntryRow, HoldRow, UseRow
from quota.windows import BEGINNING, Span

ACCOUNTS = cast(Table, AccountRow.__table__)
ALLOCATIONS = cast(Table, AllocationRow.__table__)
ENTRIES = cast(Table, EntryRow.__table__)
HOLDS = cast(Table, HoldRow.__table__)
USE = cast(Table, UseRow.__table__)


@dataclass(frozen=True, slots=True)
class Balance:
    """One row of accounts: running balance and allocation in force. ``given`` None: no allocation."""

    id: int
    account: AccountRef
    resource: Resource
    given: int | None
    used: int
    held: int
    enforcement: Enforcement
    window: Window
    span: Span
    source: Source | None
    until: datetime | None

    @classmethod
    def of_nothing(cls, account: AccountRef, resource: Resource) -> Balance:
        """Balance of an account that the ledger has not seen yet."""
        return cls(
            id=0,
            account=account,
            resource=resource,
            given=None,
            used=0,
            held=0,
            enforcement=Enforcement.OBSERVED,
            window=Window.NONE,
            span=Span(BEGINNING, None),
            source=None,
            until=None,
        )


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """One line of a launch's hold; ``charged`` and ``settled_at`` are None while it is open."""

    launch_id: str
    account_id: int
    account: AccountRef
    resource: Resource
    amount: int
    username: str
    proposal: str | None
    opened_at: datetime
    settled_at: datetime | None
    charged: int | None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A line to be added to the ledger."""

    account_id: int
    kind: EntryKind
    actor: str
    reason: str
    at: datetime
    key: str
    given: int = 0
    held: int = 0
    used: int = 0
    launch_id: str | None = None
    allocation_id: int | None = None


_OF_ACCOUNT = (
    (ACCOUNTS.c.kind == bindparam("of_kind"))
    & (ACCOUNTS.c.key == bindparam("of_key"))
    & (ACCOUNTS.c.resource == bindparam("of_resource"))
)
_TAKE = (
    update(ACCOUNTS)
    .where(_OF_ACCOUNT)
    .values(held=ACCOUNTS.c.held + bindparam("amount"))
    .returning(*ACCOUNTS.c)
)
_SAVE = update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("of_id"))
_HOLD = select(HOLDS, ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.resource).join_from(
    HOLDS, ACCOUNTS, HOLDS.c.account_id == ACCOUNTS.c.id
)
_IN_LOCK_ORDER = (ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.resource)
_HOLD_OF_LAUNCH = _HOLD.where(HOLDS.c.launch_id == bindparam("launch"))
_ENTRY = select(
    ENTRIES, ACCOUNTS.c.kind.label("of"), ACCOUNTS.c.key.label("name"), ACCOUNTS.c.resource
).join_from(ENTRIES, ACCOUNTS, ENTRIES.c.account_id == ACCOUNTS.c.id)


@cache
def _insert_rows(table: Table, names: tuple[str, ...], rows: int) -> TextClause:
    """INSERT of several rows at once, built once for each number of rows.

    As a list of parameters it would take four round trips to PostgreSQL, as `Insert.values` of
    several rows it would be compiled anew each time.
    """
    values = ", ".join(f"({', '.join(f':{name}_{row}' for name in names)})" for row in range(rows))
    types = [bindparam(f"{name}_{row}", type_=table.c[name].type) for row in range(rows) for name in names]
    return text(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values}").bindparams(*types)  # noqa: S608 - names of our own columns


class Store:
    """The ledger's tables within one transaction of the caller."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, account: AccountRef, resource: Resource, amount: int = 0) -> Balance:
        """Add to what an account holds, lock it, and return it as it is then. Creates the account."""
        values = {
            "of_kind": account.kind,
            "of_key": account.key,
            "of_resource": resource,
            "amount": amount,
        }
        row = self._session.execute(_TAKE, values).one_or_none()
        if row is None:
            self._create(account, resource)
            row = self._session.execute(_TAKE, values).one()
        return _balance(row)

    def balances(self, accounts: Iterable[AccountRef]) -> list[Balance]:
        """All balances of some accounts, not locked."""
        keys = [(account.kind, account.key) for account in accounts]
        query = select(ACCOUNTS).where(tuple_(ACCOUNTS.c.kind, ACCOUNTS.c.key).in_(keys))
        return [_balance(row) for row in self._session.execute(query)]

    def save(self, balance: Balance) -> None:
        """Write a balance that `take` has locked."""
        values = {
            "given": balance.given,
            "used": balance.used,
            "held": balance.held,
            "enforcement": balance.enforcement,
            "window": balance.window,
            "window_start": balance.span.start,
            "window_end": balance.span.end,
            "source": balance.source,
            "until": balance.until,
        }
        self._session.execute(_SAVE.values(values), {"of_id": balance.id})

    def used_since(self, account_id: int, start: datetime) -> int:
        """Sum of what the ledger counts as used since then: the start value of a window."""
        query = select(func.coalesce(func.sum(ENTRIES.c.used), 0)).where(
            ENTRIES.c.account_id == account_id, ENTRIES.c.at >= start
        )
        return int(self._session.execute(query).scalar_one())

    def add_entries(self, entries: Sequence[NewEntry]) -> None:
        """Append lines to the ledger."""
        self._insert(ENTRIES, [_columns(entry) for entry in entries])

    def has_entry(self, key: str) -> bool:
        """Whether a line with this key was written."""
        query = select(ENTRIES.c.id).where(ENTRIES.c.key == key)
        return self._session.execute(query).first() is not None

    def held_by(self, key: str) -> tuple[int, int] | None:
        """Account and held amount of the line with this key."""
        query = select(ENTRIES.c.account_id, ENTRIES.c.held).where(ENTRIES.c.key == key)
        row = self._session.execute(query).one_or_none()
        return None if row is None else (row.account_id, row.held)

    def entry(self, entry_id: int) -> tuple[Entry, int, int | None] | None:
        """A line with the ids of its account and allocation."""
        row = self._session.execute(_ENTRY.where(ENTRIES.c.id == entry_id)).one_or_none()
        return None if row is None else (_entry(row), row.account_id, row.allocation_id)

    def entries(self, account: AccountRef, *, limit: int, before: int | None) -> list[Entry]:
        """Lines of an account, newest first; those older than the line ``before``."""
        query = _ENTRY.where(ACCOUNTS.c.kind == account.kind, ACCOUNTS.c.key == account.key)
        if before is not None:
            query = query.where(ENTRIES.c.id < before)
        rows = self._session.execute(query.order_by(ENTRIES.c.id.desc()).limit(limit))
        return [_entry(row) for row in rows]

    def holds(self, launch_id: str) -> list[HoldRecord]:
        """What a launch holds or held, in the order in which accounts are locked."""
        rows = self._session.execute(_HOLD_OF_LAUNCH, {"launch": launch_id})
        return sorted((_hold(row) for row in rows), key=lambda hold: (hold.account, hold.resource))

    def open_holds(self) -> list[HoldRecord]:
        """Every open line of a hold, oldest launch first."""
        query = _HOLD.where(HOLDS.c.settled_at.is_(None)).order_by(
            HOLDS.c.opened_at, HOLDS.c.launch_id, *_IN_LOCK_ORDER
        )
        return [_hold(row) for row in self._session.execute(query)]

    def add_holds(self, holds: Sequence[HoldRecord]) -> None:
        """Store the lines of a new hold."""
        self._insert(HOLDS, [_hold_columns(hold) for hold in holds])

    def add_to_hold(self, launch_id: str, account_id: int, amount: int) -> None:
        """Enlarge one line of a hold, or make it smaller by a negative amount."""
        query = (
            update(HOLDS)
            .where(HOLDS.c.launch_id == launch_id, HOLDS.c.account_id == account_id)
            .values(amount=HOLDS.c.amount + amount)
        )
        self._session.execute(query)

    def settle_hold(self, hold: HoldRecord, charged: int, at: datetime) -> None:
        """Close one line of a hold."""
        query = (
            update(HOLDS)
            .where(HOLDS.c.launch_id == hold.launch_id, HOLDS.c.account_id == hold.account_id)
            .values(charged=charged, settled_at=at)
        )
        self._session.execute(query)

    def add_use(self, rows: Sequence[dict[str, Any]]) -> None:
        """Store what was used on which day."""
        if rows:
            self._session.execute(insert(USE), list(rows))

    def add_allocation(
        self, account_id: int, limit: Limit | None, *, actor: str, reason: str, at: datetime
    ) -> int:
        """Store an allocation that an operator gave, or withdrew where ``limit`` is None."""
        values = {
            "account_id": account_id,
            "amount": None if limit is None else limit.amount,
            "window": Window.NONE if limit is None else limit.window,
            "enforcement": Enforcement.OBSERVED if limit is None else limit.enforcement,
            "until": None if limit is None else limit.until,
            "actor": actor,
            "reason": reason,
            "at": at,
        }
        query = insert(ALLOCATIONS).values(values).returning(ALLOCATIONS.c.id)
        return int(self._session.execute(query).scalar_one())

    def allocations(self, account_id: int, *, up_to: int | None = None) -> list[tuple[int, Limit | None]]:
        """The newest two allocations of an account, newest first; ``up_to`` leaves newer ones out."""
        query = select(ALLOCATIONS).where(ALLOCATIONS.c.account_id == account_id)
        if up_to is not None:
            query = query.where(ALLOCATIONS.c.id <= up_to)
        rows = self._session.execute(query.order_by(ALLOCATIONS.c.id.desc()).limit(2))
        return [(row.id, _limit(row)) for row in rows]

    def _insert(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            values = {f"{name}_{i}": value for i, row in enumerate(rows) for name, value in row.items()}
            self._session.execute(_insert_rows(table, tuple(rows[0]), len(rows)), values)

    def _create(self, account: AccountRef, resource: Resource) -> None:
        new = Balance.of_nothing(account, resource)
        values = {
            "kind": account.kind,
            "key": account.key,
            "resource": resource,
            "used": 0,
            "held": 0,
            "enforcement": new.enforcement,
            "window": new.window,
            "window_start": new.span.start,
        }
        # Another writer may be creating it now: then theirs is ours.
        query: Insert
        if self._session.get_bind().dialect.name == "postgresql":
            query = postgresql.insert(ACCOUNTS).values(values).on_conflict_do_nothing()
        else:
            query = sqlite.insert(ACCOUNTS).values(values).on_conflict_do_nothing()
        self._session.execute(query)


def _balance(row: Row[Any]) -> Balance:
    return Balance(
        id=row.id,
        account=AccountRef(row.kind, row.key),
        resource=row.resource,
        given=row.given,
        used=row.used,
        held=row.held,
        enforcement=row.enforcement,
        window=row.window,
        span=Span(row.window_start, row.window_end),
        source=row.source,
        until=row.until,
    )


def _hold(row: Row[Any]) -> HoldRecord:
    return HoldRecord(
        launch_id=row.launch_id,
        account_id=row.account_id,
        account=AccountRef(AccountKind(row.kind), row.key),
        resource=row.resource,
        amount=row.amount,
        username=row.username,
        proposal=row.proposal,
        opened_at=row.opened_at,
        settled_at=row.settled_at,
        charged=row.charged,
    )


def _hold_columns(hold: HoldRecord) -> dict[str, Any]:
    return {
        "launch_id": hold.launch_id,
        "account_id": hold.account_id,
        "amount": hold.amount,
        "username": hold.username,
        "proposal": hold.proposal,
        "opened_at": hold.opened_at,
    }


def _columns(entry: NewEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in NewEntry.__slots__}


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        account=AccountRef(row.of, row.name),
        resource=row.resource,
        kind=row.kind,
        given=row.given,
        held=row.held,
        used=row.used,
        launch_id=row.launch_id,
        actor=row.actor,
        reason=row.reason,
        at=row.at,
    )


def _limit(row: Row[Any]) -> Limit | None:
    if row.amount is None:
        return None
    return Limit(
        amount=row.amount,
        window=row.window,
        enforcement=row.enforcement,
        source=Source.OPERATOR,
        until=row.until,
        reason=row.reason,
    )
