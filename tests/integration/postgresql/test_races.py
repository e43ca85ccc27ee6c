"""Many launches at once, by real threads, on both databases: nobody gets what another took."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from quota.models import HoldLine, QuotaExceededError
from tests.support.ledger import ADA, AS_ADA, AS_BEN, BEN, CPU, NOW, SESSIONS, TEAM, Books, cpu, policy

THREADS = 8
USERS = [
    {"group": "panhub:users", "resource": "cpu_hours", "limit": 100 / 3600, "window": "week"},
    {"group": "panhub:users", "resource": "sessions", "limit": 40},
]
TEAMS = [{"proposal": "MX-1", "resource": "cpu_hours", "limit": 1000 / 3600}]


@pytest.fixture
def books(database):
    books = Books(database, policy(roles=USERS, proposals=TEAMS))
    yield books
    assert books.audit() == []


def at_once(calls):
    """Results of calls that begin together, in `THREADS` threads; exceptions are results too."""
    start = threading.Barrier(THREADS)

    def run(part):
        start.wait(timeout=30)
        return [_outcome(call) for call in part]

    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(run, [calls[i::THREADS] for i in range(THREADS)])
        return [outcome for part in parts for outcome in part]


def _outcome(call):
    try:
        return call()
    except Exception as error:
        return error


def test_parallel_holds_never_take_more_than_is_left(books):
    outcomes = at_once(
        [lambda i=i: books.hold(f"l{i}", [cpu(15)], holder=AS_ADA, now=NOW) for i in range(48)]
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceededError)]
    held = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert (len(held), len(refused)) == (6, 42)
    assert books.cpu_meter().held == 90


def test_holds_of_shared_accounts_in_any_order_do_not_lock_each_other_out(books):
    lines = [cpu(1, TEAM), cpu(1, ADA), cpu(1, BEN), HoldLine(ADA, SESSIONS, 1)]

    def hold(i):
        mixed = random.Random(i).sample(lines, len(lines))
        return books.hold(f"l{i}", mixed, holder=AS_ADA if i % 2 else AS_BEN, now=NOW)

    # Once without limits refusing anything: every account was given enough.
    for account in (ADA, BEN):
        books.give(account, CPU, 1000, actor="olga", reason="test", key=account.key, now=NOW)
    outcomes = at_once([lambda i=i: hold(i) for i in range(40)])
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert books.cpu_meter(TEAM).held == 40


def test_twins_of_one_launch_hold_once(books):
    lines = [cpu(15), HoldLine(ADA, SESSIONS, 1)]
    outcomes = at_once([lambda: books.hold("l1", lines, holder=AS_ADA, now=NOW)] * THREADS)
    assert len(set(outcomes)) == 1
    assert books.cpu_meter().held == 15


def test_twins_of_one_settlement_charge_once(books):
    books.hold("l1", [cpu(50)], holder=AS_ADA, now=NOW)
    outcomes = at_once([lambda i=i: books.settle("l1", {CPU: 10 + i}, now=NOW) for i in range(THREADS)])
    assert len(set(outcomes)) == 1
    assert books.cpu_meter().used == outcomes[0].lines[0].charged


def test_an_extension_beside_a_settlement_comes_before_it_or_not_at_all(books):
    for round_ in range(6):
        launch = f"l{round_}"
        books.hold(launch, [cpu(10)], holder=AS_ADA, now=NOW)
        calls = [lambda k=k, n=launch: books.extend(n, str(k), [cpu(1)], now=NOW) for k in range(THREADS - 1)]
        outcomes = at_once([*calls, lambda n=launch: books.settle(n, {CPU: 1}, now=NOW)])
        extended = sum(not isinstance(outcome, Exception) for outcome in outcomes[:-1])
        (line,) = outcomes[-1].lines
        assert line.held == 10 + extended
        assert books.open_holds() == []


def test_a_window_that_turns_under_parallel_launches_is_counted_once(books):
    books.hold("before", [cpu(40)], holder=AS_ADA, now=NOW)
    books.hold("used", [cpu(60)], holder=AS_ADA, now=NOW)
    books.settle("used", {CPU: 60}, now=NOW)
    later = NOW + timedelta(days=7)
    outcomes = at_once(
        [lambda i=i: books.hold(f"l{i}", [cpu(15)], holder=AS_ADA, now=later) for i in range(32)]
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 4
    assert books.cpu_meter(now=later).left == 0


def test_allocations_by_hand_beside_launches_leave_books_that_add_up(books):
    gives = [
        lambda i=i: books.give(ADA, CPU, 50 + i, actor="olga", reason="test", key=str(i), now=NOW)
        for i in range(16)
    ]
    holds = [lambda i=i: books.hold(f"l{i}", [cpu(10)], holder=AS_ADA, now=NOW) for i in range(32)]
    mixed = random.Random(1).sample(gives + holds, 48)
    outcomes = at_once(mixed)
    assert {type(o) for o in outcomes if isinstance(o, Exception)} <= {QuotaExceededError}
    # 100 by role before the first was given, then 65 at most.
    assert books.cpu_meter().held <= 100
