"""How the tunnel's process is put together: settings in, one object with all parts out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging

from jupyterhub.services.auth import HubOAuth
from tornado.web import Application

from hub.api.base import NotFoundHandler
from hub.desktop import files, handlers
from hub.desktop.capability import KeyFileError, load_key, make_key
from hub.desktop.client import RelayClient
from hub.desktop.connections import Connections
from hub.desktop.ends import guacd_gone
from hub.desktop.engine import EngineClient
from hub.desktop.models import DESKTOP_PATTERN
from hub.desktop.ports import GuacdSupply
from hub.desktop.reporting import Reporter
from hub.desktop.rooms import Rooms
from hub.desktop.settings import SERVICE_CLIENT_ID, SERVICE_NAME, SERVICE_PREFIX, DesktopSettings
from hub.desktop.targets import CarryEnd
from hub.desktop.tunnel import Tunnel
from hub.settings import ConfigError, Settings, read_secret

log = logging.getLogger(__name__)

_GOODBYE_S = 3.0
"""How long closing connections may take; browsers that do not answer are cut off then."""


class DesktopApp:
    """All parts of the running tunnel; ``guacds`` are started and ended by the caller."""

    def __init__(self, settings: Settings, guacds: GuacdSupply) -> None:
        own = desktop_settings(settings)
        try:
            make_key(own.key_file)
            key = load_key(own.key_file)
        except KeyFileError as error:
            raise ConfigError(str(error)) from error
        secret = read_secret(own.secret_file)
        self.origin = settings.site.public_url
        self.max_upload = own.max_upload_mib * 1024 * 1024
        self.hub_auth = _hub_auth(settings, own)
        self._cookie_secret = hmac.digest(secret.encode(), b"cookies of the tunnel", hashlib.sha256)
        self.connections = Connections()
        self.relays = RelayClient(key)
        self._engine = EngineClient(settings.service.url, secret)
        self._rooms = Rooms(guacds, self._desktop_ended)
        self.reporter = Reporter(self._engine, self.connections, grace_s=own.recheck_grace_s)
        self.tunnel = Tunnel(
            self._engine, self.connections, self._rooms, self.reporter, key, own.workstations
        )
        self._loops: list[asyncio.Task[None]] = []

    def web(self) -> Application:
        """The tornado application."""
        parts = {"app": self}
        desktop = f"{SERVICE_PREFIX}/desktops/({DESKTOP_PATTERN})"
        return Application(
            [
                (f"{SERVICE_PREFIX}/tunnel", handlers.TunnelHandler, parts),
                (f"{SERVICE_PREFIX}/oauth_callback", handlers.CallbackHandler, parts),
                (f"{SERVICE_PREFIX}/login", handlers.LoginHandler, parts),
                (f"{SERVICE_PREFIX}/me", handlers.MeHandler, parts),
                (f"{SERVICE_PREFIX}/health", handlers.HealthHandler, parts),
                (f"{SERVICE_PREFIX}/", handlers.HealthHandler, parts),  # the hub looks here each minute
                (f"{desktop}/screens", files.ScreensHandler, parts),
                (f"{desktop}/keyboard", files.KeyboardHandler, parts),
                (f"{desktop}/files", files.FilesHandler, parts),
                (f"{desktop}/file", files.FileHandler, parts),
            ],
            default_handler_class=NotFoundHandler,
            default_handler_args=parts,
            cookie_secret=self._cookie_secret,
            xsrf_cookies=False,  # `DesktopHandler.check_xsrf_cookie`, which the hub's authentication asks
            log_function=_log_request,
        )

    async def _desktop_ended(self, display: object, end: CarryEnd) -> None:
        await self.tunnel.desktop_ended(display, end)

    def start(self) -> None:
        """Begin to report and to watch."""
        self._loops = [
            asyncio.create_task(self.reporter.run()),
            asyncio.create_task(self.reporter.listen()),
            asyncio.create_task(self.tunnel.watch()),
            asyncio.create_task(self.tunnel.check_sign_ins()),
        ]

    async def aclose(self) -> None:
        """Close all connections, so that their pages come back to the next process; release everything."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self.connections.end(guacd_gone())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self.connections.all_gone()
        await self._rooms.aclose()
        await self.relays.aclose()
        await self._engine.aclose()


def desktop_settings(settings: Settings) -> DesktopSettings:
    """The section of desktops.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if settings.desktop is None:
        raise ConfigError("there is no section `desktop`: this site has no desktops")
    return settings.desktop


def _hub_auth(settings: Settings, own: DesktopSettings) -> HubOAuth:
    return HubOAuth(
        api_url=settings.hub.api_url,
        api_token=read_secret(own.service_token_file),
        base_url=f"{SERVICE_PREFIX}/",
        hub_prefix="/hub/",
        oauth_client_id=SERVICE_CLIENT_ID,
        oauth_redirect_uri=f"{SERVICE_PREFIX}/oauth_callback",
        oauth_authorization_url="/hub/api/oauth2/authorize",
        cookie_options={"samesite": "Lax"},
        access_scopes={"access:services", f"access:services!service={SERVICE_NAME}"},
        allow_websocket_cookie_auth=True,  # the handler checks the origin itself, and wants a ticket beside
        # A person whose token was taken back is out after this many seconds.
        cache_max_age=30,
    )


def _log_request(handler: object) -> None:
    """Log method, path and time; never a query, which may hold a ticket or the name of a file."""
    request = handler.request  # type: ignore[attr-defined]
    status = handler.get_status()  # type: ignore[attr-defined]
    level = logging.DEBUG if request.path.endswith(("/health", "/")) else logging.INFO
    level = level if status < 500 else logging.ERROR
    log.log(level, "%d %s %s %.0f ms", status, request.method, request.path, 1000 * request.request_time())
