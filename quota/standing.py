"""How does an account stand now? The allocation in force, the window it is in, what is left.

Every change of an account goes through `Standing.take`: it locks the row, then brings it up to
date. A new window or another kind of window counts what the entries since its start say, never
simply zero: who leaves a role and comes back finds their use as it was.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from quota.models import (
    AccountKind,
    AccountRef,
    Enforcement,
    EntryKind,
    Holder,
    Limit,
    Meter,
    Resource,
    Source,
)
from quota.policy import Policy
from quota.store import Balance, NewEntry, Store
from quota.windows import span_of

SITE = "site"
"""Actor of what the site's configuration changes."""


class Standing:
    """Balances as the policy sees them at one moment."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def take(
        self,
        store: Store,
        account: AccountRef,
        resource: Resource,
        *,
        now: datetime,
        amount: int = 0,
        holder: Holder | None = None,
    ) -> Balance:
        """Lock an account, add ``amount`` to what it holds, and bring it up to date."""
        old = store.take(account, resource, amount)
        new = self.current(store, old, holder, now)
        if new != old:
            store.save(new)
        if new.given != old.given:
            store.add_entries([self._given_by_site(old, new, now)])
        return new

    def current(self, store: Store, balance: Balance, holder: Holder | None, now: datetime) -> Balance:
        """The balance with the allocation in force and in the window of ``now``; writes nothing."""
        limit = self._limit(balance, holder, now)
        window = balance.window if limit is None else limit.window
        # A clock that lags behind another writer's must not open a window that has ended.
        span = span_of(window, max(now, balance.span.start), self.policy.zone)
        used = balance.used
        if span != balance.span and balance.id:
            used = store.used_since(balance.id, span.start)
        return replace(
            balance,
            given=None if limit is None else limit.amount,
            enforcement=Enforcement.OBSERVED if limit is None else limit.enforcement,
            source=None if limit is None else limit.source,
            until=None if limit is None else limit.until,
            window=window,
            span=span,
            used=used,
        )

    def meter(self, balance: Balance) -> Meter:
        """What people see of a balance that is up to date."""
        limit, enforcement = balance.given, balance.enforcement
        if limit is None and self.policy.refuses_unlisted(balance.resource):
            limit, enforcement = 0, Enforcement.ENFORCED
        return Meter(
            account=balance.account,
            resource=balance.resource,
            limit=limit,
            used=balance.used,
            held=balance.held,
            enforcement=enforcement,
            window=balance.window.value,
            resets_at=balance.span.end,
            until=balance.until,
        )

    def _limit(self, balance: Balance, holder: Holder | None, now: datetime) -> Limit | None:
        stored = _stored(balance, now)
        if stored is not None and stored.source is Source.OPERATOR:
            return stored
        limit = self.policy.limit(balance.account, balance.resource, holder, now)
        is_known = holder is not None and balance.account == AccountRef(AccountKind.PERSON, holder.username)
        if limit is None and not is_known and stored is not None and stored.source is Source.ROLE:
            # The person's roles are not known here: what they gave when last seen stands.
            return stored
        return limit

    def _given_by_site(self, old: Balance, new: Balance, now: datetime) -> NewEntry:
        return NewEntry(
            account_id=new.id,
            kind=EntryKind.ALLOCATION,
            given=(new.given or 0) - (old.given or 0),
            actor=SITE,
            reason=f"{new.source.value if new.source else 'no'} allocation, window {new.window.value}",
            at=max(now, new.span.start),
            key=f"policy:{uuid4().hex}",
        )


def _stored(balance: Balance, now: datetime) -> Limit | None:
    """The allocation that the row itself keeps, if it has not lapsed."""
    if balance.given is None or balance.source is None or (balance.until and balance.until <= now):
        return None
    return Limit(balance.given, balance.window, balance.enforcement, balance.source, balance.until)
