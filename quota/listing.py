"""Which accounts are there, and what did operators change? Lists for the operators' page."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from quota.models import AccountKind, AccountRef, Entry, EntryKind
from quota.policy import Policy
from quota.store import ACCOUNTS, ENTRIES, Store


def known_accounts(session: Session, policy: Policy, *, limit: int = 500) -> list[AccountRef]:
    """Accounts that were used or given something: by operators, or by name in the site's file."""
    query = select(ACCOUNTS.c.kind, ACCOUNTS.c.key).distinct().limit(limit)
    used = {AccountRef(AccountKind(row.kind), row.key) for row in session.execute(query)}
    return sorted(used | set(policy.named_accounts()))[:limit]


def newest_entries(
    session: Session, kinds: Collection[EntryKind], *, limit: int = 30, not_by: str = ""
) -> Sequence[Entry]:
    """The newest lines of some kinds, newest first; without those of the actor ``not_by``."""
    query = (
        select(ENTRIES.c.id)
        .where(ENTRIES.c.kind.in_(list(kinds)), ENTRIES.c.actor != not_by)
        .order_by(ENTRIES.c.id.desc())
        .limit(limit)
    )
    store = Store(session)
    found = [store.entry(entry_id) for entry_id in session.scalars(query)]
    return [entry for entry, *_ in (one for one in found if one is not None)]
