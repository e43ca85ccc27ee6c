"""What an operator changes by hand: allocations, adjustments, and taking them back.

Each change names who made it and why. Nothing is overwritten: an undo is one more entry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from quota.models import METERED, AccountRef, Entry, EntryKind, Limit, Meter, Resource
from quota.standing import Standing
from quota.store import Balance, NewEntry, Store


class CorrectionError(ValueError):
    """The change cannot be made; the text says why, fit for the operator."""


@dataclass(frozen=True, slots=True)
class Note:
    """Who changes something, why and when; ``key`` makes a repeated change harmless."""

    actor: str
    reason: str
    key: str
    at: datetime

    def __post_init__(self) -> None:
        """Refuse a change that nobody answers for."""
        if not self.actor.strip() or not self.reason.strip():
            raise CorrectionError("a change of the ledger names who makes it and why")


def give(
    standing: Standing, store: Store, account: AccountRef, resource: Resource, limit: Limit | None, note: Note
) -> Meter:
    """Put an operator's allocation in force, or withdraw it where ``limit`` is None."""
    if limit is not None and limit.amount < 0:
        raise CorrectionError("an allocation cannot be negative")
    _refuse_metered(resource)
    balance = standing.take(store, account, resource, now=note.at)
    if not store.has_entry(note.key):
        balance = _give(standing, store, balance, limit, note)
    return standing.meter(balance)


def _refuse_metered(resource: Resource) -> None:
    if resource in METERED:
        raise CorrectionError(f"{resource.value} are only recorded: nothing of them is given or corrected")


def adjust(
    standing: Standing, store: Store, account: AccountRef, resource: Resource, amount: int, note: Note
) -> Meter:
    """Change what counts as used in the present window by ``amount``."""
    _refuse_metered(resource)
    if resource is Resource.SESSIONS:
        raise CorrectionError("sessions are held, never used up: there is nothing to adjust")
    balance = standing.take(store, account, resource, now=note.at)
    if not store.has_entry(note.key):
        balance = _adjust(store, balance, amount, note)
    return standing.meter(balance)


def undo(standing: Standing, store: Store, entry_id: int, note: Note) -> Meter:
    """Write the counter-entry of an operator's change."""
    found = store.entry(entry_id)
    if found is None:
        raise CorrectionError(f"there is no entry {entry_id}")
    entry, account_id, allocation_id = found
    balance = standing.take(store, entry.account, entry.resource, now=note.at)
    if store.has_entry(note.key):
        return standing.meter(balance)
    if entry.kind is EntryKind.ADJUSTMENT:
        balance = _undo_adjustment(store, balance, entry, note)
    elif entry.kind is EntryKind.ALLOCATION and allocation_id is not None:
        before = _allocation_before(store, account_id, allocation_id)
        balance = _give(standing, store, balance, before, note)
    else:
        raise CorrectionError("only what an operator gave or adjusted can be taken back")
    return standing.meter(balance)


def _give(standing: Standing, store: Store, balance: Balance, limit: Limit | None, note: Note) -> Balance:
    allocation = store.add_allocation(balance.id, limit, actor=note.actor, reason=note.reason, at=note.at)
    wanted = replace(balance, given=None, source=None, until=None)
    if limit is not None:
        wanted = replace(
            wanted,
            given=limit.amount,
            enforcement=limit.enforcement,
            source=limit.source,
            until=limit.until,
            window=limit.window,
        )
    new = standing.current(store, wanted, None, note.at)
    store.save(new)
    given = (new.given or 0) - (balance.given or 0)
    entry = NewEntry(
        account_id=new.id,
        kind=EntryKind.ALLOCATION,
        given=given,
        allocation_id=allocation,
        actor=note.actor,
        reason=note.reason,
        at=max(note.at, new.span.start),
        key=note.key,
    )
    store.add_entries([entry])
    return new


def _adjust(store: Store, balance: Balance, amount: int, note: Note) -> Balance:
    new = replace(balance, used=balance.used + amount)
    if new.used < 0:
        raise CorrectionError(
            f"only {balance.used} were used in this window: to give more, give an allocation"
        )
    store.save(new)
    entry = NewEntry(
        account_id=new.id,
        kind=EntryKind.ADJUSTMENT,
        used=amount,
        actor=note.actor,
        reason=note.reason,
        at=max(note.at, new.span.start),
        key=note.key,
    )
    store.add_entries([entry])
    return new


def _undo_adjustment(store: Store, balance: Balance, entry: Entry, note: Note) -> Balance:
    if entry.at < balance.span.start:
        # The counter-entry would count in another window than what it takes back.
        raise CorrectionError("its window has ended: it no longer counts")
    return _adjust(store, balance, -entry.used, note)


def _allocation_before(store: Store, account_id: int, allocation_id: int) -> Limit | None:
    newest = store.allocations(account_id)
    if newest[0][0] != allocation_id:
        raise CorrectionError("a newer allocation stands on it: take that back first")
    return newest[1][1] if len(newest) > 1 else None
