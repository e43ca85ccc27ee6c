"""The tunnel's process: ``panhub desktop``, served until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal

from tornado.httpserver import HTTPServer

from hub.desktop.app import DesktopApp, desktop_settings
from hub.desktop.guacd import GuacdError
from hub.desktop.guacds import Guacds
from hub.desktop.settings import SERVICE_PREFIX
from hub.logs import keep_cookies_out
from hub.settings import ConfigError, Settings

log = logging.getLogger(__name__)

_MAX_BODY = 64 * 1024
"""Longest request body in bytes; files raise it for themselves."""

_CHUNK = 64 * 1024


def run_desktop(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        If the configuration is wrong, or guacd cannot be started.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs whole addresses, names of files in them
    keep_cookies_out()
    try:
        asyncio.run(serve(settings))
    except GuacdError as error:
        raise ConfigError(str(error)) from error


async def serve(settings: Settings) -> None:
    """Serve until told to stop."""
    own = desktop_settings(settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    guacds = Guacds(own.guacd)
    try:
        await guacds.start()
        app = await asyncio.to_thread(DesktopApp, settings, guacds)  # it reads files, and may make one
        server = HTTPServer(
            app.web(), xheaders=True, max_body_size=_MAX_BODY, chunk_size=_CHUNK, idle_connection_timeout=300
        )
        server.listen(own.port, own.bind)
        app.start()
        log.info("Desktops are served on %s%s", own.url, SERVICE_PREFIX)
        await stopped.wait()
        log.info("Stopping")
        server.stop()
        await app.aclose()
        await server.close_all_connections()
    finally:
        await guacds.aclose()
