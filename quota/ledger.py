"""Append-only account of what persons and proposals may use, hold and have used.

An *allocation* gives, a *hold* reserves for one launch, a *charge* is measured use, a *release*
returns the rest, an *adjustment* corrects. The account row keeps the running balance, the sum of
entries is the audit. A hold first adds to the account and then looks at the result, so that two
launches at once can never both take what is left for one; accounts are locked in one order, so
that they never wait for each other in a circle.

Everything here runs inside the caller's transaction; on PostgreSQL it needs READ COMMITTED, the
default. Make one call that changes the ledger per transaction: locks of two calls have no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from quota import corrections
from quota.audit import audit
from quota.models import (
    AccountKind,
    AccountRef,
    Enforcement,
    Entry,
    EntryKind,
    HoldConflictError,
    Holder,
    Holding,
    HoldLine,
    Limit,
    Meter,
    Mismatch,
    Preview,
    QuotaExceededError,
    Resource,
    SettledLine,
    Settlement,
    Source,
    UnknownHoldError,
    Window,
)
from quota.policy import Policy
from quota.standing import Standing
from quota.store import Balance, HoldRecord, NewEntry, Store
from quota.windows import split_by_day


class Ledger:
    """The ledger under one site's policy. It keeps no state: all of it is in the database.

    ``holder`` is the person who launches: by their groups and roles they get the site's role
    defaults as their own account. Where it is left out, what their roles gave when last seen
    counts. ``now`` is aware.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._standing = Standing(policy)

    def hold(
        self,
        session: Session,
        launch_id: str,
        lines: Sequence[HoldLine],
        *,
        holder: Holder,
        now: datetime,
        proposal: str | None = None,
    ) -> Holding:
        """Reserve all lines for a launch, or none.

        A second call with the same launch returns the first holding. A refusal leaves the
        caller's transaction usable and the ledger as it was.

        Parameters
        ----------
        lines
            Worst case of the launch, in the ledger's units; lines of one account and resource
            add up, lines of zero are left out.
        proposal
            Proposal of the data, for the reports; it need not pay.

        Raises
        ------
        QuotaExceededError
            If an enforced allocation has less left than a line asks.
        HoldConflictError
            If the launch holds something else, or was settled.
        """
        wanted = _merged(lines)
        if not wanted:
            raise ValueError("a hold needs at least one line with an amount")
        store = Store(session)
        with session.begin_nested() as savepoint:
            balances = [self._take(store, line, holder, now) for line in wanted]
            # Looked for only now that the accounts are locked: a twin of this call has ended.
            if known := store.holds(launch_id):
                savepoint.rollback()
                return self._same(store, known, wanted)
            for line, balance in zip(wanted, balances, strict=True):
                self._refuse_if_over(line, balance)
            held = [
                _record(launch_id, line, balance.id, holder.username, proposal, now)
                for line, balance in zip(wanted, balances, strict=True)
            ]
            store.add_holds(held)
            store.add_entries(_hold_entries(held, balances, now, f"{launch_id}:hold", "held for the launch"))
        return _holding(held)

    def extend(
        self,
        session: Session,
        launch_id: str,
        key: str,
        lines: Sequence[HoldLine],
        *,
        now: datetime,
        holder: Holder | None = None,
    ) -> Holding:
        """Add to what a launch holds. A second call with the same ``key`` changes nothing.

        Raises
        ------
        UnknownHoldError
            If the launch never held anything.
        HoldConflictError
            If it was settled, or a line is of an account that it does not hold.
        QuotaExceededError
            If an enforced allocation has less left than a line asks; the hold stays as it was.
        """
        wanted = _merged(lines)
        store = Store(session)
        if not (known := store.holds(launch_id)):
            raise UnknownHoldError(launch_id)
        prefix = f"{launch_id}:extend:{key}"
        with session.begin_nested() as savepoint:
            balances = [self._take(store, line, holder, now) for line in wanted]
            if not wanted or store.has_entry(f"{prefix}:0"):
                savepoint.rollback()
                return _holding(store.holds(launch_id))
            known = store.holds(launch_id)
            _require_open(known)
            for line, balance in zip(wanted, balances, strict=True):
                self._refuse_if_over(line, balance)
                if not store.add_to_hold(launch_id, balance.id, line.amount):
                    raise HoldConflictError(
                        launch_id, f"it holds no {line.resource.value} of {line.account.key}"
                    )
            added = [
                _record(launch_id, line, balance.id, known[0].username, None, now)
                for line, balance in zip(wanted, balances, strict=True)
            ]
            store.add_entries(_hold_entries(added, balances, now, prefix, "extended"))
        return _holding(store.holds(launch_id))

    def settle(
        self,
        session: Session,
        launch_id: str,
        charges: Mapping[Resource, int],
        *,
        now: datetime,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        reason: str = "measured use",
    ) -> Settlement:
        """Turn a hold into charges and release the rest. A second call returns the first settlement.

        Parameters
        ----------
        charges
            Measured use in the ledger's units, from the backend's own account; resources left
            out are charged nothing. A charge may exceed its hold. Sessions are never charged.
        started_at, ended_at
            When it ran: the charge counts in the window of ``now``, but the reports share it
            among the days between. Without them it is all of today.

        Raises
        ------
        UnknownHoldError
            If the launch never held anything.
        ValueError
            If a charge is negative, of sessions, or of a resource that the launch does not hold.
        """
        store = Store(session)
        holds = store.holds(launch_id)
        if not holds:
            raise UnknownHoldError(launch_id)
        if any(hold.settled_at is None for hold in holds):
            balances = [self._standing.take(store, hold.account, hold.resource, now=now) for hold in holds]
            # Read again under the locks: another call may have settled or extended it meanwhile.
            holds = store.holds(launch_id)
        if any(hold.settled_at is None for hold in holds):
            _check_charges(holds, charges)
            holds = [
                _settled(store, hold, balance, charges.get(hold.resource, 0), now, reason)
                for hold, balance in zip(holds, balances, strict=True)
            ]
            store.add_use(self._use(holds, started_at or now, ended_at or now))
        return _settlement(holds)

    def release(
        self, session: Session, launch_id: str, *, now: datetime, reason: str = "released"
    ) -> Settlement:
        """Give back all that a launch holds; one that never held anything is no error."""
        try:
            return self.settle(session, launch_id, {}, now=now, reason=reason)
        except UnknownHoldError:
            return Settlement(launch_id, now, ())

    def preview(
        self, session: Session, lines: Sequence[HoldLine], *, now: datetime, holder: Holder | None = None
    ) -> list[Preview]:
        """What `hold` would meet now, line by line. Writes and locks nothing."""
        wanted = _merged(lines)
        store = Store(session)
        known = {(b.account, b.resource): b for b in store.balances({line.account for line in wanted})}
        found = []
        for line in wanted:
            empty = Balance.of_nothing(line.account, line.resource)
            balance = known.get((line.account, line.resource), empty)
            meter = self._standing.meter(self._standing.current(store, balance, holder, now))
            found.append(Preview(meter, line.amount, meter.refuses(line.amount)))
        return found

    def meters(
        self, session: Session, accounts: Iterable[AccountRef], *, now: datetime, holder: Holder | None = None
    ) -> list[Meter]:
        """State of every allocation and every counted resource of some accounts. Writes nothing."""
        store = Store(session)
        wanted = sorted(set(accounts))
        known = {(b.account, b.resource): b for b in store.balances(wanted)}
        current = [
            self._standing.current(store, known.get(key, Balance.of_nothing(*key)), holder, now)
            for account in wanted
            for resource in Resource
            for key in [(account, resource)]
        ]
        return [self._standing.meter(b) for b in current if b.given is not None or b.used or b.held]

    def has_allocation(
        self,
        session: Session,
        account: AccountRef,
        resource: Resource,
        *,
        now: datetime,
        holder: Holder | None = None,
    ) -> bool:
        """Whether anything of the resource was given to the account: then it can be the payer."""
        store = Store(session)
        found = [b for b in store.balances([account]) if b.resource is resource]
        balance = found[0] if found else Balance.of_nothing(account, resource)
        return self._standing.current(store, balance, holder, now).given is not None

    def give(
        self,
        session: Session,
        account: AccountRef,
        resource: Resource,
        amount: int | None,
        *,
        actor: str,
        reason: str,
        key: str,
        now: datetime,
        window: Window = Window.NONE,
        enforcement: Enforcement | None = None,
        until: datetime | None = None,
    ) -> Meter:
        """Give an allocation by an operator's hand; it takes the place of any other of the account.

        Parameters
        ----------
        amount
            How much per window; None withdraws what operators gave, and the site's file counts again.
        key
            Makes a repeated call harmless.
        until
            When it lapses; None: never.
        """
        limit = None
        if amount is not None:
            limit = Limit(
                amount, window, enforcement or self.policy.enforcement, Source.OPERATOR, until, reason
            )
        note = corrections.Note(actor, reason, f"give:{key}", now)
        return corrections.give(self._standing, Store(session), account, resource, limit, note)

    def adjust(
        self,
        session: Session,
        account: AccountRef,
        resource: Resource,
        amount: int,
        *,
        actor: str,
        reason: str,
        key: str,
        now: datetime,
    ) -> Meter:
        """Correct what counts as used in the window of ``now``: a negative ``amount`` gives back."""
        note = corrections.Note(actor, reason, f"adjust:{key}", now)
        return corrections.adjust(self._standing, Store(session), account, resource, amount, note)

    def undo(self, session: Session, entry_id: int, *, actor: str, reason: str, now: datetime) -> Meter:
        """Take back an operator's allocation or adjustment by a counter-entry; once only.

        Raises
        ------
        CannotUndoError
            If it is no such entry, or something newer stands on it.
        """
        note = corrections.Note(actor, reason, f"undo:{entry_id}", now)
        return corrections.undo(self._standing, Store(session), entry_id, note)

    def open_holds(self, session: Session) -> list[Holding]:
        """All that is held now, oldest launch first."""
        groups = groupby(Store(session).open_holds(), key=lambda hold: hold.launch_id)
        return [_holding(list(holds)) for _, holds in groups]

    def history(
        self, session: Session, account: AccountRef, *, limit: int = 100, before: int | None = None
    ) -> list[Entry]:
        """Entries of an account, newest first; ``before`` is the id that the last page ended with."""
        return Store(session).entries(account, limit=limit, before=before)

    def audit(self, session: Session) -> list[Mismatch]:
        """Every running balance that is not the sum of its entries; empty when all is right."""
        return audit(session)

    def _take(self, store: Store, line: HoldLine, holder: Holder | None, now: datetime) -> Balance:
        return self._standing.take(
            store, line.account, line.resource, now=now, amount=line.amount, holder=holder
        )

    def _refuse_if_over(self, line: HoldLine, balance: Balance) -> None:
        before = self._standing.meter(replace(balance, held=balance.held - line.amount))
        if before.refuses(line.amount):
            raise QuotaExceededError(before, line.amount)

    def _same(self, store: Store, known: Sequence[HoldRecord], wanted: Sequence[HoldLine]) -> Holding:
        launch_id = known[0].launch_id
        _require_open(known)
        # An extended hold is larger than the one first asked for.
        held = {(hold.account, hold.resource): hold.amount for hold in known}
        asked = {(line.account, line.resource): line.amount for line in wanted}
        if held.keys() != asked.keys() or any(asked[key] > held[key] for key in asked):
            raise HoldConflictError(launch_id, "it holds other lines")
        return _holding(known)

    def _use(
        self, holds: Sequence[HoldRecord], started_at: datetime, ended_at: datetime
    ) -> list[dict[str, Any]]:
        payers: dict[Resource, HoldRecord] = {}
        for hold in holds:
            # Where a proposal and a person both hold a resource, it was used once: the proposal pays.
            if hold.resource not in payers or hold.account.kind is AccountKind.PROPOSAL:
                payers[hold.resource] = hold
        return [
            {
                "launch_id": hold.launch_id,
                "resource": resource,
                "day": day,
                "account_id": hold.account_id,
                "username": hold.username,
                "proposal": hold.proposal,
                "amount": amount,
            }
            for resource, hold in payers.items()
            for day, amount in split_by_day(hold.charged or 0, started_at, ended_at, self.policy.zone)
        ]


def _merged(lines: Sequence[HoldLine]) -> list[HoldLine]:
    """Lines without duplicates and zeros, in the one order in which accounts are locked."""
    amounts: dict[tuple[AccountRef, Resource], int] = {}
    for line in lines:
        if line.amount < 0:
            raise ValueError("a hold cannot be negative")
        if line.amount:
            key = line.account, line.resource
            amounts[key] = amounts.get(key, 0) + line.amount
    return [HoldLine(*key, amount) for key, amount in sorted(amounts.items())]


def _record(
    launch_id: str, line: HoldLine, account_id: int, username: str, proposal: str | None, now: datetime
) -> HoldRecord:
    return HoldRecord(
        launch_id=launch_id,
        account_id=account_id,
        account=line.account,
        resource=line.resource,
        amount=line.amount,
        username=username,
        proposal=proposal,
        opened_at=now,
        settled_at=None,
        charged=None,
    )


def _hold_entries(
    held: Sequence[HoldRecord], balances: Sequence[Balance], now: datetime, prefix: str, reason: str
) -> list[NewEntry]:
    return [
        NewEntry(
            account_id=hold.account_id,
            kind=EntryKind.HOLD,
            held=hold.amount,
            launch_id=hold.launch_id,
            actor=hold.username,
            reason=reason,
            at=max(now, balance.span.start),
            # Numbered, not named by account: a twin that asks other accounts fails too.
            key=f"{prefix}:{number}",
        )
        for number, (hold, balance) in enumerate(zip(held, balances, strict=True))
    ]


def _require_open(holds: Sequence[HoldRecord]) -> None:
    if any(hold.settled_at is not None for hold in holds):
        raise HoldConflictError(holds[0].launch_id, "it was settled")


def _check_charges(holds: Sequence[HoldRecord], charges: Mapping[Resource, int]) -> None:
    held = {hold.resource for hold in holds}
    for resource, amount in charges.items():
        if amount < 0:
            raise ValueError(f"a charge cannot be negative: {amount} {resource.value}")
        if amount and (resource is Resource.SESSIONS or resource not in held):
            raise ValueError(f"the launch holds no {resource.value} that could be charged")


def _settled(
    store: Store, hold: HoldRecord, balance: Balance, charge: int, now: datetime, reason: str
) -> HoldRecord:
    """Write one line's charge and release; the hold as it is then."""
    covered = min(charge, hold.amount)
    at = max(now, balance.span.start)
    parts = [
        (EntryKind.CHARGE, -covered, charge),
        (EntryKind.RELEASE, covered - hold.amount, 0),
    ]
    store.add_entries(
        [
            NewEntry(
                account_id=hold.account_id,
                kind=kind,
                held=held,
                used=used,
                launch_id=hold.launch_id,
                actor=hold.username,
                reason=reason,
                at=at,
                key=f"{hold.launch_id}:{kind.value}:{hold.account_id}",
            )
            for kind, held, used in parts
            if held or used
        ]
    )
    store.save(replace(balance, held=balance.held - hold.amount, used=balance.used + charge))
    store.settle_hold(hold, charge, now)
    return replace(hold, charged=charge, settled_at=now)


def _holding(holds: Sequence[HoldRecord]) -> Holding:
    return Holding(
        launch_id=holds[0].launch_id,
        username=holds[0].username,
        lines=tuple(HoldLine(hold.account, hold.resource, hold.amount) for hold in holds),
        opened_at=holds[0].opened_at,
        is_open=all(hold.settled_at is None for hold in holds),
    )


def _settlement(holds: Sequence[HoldRecord]) -> Settlement:
    settled_at = holds[0].settled_at
    assert settled_at is not None
    lines = tuple(SettledLine(hold.account, hold.resource, hold.amount, hold.charged or 0) for hold in holds)
    return Settlement(holds[0].launch_id, settled_at, lines)
