"""Only one service on a database, whatever becomes of the connection that says so."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from hub.onlyone import only_one
from hub.settings import ConfigError
from tests.support.postgresql import Cluster

_LOCKS = """
    FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = current_database()
"""
_HOLDERS = f"SELECT pid {_LOCKS} AND granted"
_KEY = 0x50614E487562


@pytest.fixture
def url(postgresql: Cluster) -> str:
    """An empty database."""
    return postgresql.new_database()


def _never() -> None:
    raise AssertionError("nobody else had it")


def _connect(postgresql: Cluster, url: str) -> psycopg.Connection:
    return postgresql.connect(url.partition("@/")[2].partition("?")[0])


def _end_holder(connection: psycopg.Connection) -> int:
    (row,) = connection.execute(_HOLDERS).fetchall()
    connection.execute("SELECT pg_terminate_backend(%s, 10000)", row)
    return int(row[0])


def test_a_lost_connection_is_made_anew_and_keeps_others_out(postgresql: Cluster, url: str) -> None:
    with only_one(url, _never, look_s=0.05), _connect(postgresql, url) as connection:
        first = _end_holder(connection)
        deadline = time.monotonic() + 60
        while not (holders := connection.execute(_HOLDERS).fetchall()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert holders != [(first,)]
        with pytest.raises(ConfigError, match="another service"), only_one(url, _never):
            pass
    with only_one(url, _never):
        pass


def test_who_comes_too_late_is_told(postgresql: Cluster, url: str) -> None:
    lost = threading.Event()
    with _connect(postgresql, url) as connection, only_one(url, lost.set, look_s=0.05):
        # Whoever waits for the lock gets it the moment that the connection ends.
        waiting = threading.Thread(target=connection.execute, args=("SELECT pg_advisory_lock(%s)", (_KEY,)))
        with _connect(postgresql, url) as other:
            waiting.start()
            deadline = time.monotonic() + 60
            while other.execute(f"SELECT count(*) {_LOCKS} AND NOT granted").fetchone() != (1,):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            _end_holder(other)
        assert lost.wait(60)
        waiting.join()
