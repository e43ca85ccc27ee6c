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
from datetime import datetime
from itertools import groupby

from sqlalchemy.orm import Session

from quota import corrections, holding, settling
from quota.audit import audit
from quota.models import (
    AccountRef,
    Enforcement,
    Entry,
    Holder,
    Holding,
    HoldLine,
    Limit,
    Meter,
    Mismatch,
    Preview,
    Resource,
    Settlement,
    Source,
    UnknownHoldError,
    Window,
)
from quota.policy import Policy
from quota.standing import Standing
from quota.store import Balance, Store


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

        A second call with the same launch returns the first holding. A refusal or conflict leaves
        the caller's transaction usable and every balance as it was; after any other error it must
        be rolled back, as always.

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
        store = Store(session)
        wanted = holding.merged(lines)
        if not wanted:
            raise ValueError("a hold needs at least one line with an amount")
        taken = holding.take(self._standing, store, wanted, holder, now)
        # Looked for only now that the accounts are locked: a twin of this call has ended.
        if known := store.holds(launch_id):
            holding.put_back(store, taken)
            return holding.same(known, wanted)
        holding.refuse_if_over(self._standing, store, taken)
        return holding.begin(store, launch_id, taken, holder.username, proposal, now)

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
        ExtensionUndoneError
            If it was given back meanwhile (`undo_extension`).
        """
        store = Store(session)
        wanted = holding.merged(lines)
        if not (known := store.holds(launch_id)):
            raise UnknownHoldError(launch_id)
        # A launch never comes to hold further accounts, so this can be told before they are locked.
        holding.require_held(known, wanted)
        prefix = holding.extension(launch_id, key)
        taken = holding.take(self._standing, store, wanted, holder, now)
        known = store.holds(launch_id)
        is_repeated = not wanted or store.has_entry(f"{prefix}:0")
        if is_repeated or not holding.is_open(known):
            holding.put_back(store, taken)
            holding.refuse_undone(store, launch_id, key)
            return holding.as_holding(known) if is_repeated else holding.refuse_settled(known)
        holding.refuse_if_over(self._standing, store, taken)
        holding.enlarge(store, known, taken, prefix, now)
        return holding.as_holding(store.holds(launch_id))

    def has_extension(self, session: Session, launch_id: str, key: str) -> bool:
        """Whether `extend` was called with this key, given back or not."""
        return Store(session).has_entry(f"{holding.extension(launch_id, key)}:0")

    def undo_extension(self, session: Session, launch_id: str, key: str, *, now: datetime) -> None:
        """Give back what an extension added. A second call, or after the settlement, changes nothing."""
        holding.give_back(self._standing, Store(session), launch_id, key, now)

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
            Metered resources (`quota.models.METERED`) need no hold: they go to the reports alone.
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
        use = settling.Measured(charges, started_at or now, ended_at or now, reason)
        return settling.settle(self._standing, Store(session), launch_id, use, now)

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
        wanted = holding.merged(lines)
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

        Raises
        ------
        CorrectionError
            If nobody answers for it, or the amount is negative.
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
        """Correct what counts as used in the window of ``now``: a negative ``amount`` gives back.

        Raises
        ------
        CorrectionError
            If nobody answers for it, of sessions, or if it gives back more than was used.
        """
        note = corrections.Note(actor, reason, f"adjust:{key}", now)
        return corrections.adjust(self._standing, Store(session), account, resource, amount, note)

    def undo(self, session: Session, entry_id: int, *, actor: str, reason: str, now: datetime) -> Meter:
        """Take back an operator's allocation or adjustment by a counter-entry; once only.

        Raises
        ------
        CorrectionError
            If it is no such entry, something newer stands on it, or its window has ended.
        """
        note = corrections.Note(actor, reason, f"undo:{entry_id}", now)
        return corrections.undo(self._standing, Store(session), entry_id, note)

    def holding(self, session: Session, launch_id: str) -> Holding | None:
        """What a launch holds or held, extensions included; None if it never did."""
        holds = Store(session).holds(launch_id)
        return holding.as_holding(holds) if holds else None

    def open_holds(self, session: Session) -> list[Holding]:
        """All that is held now, oldest launch first."""
        groups = groupby(Store(session).open_holds(), key=lambda hold: hold.launch_id)
        return [holding.as_holding(list(holds)) for _, holds in groups]

    def history(
        self, session: Session, account: AccountRef, *, limit: int = 100, before: int | None = None
    ) -> list[Entry]:
        """Entries of an account, newest first; ``before`` is the id that the last page ended with."""
        return Store(session).entries(account, limit=limit, before=before)

    def audit(self, session: Session) -> list[Mismatch]:
        """Every running balance that is not the sum of its entries; empty when all is right."""
        return audit(session)
