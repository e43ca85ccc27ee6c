"""The service's process: one engine on one database, served until told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from contextlib import AbstractContextManager

from hub.app import App
from hub.bounded import BoundedServer
from hub.logs import keep_cookies_out
from hub.migrate import upgrade
from hub.onlyone import only_one
from hub.settings import Settings

log = logging.getLogger(__name__)

_MAX_BODY = 256 * 1024
"""Longest request body in bytes; no request of ours comes near it."""


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


def _only_one(settings: Settings) -> AbstractContextManager[None]:
    """Hold the lock of the database; stop if another service has got it."""
    return only_one(settings.database.url, lambda: os.kill(os.getpid(), signal.SIGTERM))
