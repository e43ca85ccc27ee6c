"""The service's own database: SQLite in WAL mode by default, PostgreSQL in production.

A unit of work is a plain function that gets a `Session` and runs in a thread: it cannot
``await`` half-way, so no transaction spans a switch of tasks. Times are stored as aware UTC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, MetaData, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from quota.schema import QuotaBase, UtcTime

T = TypeVar("T")

__all__ = ["ALL_METADATA", "Database", "HubBase", "UtcTime", "make_engine", "sqlite_url"]


class HubBase(DeclarativeBase):
    """Tables of the application; those of the ledger are `quota.schema.QuotaBase`."""

    metadata = MetaData(naming_convention=QuotaBase.metadata.naming_convention)


ALL_METADATA = (HubBase.metadata, QuotaBase.metadata)

_POSTGRES_THREADS = 8
"""Units of work at once on PostgreSQL; more only queue on its locks."""

_ATTEMPTS = 5
"""A unit of work is tried this often when the database reports a conflict."""


def make_engine(url: str) -> Engine:
    """Open the database. SQLite gets WAL, foreign keys and writers that queue for 10 s."""
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": 10, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
        return engine
    return create_engine(url, pool_size=_POSTGRES_THREADS, max_overflow=2, pool_pre_ping=True)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would open transactions lazily; `_begin_immediate` takes the write lock at once.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A read that later writes would fail with SQLITE_BUSY_SNAPSHOT, without any waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Database:
    """Runs units of work in threads, one at a time on SQLite."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(url)
        workers = 1 if url.startswith("sqlite") else _POSTGRES_THREADS
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="database")

    async def run(self, unit: Callable[[Session], T]) -> T:
        """Run ``unit`` in one transaction, again on a conflict with another writer.

        ``unit`` must change nothing but the database: it may run more than once.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.run_now, unit)

    def run_now(self, unit: Callable[[Session], T]) -> T:
        """Like `run`, in the calling thread: for commands and tests, not for an event loop."""
        for attempt in range(_ATTEMPTS):
            try:
                with Session(self.engine, expire_on_commit=False) as session, session.begin():
                    return unit(session)
            except OperationalError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.02 * 2**attempt)
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the threads and close all connections."""
        self._threads.shutdown(wait=True)
        self.engine.dispose()


def sqlite_url(path: Path) -> str:
    """URL of an SQLite file."""
    return f"sqlite:///{path}"
