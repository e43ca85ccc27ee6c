"""How long does a hold take at a million entries, and does anybody get what another took?

Ours: the hold of a launch (CPU-seconds and one session) in its own transaction, as the engine
makes it, on SQLite (WAL) and on a PostgreSQL that waits for its disk. Beside it the usual way of
such services, made here on the same database: the balance is the sum of the account's rows
(indexed by account), which is read, compared with the limit and followed by an insert, in the
transactions that SQLAlchemy begins by default.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from hub.database import Database, sqlite_url
from hub.migrate import upgrade
from quota.ledger import Ledger
from quota.models import AccountKind, AccountRef, Holder, HoldLine, QuotaExceededError, Resource
from quota.policy import Policy, QuotaSettings
from tests.bench.harness import Row, at_most, percentile
from tests.support.postgresql import cluster

NAME = "ledger"

ENTRIES = 1_000_000
PERSONS = 200
HOLDS = 600
PEER_EVERY = 3
"""The sum takes many times as long: a third as many are enough."""

PARALLEL = 1_000
THREADS = 16
AMOUNT = 3600
FITTING = 400
"""How many of the parallel holds the limit has room for."""

GOAL_MS = 5.0
PEER = "balance as a sum, read then insert"
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
CROWD = AccountRef(AccountKind.PROPOSAL, "crowd")


@dataclass(frozen=True, slots=True)
class Peer:
    """The usual way: sum, compare, insert."""

    engine: Engine

    def hold(self, lines: list[tuple[str, int, int]]) -> bool:
        """Hold lines of (account, amount, limit), or none; whether it did."""
        with self.engine.begin() as connection:
            for account, amount, limit in lines:
                query = text("SELECT COALESCE(SUM(amount), 0) FROM peer_entries WHERE account = :account")
                if connection.execute(query, {"account": account}).scalar_one() + amount > limit:
                    connection.rollback()
                    return False
            for account, amount, _ in lines:
                _insert_peer(connection, account, amount)
        return True


def run() -> list[Row]:
    """Measure on both databases."""
    rows = []
    for name, place in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        with place() as url:
            rows += _measure(name, url)
    return rows


def _measure(name: str, url: str) -> list[Row]:
    upgrade(url)
    users = {"group": "users", "resource": "cpu_hours", "limit": 1e6}
    sessions = {"group": "users", "resource": "sessions", "limit": 1e6}
    crowd = {"proposal": CROWD.key, "resource": "cpu_hours", "limit": FITTING * AMOUNT / 3600}
    settings = {"enforcement": "enforced", "roles": [users, sessions], "proposals": [crowd]}
    ledger = Ledger(Policy(QuotaSettings.model_validate(settings)))
    database, peer = Database(url), Peer(create_engine(url, pool_size=THREADS))
    try:
        _fill(database)
        ours, theirs, bare = _uncontended(database, ledger, peer)
        crowded_s, over, over_peer = _parallel(database, ledger, peer)
        began = time.perf_counter()
        assert database.run_now(ledger.audit) == []
        audit_s = time.perf_counter() - began
    finally:
        database.close()
        peer.engine.dispose()
    return [
        at_most(f"{name}: bare row committed, p99 (the machine's part)", "ms", percentile(bare, 99)),
        at_most(f"{name}: hold, p50", "ms", percentile(ours, 50), peer=(PEER, percentile(theirs, 50))),
        at_most(
            f"{name}: hold, p99",
            "ms",
            percentile(ours, 99),
            peer=(PEER, percentile(theirs, 99)),
            goal=GOAL_MS,
        ),
        at_most(
            f"{name}: oversubscribed of {PARALLEL:,} parallel", "holds", over, peer=(PEER, over_peer), goal=0
        ),
        at_most(f"{name}: {PARALLEL:,} parallel holds", "s", crowded_s),
        at_most(f"{name}: audit of {ENTRIES:,} entries", "s", audit_s),
    ]


def _uncontended(
    database: Database, ledger: Ledger, peer: Peer
) -> tuple[list[float], list[float], list[float]]:
    """Times of one hold after the other [ms]: ours, the peer's, and a bare row's, interleaved."""
    ours: list[float] = []
    theirs: list[float] = []
    bare: list[float] = []
    for number in range(HOLDS + PERSONS):
        name = f"person{number % PERSONS}"
        person = AccountRef(AccountKind.PERSON, name)
        lines = [HoldLine(person, Resource.CPU_SECONDS, AMOUNT), HoldLine(person, Resource.SESSIONS, 1)]
        took = _timed(lambda n=number, p=name, held=lines: _hold(database, ledger, f"one{n}", p, held))
        # The first of each person also writes down what their role gives: not what is asked here.
        if number < PERSONS:
            continue
        ours.append(took)
        if number % PEER_EVERY == 0:
            both = [(name, AMOUNT, 10**12), (f"{name}:sessions", 1, 10**9)]
            theirs.append(_timed(lambda held=both: peer.hold(held)))
            bare.append(_timed(lambda: database.run_now(lambda s: _insert_peer(s.connection(), "bare", 1))))
    return ours, theirs, bare


def _parallel(database: Database, ledger: Ledger, peer: Peer) -> tuple[float, int, int]:
    """Seconds for all holds on one account at once, and how many too many were granted: ours, the peer's."""
    line = [HoldLine(CROWD, Resource.CPU_SECONDS, AMOUNT)]
    limit = FITTING * AMOUNT

    def ours(number: int) -> bool:
        try:
            _hold(database, ledger, f"crowd{number}", f"person{number % PERSONS}", line)
        except QuotaExceededError:
            return False
        return True

    def theirs(_number: int) -> bool:
        try:
            return peer.hold([(CROWD.key, AMOUNT, limit)])
        except OperationalError:
            return False  # SQLite: another writer was in the way

    began = time.perf_counter()
    granted = _at_once(ours)
    took = time.perf_counter() - began
    assert granted == FITTING, f"{granted} granted, {FITTING} fit"
    return took, max(0, granted - FITTING), max(0, _at_once(theirs) - FITTING)


def _hold(database: Database, ledger: Ledger, launch_id: str, username: str, lines: list[HoldLine]) -> None:
    holder = Holder(username, frozenset({"users"}))
    database.run_now(lambda s: ledger.hold(s, launch_id, lines, holder=holder, now=NOW))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _at_once(call: Callable[[int], bool]) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(call, range(PARALLEL)))


def _fill(database: Database) -> None:
    """A million entries of settled launches, half holds and half charges, evenly over the persons."""
    is_sqlite = database.url.startswith("sqlite")
    numbers = (
        "(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n)"
        if is_sqlite
        else "(SELECT i FROM generate_series(0, {last}) AS g(i))"
    )
    beginning = "'1970-01-01 00:00:00'" if is_sqlite else "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
    at = "'2026-10-01 00:00:00'" if is_sqlite else "TIMESTAMPTZ '2026-10-01 00:00:00+00'"
    is_charge = f"(i / {PERSONS}) % 2 = 1"
    each = ENTRIES // PERSONS // 2 * 10
    persons, entries = numbers.format(last=PERSONS - 1), numbers.format(last=ENTRIES - 1)
    statements = [
        "INSERT INTO quota_accounts (id, kind, key, resource, used, held, enforcement, "
        '"window", window_start) '
        f"SELECT i + 1, 'person', 'person' || i, 'cpu_seconds', {each}, 0, 'observed', 'none', {beginning} "
        f"FROM {persons} AS numbers",
        "INSERT INTO quota_entries (account_id, kind, given, held, used, launch_id, actor, reason, at, key) "
        f"SELECT i % {PERSONS} + 1, CASE WHEN {is_charge} THEN 'charge' ELSE 'hold' END, 0, "
        f"CASE WHEN {is_charge} THEN -10 ELSE 10 END, CASE WHEN {is_charge} THEN 10 ELSE 0 END, "
        f"'old' || i, 'person' || (i % {PERSONS}), 'measured use', {at}, 'old' || i "
        f"FROM {entries} AS numbers",
        "CREATE TABLE peer_entries (account VARCHAR(100), amount BIGINT, key VARCHAR(100), at VARCHAR(40))",
        f"INSERT INTO peer_entries SELECT 'person' || (i % {PERSONS}), 10, 'old' || i, '2026-10-01' "
        f"FROM {entries} AS numbers",
        "CREATE INDEX peer_account ON peer_entries (account)",
    ]
    with database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
        if not is_sqlite:
            # Ids were given by hand: the sequence has to follow.
            connection.exec_driver_sql("SELECT setval('quota_accounts_id_seq', 1000)")
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        query = text("SELECT COUNT(*) FROM peer_entries WHERE account = 'person0'")
        assert connection.execute(query).scalar_one() == ENTRIES // PERSONS
        # As it is after a year, not a second, of growth: no clean-up of the filling runs along.
        for command in ("ANALYZE",) if is_sqlite else ("VACUUM ANALYZE", "CHECKPOINT"):
            connection.exec_driver_sql(command)


def _insert_peer(connection: Connection, account: str, amount: int) -> None:
    query = text("INSERT INTO peer_entries VALUES (:account, :amount, :key, :at)")
    values = {"account": account, "amount": amount, "key": str(time.perf_counter_ns()), "at": NOW.isoformat()}
    connection.execute(query, values)


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="bench-ledger-") as folder:
        yield sqlite_url(Path(folder) / "ledger.sqlite")


@contextmanager
def _postgresql() -> Iterator[str]:
    with cluster(is_durable=True) as running:
        yield running.new_database()
