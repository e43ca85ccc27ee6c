"""Whatever is done in whatever order: balances equal entries, and no enforced limit is passed by a hold."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from quota.models import Holder, HoldLine, QuotaExceededError
from tests.support.ledger import ADA, BEN, CPU, NOW, SESSIONS, TEAM, Books, policy, sqlite_database

LIMIT, SESSION_LIMIT, TEAM_LIMIT = 100, 3, 150
ACCOUNTS = {account.key: account for account in (ADA, BEN)}


class LedgerMachine(RuleBasedStateMachine):
    """A plain model of two persons and a proposal beside the ledger."""

    @initialize(window=st.sampled_from(["none", "day", "week", "month"]))
    def open_books(self, window):
        self.folder = tempfile.TemporaryDirectory()
        roles = [
            {"group": "users", "resource": "cpu_hours", "limit": LIMIT / 3600, "window": window},
            {"group": "users", "resource": "sessions", "limit": SESSION_LIMIT},
        ]
        team = [{"proposal": "MX-1", "resource": "cpu_hours", "limit": TEAM_LIMIT / 3600}]
        self.books = Books(sqlite_database(Path(self.folder.name)), policy(roles=roles, proposals=team))
        self.now = NOW
        self.window_end = None
        self.count = 0
        self.open: dict[str, dict] = {}
        self.settled: dict[str, object] = {}
        self.used = dict.fromkeys((ADA, BEN, TEAM), 0)

    def teardown(self):
        if hasattr(self, "books"):
            self.books.database.close()
            self.folder.cleanup()

    def left(self, account):
        limit = TEAM_LIMIT if account is TEAM else LIMIT
        return limit - self.used[account] - sum(h["cpu"] for h in self.open.values() if h["payer"] is account)

    def sessions(self, name):
        return sum(1 for held in self.open.values() if held["name"] == name)

    @rule(
        name=st.sampled_from(sorted(ACCOUNTS)),
        team=st.booleans(),
        amount=st.integers(1, 90),
        member=st.booleans(),
    )
    def hold(self, name, team, amount, member):
        payer = TEAM if team else ACCOUNTS[name]
        holder = Holder(name, frozenset({"users"}) if member else frozenset())
        lines = [HoldLine(payer, CPU, amount), HoldLine(ACCOUNTS[name], SESSIONS, 1)]
        # Without a role nothing limits sessions, and nothing of one's own pays.
        fits = (team or member) and amount <= self.left(payer)
        fits = fits and (not member or self.sessions(name) < SESSION_LIMIT)
        self.count += 1
        launch = f"l{self.count}"
        assert any(p.is_refused for p in self.books.preview(lines, now=self.now, holder=holder)) is not fits
        try:
            for _ in range(2):
                self.books.hold(launch, lines, holder=holder, now=self.now)
        except QuotaExceededError:
            assert not fits
        else:
            assert fits
            self.open[launch] = {"name": name, "payer": payer, "cpu": amount}

    @precondition(lambda self: self.open)
    @rule(data=st.data(), amount=st.integers(1, 60), key=st.uuids(), is_undone=st.booleans())
    def extend(self, data, amount, key, is_undone):
        launch = data.draw(st.sampled_from(sorted(self.open)))
        held = self.open[launch]
        holder = Holder(held["name"], frozenset({"users"}))
        fits = amount <= self.left(held["payer"])
        try:
            for _ in range(2):
                self.books.extend(
                    launch, str(key), [HoldLine(held["payer"], CPU, amount)], now=self.now, holder=holder
                )
        except QuotaExceededError:
            assert not fits
        else:
            assert fits
            if is_undone:
                for _ in range(2):
                    self.books.undo_extension(launch, str(key), now=self.now)
            else:
                held["cpu"] += amount

    @precondition(lambda self: self.open)
    @rule(data=st.data(), charge=st.integers(0, 120), hours=st.integers(0, 60))
    def settle(self, data, charge, hours):
        launch = data.draw(st.sampled_from(sorted(self.open)))
        started = self.now - timedelta(hours=hours)
        held = self.open.pop(launch)
        self.settled[launch] = self.books.settle(
            launch, {CPU: charge}, now=self.now, started_at=started, ended_at=self.now
        )
        self.used[held["payer"]] += charge

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), charge=st.integers(0, 120))
    def settle_again(self, data, charge):
        launch = data.draw(st.sampled_from(sorted(self.settled)))
        assert self.books.settle(launch, {CPU: charge}, now=self.now) == self.settled[launch]
        assert self.books.release(launch, now=self.now) == self.settled[launch]

    @rule(account=st.sampled_from([ADA, TEAM]), amount=st.integers(-50, 50), key=st.uuids())
    def adjust(self, account, amount, key):
        amount = max(amount, -self.used[account])
        self.books.adjust(account, CPU, amount, actor="olga", reason="test", key=str(key), now=self.now)
        self.used[account] += amount

    @rule(hours=st.integers(0, 24 * 20))
    def wait(self, hours):
        before = {a: self.reset_of(a) for a in (ADA, BEN)}
        self.now += timedelta(hours=hours)
        for account, end in before.items():
            if end is not None and end <= self.now:
                self.used[account] = 0

    def reset_of(self, account):
        """End of the window: of the one the role gives, once the ledger knows the account has it."""
        holder = Holder(account.key, frozenset({"users"}))
        return self.books.cpu_meter(account, now=self.now, holder=holder).resets_at

    @invariant()
    def balances_equal_entries(self):
        if hasattr(self, "books"):
            assert self.books.audit() == []

    @invariant()
    def meters_equal_the_model(self):
        if not hasattr(self, "books"):
            return
        for account in (ADA, BEN, TEAM):
            holder = Holder(account.key, frozenset({"users"})) if account is not TEAM else None
            meter = self.books.cpu_meter(account, now=self.now, holder=holder)
            assert meter.left == self.left(account)
            assert meter.used == self.used[account]
        assert {h.launch_id for h in self.books.open_holds()} == set(self.open)


LedgerMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_the_ledger_agrees_with_a_plain_model = LedgerMachine.TestCase
