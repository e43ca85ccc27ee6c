"""Only one service works on a database: a lock that goes with the process, however it ends.

SQLite has the lock of a file beside it. PostgreSQL has an advisory lock, which is a connection's: it goes
when the server restarts or somebody ends idle connections, so it is looked after, and taken anew.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from hub.settings import ConfigError

log = logging.getLogger(__name__)

_KEY = 0x50614E487562
"""Key of the advisory lock in PostgreSQL: the letters PaNHub."""

_LOOK_S = 10.0
_STOP_S = 5.0

# A machine that lost its power says no farewell, and PostgreSQL would hold its lock for hours; the other
# way round nobody would notice that the database's machine is gone.
_NOTICED_SOON = (
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
_NOTICING_SOON = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


@contextmanager
def only_one(url: str, lost: Callable[[], None], *, look_s: float = _LOOK_S) -> Iterator[None]:
    """Hold the lock of a database. Blocking.

    ``lost`` is called, in another thread, if the lock was lost and another service has it now.

    Raises
    ------
    ConfigError
        If another service works on it.
    """
    if url.startswith("postgresql"):
        with _Held(url, lost, look_s).looked_after():
            yield
        return
    path = Path(url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(f"{path}: another service works on this database; stop it first") from error
    try:
        yield
    finally:
        os.close(lock)


class _Held:
    """The advisory lock, on a connection of its own."""

    def __init__(self, url: str, lost: Callable[[], None], look_s: float) -> None:
        self._engine = create_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_NOTICING_SOON
        )
        self._lost = lost
        self._look_s = look_s
        self._connection: Connection | None = None
        self._is_over = threading.Event()

    @contextmanager
    def looked_after(self) -> Iterator[None]:
        if not self._take():
            raise ConfigError(f"{self._engine.url.database}: another service works on this database")
        thread = threading.Thread(target=self._look, daemon=True, name="only-one")
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join(_STOP_S)
            if not thread.is_alive():  # else it waits for a database that does not answer
                self._forget()

    def _look(self) -> None:
        while not self._is_over.wait(self._look_s):
            try:
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                elif self._take():
                    log.info("The database is there again, and still this service's alone")
                else:
                    log.critical("Another service works on this database now: this one ends")
                    self._lost()
                    return
            except DBAPIError as error:
                if self._connection is not None:
                    log.warning("The database has ended the connection that keeps others out: %s", error.orig)
                self._forget()

    def _take(self) -> bool:
        connection = self._engine.connect()
        try:
            for setting in _NOTICED_SOON:
                connection.execute(text(setting))
            got = bool(connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _KEY}).scalar())
        except BaseException:
            connection.invalidate()
            raise
        if got:
            self._connection = connection
        else:
            connection.close()
        return got

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()
            connection.close()
