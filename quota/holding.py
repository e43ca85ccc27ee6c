"""How a hold comes about, line by line: take from the accounts, look at the result, write it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from quota.models import (
    AccountRef,
    EntryKind,
    ExtensionUndoneError,
    HoldConflictError,
    Holder,
    Holding,
    HoldLine,
    QuotaExceededError,
    Resource,
)
from quota.standing import Standing
from quota.store import Balance, HoldRecord, NewEntry, Store

Taken = tuple[HoldLine, Balance]
"""A line with its account after the line's amount was added, locked."""


def merged(lines: Sequence[HoldLine]) -> list[HoldLine]:
    """Lines without duplicates and zeros, in the one order in which accounts are locked."""
    amounts: dict[tuple[AccountRef, Resource], int] = {}
    for line in lines:
        if line.amount < 0:
            raise ValueError("a hold cannot be negative")
        if line.amount:
            key = line.account, line.resource
            amounts[key] = amounts.get(key, 0) + line.amount
    return [HoldLine(*key, amount) for key, amount in sorted(amounts.items())]


def take(
    standing: Standing, store: Store, lines: Sequence[HoldLine], holder: Holder | None, now: datetime
) -> list[Taken]:
    """Add every line to what its account holds, and lock the accounts in the order of the lines."""
    return [
        (
            line,
            standing.take(store, line.account, line.resource, now=now, amount=line.amount, holder=holder),
        )
        for line in lines
    ]


def put_back(store: Store, taken: Sequence[Taken]) -> None:
    """Undo `take`: cheaper than a savepoint around every hold, since few are refused."""
    for line, balance in taken:
        store.save(replace(balance, held=balance.held - line.amount))


def refuse_if_over(standing: Standing, store: Store, taken: Sequence[Taken]) -> None:
    """Put all back and raise `QuotaExceededError` for the first line that its account cannot take."""
    for line, balance in taken:
        before = standing.meter(replace(balance, held=balance.held - line.amount))
        if before.refuses(line.amount):
            put_back(store, taken)
            raise QuotaExceededError(before, line.amount)


def begin(
    store: Store, launch_id: str, taken: Sequence[Taken], username: str, proposal: str | None, now: datetime
) -> Holding:
    """Write the hold of a launch that took its lines."""
    holds = [
        HoldRecord(
            launch_id=launch_id,
            account_id=balance.id,
            account=line.account,
            resource=line.resource,
            amount=line.amount,
            username=username,
            proposal=proposal,
            opened_at=now,
            settled_at=None,
            charged=None,
        )
        for line, balance in taken
    ]
    store.add_holds(holds)
    store.add_entries(_entries(holds[0], taken, f"{launch_id}:hold", "held for the launch", now))
    return as_holding(holds)


def enlarge(
    store: Store, known: Sequence[HoldRecord], taken: Sequence[Taken], prefix: str, now: datetime
) -> None:
    """Write what an extension took."""
    first = known[0]
    for line, balance in taken:
        store.add_to_hold(first.launch_id, balance.id, line.amount)
    store.add_entries(_entries(first, taken, prefix, "extended", now))


def extension(launch_id: str, key: str) -> str:
    """Beginning of the keys of an extension's entries."""
    return f"{launch_id}:extend:{key}"


def refuse_undone(store: Store, launch_id: str, key: str) -> None:
    """Raise `ExtensionUndoneError` for an extension that was given back."""
    if store.has_entry(f"{_undone(launch_id, key)}:0"):
        raise ExtensionUndoneError(launch_id)


def _undone(launch_id: str, key: str) -> str:
    return f"{launch_id}:unextend:{key}"


def give_back(standing: Standing, store: Store, launch_id: str, key: str, now: datetime) -> None:
    """Take from an open hold what one extension added to it, once."""
    balances = {
        hold.account_id: standing.take(store, hold.account, hold.resource, now=now)
        for hold in store.holds(launch_id)
    }
    # Read under the locks, like everywhere: a settlement has released all of it.
    known = store.holds(launch_id)
    if not known or not is_open(known) or store.has_entry(f"{_undone(launch_id, key)}:0"):
        return
    number = 0
    while added := store.held_by(f"{extension(launch_id, key)}:{number}"):
        account_id, amount = added
        balance = balances[account_id]
        store.add_to_hold(launch_id, account_id, -amount)
        store.save(replace(balance, held=balance.held - amount))
        entry = NewEntry(
            account_id=account_id,
            kind=EntryKind.RELEASE,
            held=-amount,
            launch_id=launch_id,
            actor=known[0].username,
            reason="the extension was refused",
            at=max(now, balance.span.start),
            key=f"{_undone(launch_id, key)}:{number}",
        )
        store.add_entries([entry])
        number += 1


def same(known: Sequence[HoldRecord], wanted: Sequence[HoldLine]) -> Holding:
    """The hold that a repeated call finds; it may have been extended since."""
    if not is_open(known):
        refuse_settled(known)
    held = {(hold.account, hold.resource): hold.amount for hold in known}
    asked = {(line.account, line.resource): line.amount for line in wanted}
    if held.keys() != asked.keys() or any(asked[key] > held[key] for key in asked):
        raise HoldConflictError(known[0].launch_id, "it holds other lines")
    return as_holding(known)


def require_held(known: Sequence[HoldRecord], lines: Sequence[HoldLine]) -> None:
    """Refuse to extend by lines of accounts that the launch does not hold."""
    held = {(hold.account, hold.resource) for hold in known}
    for line in lines:
        if (line.account, line.resource) not in held:
            why = f"it holds no {line.resource.value} of {line.account.key}"
            raise HoldConflictError(known[0].launch_id, why)


def is_open(holds: Sequence[HoldRecord]) -> bool:
    """Whether a launch still holds what it held; all its lines are settled together."""
    return all(hold.settled_at is None for hold in holds)


def refuse_settled(holds: Sequence[HoldRecord]) -> NoReturn:
    """Raise the refusal to go on with a hold that was settled."""
    raise HoldConflictError(holds[0].launch_id, "it was settled")


def as_holding(holds: Sequence[HoldRecord]) -> Holding:
    """All lines of one launch as what callers see."""
    return Holding(
        launch_id=holds[0].launch_id,
        username=holds[0].username,
        lines=tuple(HoldLine(hold.account, hold.resource, hold.amount) for hold in holds),
        opened_at=holds[0].opened_at,
        is_open=is_open(holds),
    )


def _entries(
    of: HoldRecord, taken: Sequence[Taken], prefix: str, reason: str, now: datetime
) -> list[NewEntry]:
    return [
        NewEntry(
            account_id=balance.id,
            kind=EntryKind.HOLD,
            held=line.amount,
            launch_id=of.launch_id,
            actor=of.username,
            reason=reason,
            at=max(now, balance.span.start),
            # Numbered, not named by account: a twin that asks other accounts fails too.
            key=f"{prefix}:{number}",
        )
        for number, (line, balance) in enumerate(taken)
    ]
