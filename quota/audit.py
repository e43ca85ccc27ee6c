"""Do the running balances equal the sum of the ledger's entries?

One pass over the entries, summed by the database. Used amounts count from the start of the
account's window; open holds must add up to what the account holds.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Subquery, case, func, or_, select
from sqlalchemy.orm import Session

from quota.models import AccountRef, Mismatch
from quota.store import ACCOUNTS, ENTRIES, HOLDS


def audit(session: Session) -> list[Mismatch]:
    """Every counter of an account that differs from its entries; empty when all is right."""
    entries, holds = _entry_sums(), _open_holds()
    counters: dict[str, tuple[ColumnElement[int], ColumnElement[int]]] = {
        "given": (func.coalesce(ACCOUNTS.c.given, 0), func.coalesce(entries.c.given, 0)),
        "held": (ACCOUNTS.c.held, func.coalesce(entries.c.held, 0)),
        "used": (ACCOUNTS.c.used, func.coalesce(entries.c.used, 0)),
        "open holds": (ACCOUNTS.c.held, func.coalesce(holds.c.amount, 0)),
    }
    query = (
        select(ACCOUNTS, *(column for pair in counters.values() for column in pair))
        .outerjoin(entries, entries.c.account_id == ACCOUNTS.c.id)
        .outerjoin(holds, holds.c.account_id == ACCOUNTS.c.id)
        .where(or_(*(balance != total for balance, total in counters.values())))
    )
    width = len(ACCOUNTS.c)
    return [
        mismatch
        for row in session.execute(query)
        for mismatch in _mismatches(AccountRef(row.kind, row.key), row, tuple(counters), width)
    ]


def _mismatches(account: AccountRef, row: Any, names: tuple[str, ...], width: int) -> list[Mismatch]:
    sums = [int(value) for value in row[width:]]
    pairs = zip(names, sums[::2], sums[1::2], strict=True)
    return [
        Mismatch(account, row.resource, name, balance, total)
        for name, balance, total in pairs
        if balance != total
    ]


def _entry_sums() -> Subquery:
    in_window = case((ENTRIES.c.at >= ACCOUNTS.c.window_start, ENTRIES.c.used), else_=0)
    return (
        select(
            ENTRIES.c.account_id,
            func.sum(ENTRIES.c.given).label("given"),
            func.sum(ENTRIES.c.held).label("held"),
            func.sum(in_window).label("used"),
        )
        .join(ACCOUNTS, ACCOUNTS.c.id == ENTRIES.c.account_id)
        .group_by(ENTRIES.c.account_id)
        .subquery()
    )


def _open_holds() -> Subquery:
    return (
        select(HOLDS.c.account_id, func.sum(HOLDS.c.amount).label("amount"))
        .where(HOLDS.c.settled_at.is_(None))
        .group_by(HOLDS.c.account_id)
        .subquery()
    )
