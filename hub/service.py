"""The service's process: one engine on one database, served until told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.app import App
from hub.bounded import BoundedServer
from hub.logs import keep_cookies_out
from hub.migrate import upgrade
from hub.settings import ConfigError, Settings

log = logging.getLogger(__name__)

_MAX_BODY = 256 * 1024
"""Longest request body in bytes; no request of ours comes near it."""

_PG_LOCK = 0x50614E487562
"""Key of the advisory lock in PostgreSQL: the letters PaNHub."""


def run_service(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        If another service works on the same database, or the configuration is wrong.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_cookies_out()
    settings.service.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(settings):
        upgrade(settings.database.url)
        asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    app = App(settings)
    # What was made so far (300,000 objects with Kubernetes' models) stays for ever: each look for garbage
    # among it would keep the loop for a fifth of a second.
    gc.collect()
    gc.freeze()
    server = BoundedServer(app.web(), max_body=_MAX_BODY, xheaders=True)
    server.listen(settings.service.port, settings.service.bind)
    await app.start()
    log.info("PaNHub serves on %s%s", settings.service.url, app.prefix)
    await stopped.wait()
    log.info("Stopping")
    await app.aclose()
    server.stop()
    await server.close_all_connections()


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold a lock that the system releases with the process, however it ends."""
    if settings.database.url.startswith("postgresql"):
        with _postgres_lock(settings.database.url):
            yield
        return
    path = Path(settings.database.url.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(f"{path}: another service works on this database; stop it first") from error
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _postgres_lock(url: str) -> Iterator[None]:
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            got = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _PG_LOCK}).scalar()
            connection.commit()
            if not got:
                raise ConfigError(f"{engine.url.database}: another service works on this database")
            yield
    finally:
        engine.dispose()
