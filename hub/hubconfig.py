"""How is the hub put together? The site's settings as JupyterHub's traits.

Assignments only, a comment above each block that says why; called by ``jupyterhub_config.py``.
"""

from __future__ import annotations

import functools
from typing import Any

import jupyterhub.app

from hub.bounded import BoundedServer
from hub.desktop import settings as desktop
from hub.hubhandlers import hub_handlers
from hub.identity.authenticator import PanAuthenticator
from hub.logs import keep_cookies_out
from hub.pages.render import HUB_TEMPLATES, hub_template_vars
from hub.proxywatch import WatchedProxy
from hub.settings import SERVICE_CLIENT_ID, SERVICE_NAME, SERVICE_PREFIX, Settings, read_secret
from hub.static.collect import load_manifest, static_folder
from spawners.panspawner import PanSpawner

_MAX_BODY = 256 * 1024
"""Longest request body the hub takes; JSON of 38 MiB blocks its loop for 21 s, and nothing needs more."""

_WORST_QUEUE_S = 10 * 365 * 24 * 3600
"""The hub counts waiting in a queue into its limit for a start, so it has none that anybody meets; the
engine has the real limits."""

_SHARING_SCOPES = ("shares", "access:servers")
"""The hub lets nobody share what they may not open themselves."""


def configure(c: Any, settings: Settings) -> None:
    """Set all traits of the hub that PaNHub needs."""
    secret_file = settings.service.internal_secret_file

    # The hub's own database is never ours: a lock of ours on it would freeze the hub.
    c.JupyterHub.db_url = settings.hub.database
    c.JupyterHub.cookie_secret_file = str(settings.hub.cookie_secret_file)
    c.JupyterHub.hub_bind_url = f"http://{settings.hub.bind}:{settings.hub.port}/hub/"
    if settings.hub.address is not None:
        c.JupyterHub.hub_connect_url = f"{settings.hub.url}/hub/"
    c.JupyterHub.bind_url = settings.site.public_url
    c.JupyterHub.public_url = settings.site.public_url

    # Proxy and service are supervised beside the hub: a crash of one leaves the others.
    c.JupyterHub.proxy_class = WatchedProxy
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = settings.hub.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = read_secret(settings.hub.proxy_token_file)
    c.JupyterHub.cleanup_servers = False

    # A session that waits in a queue or does not answer is looked for while the hub serves already.
    c.JupyterHub.init_spawners_timeout = 2

    # Who signs in.
    c.JupyterHub.authenticator_class = PanAuthenticator
    c.PanAuthenticator.settings = settings.identity
    c.PanAuthenticator.internal_url = settings.service.url
    c.PanAuthenticator.internal_secret_file = str(secret_file)
    c.PanAuthenticator.oauth_callback_url = f"{settings.site.public_url}/hub/oauth_callback"
    c.PanAuthenticator.extra_hub_handlers = hub_handlers()
    c.CryptKeeper.keys = [bytes.fromhex(read_secret(settings.hub.crypt_key_file))]

    # What starts sessions. Queues may be long; the engine limits, not the hub.
    c.JupyterHub.spawner_class = PanSpawner
    c.PanSpawner.engine_url = settings.service.url
    c.PanSpawner.engine_secret_file = str(secret_file)
    c.PanSpawner.start_timeout = _WORST_QUEUE_S
    c.PanSpawner.http_timeout = 120
    c.PanSpawner.env_keep = []
    if settings.hub.session_url is not None:
        c.PanSpawner.hub_connect_url = settings.hub.session_url
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.concurrent_spawn_limit = 0
    # Every start that waits, in a queue too, holds a connection to the engine: 100 would be the most.
    c.JupyterHubHTTPClient.connector_options = {"limit": 0}

    # Pages live in the service; the hub keeps login, logout and errors, which look like ours.
    c.JupyterHub.default_url = f"{SERVICE_PREFIX}/"
    _add(c.JupyterHub, "template_paths", [str(HUB_TEMPLATES)])
    c.JupyterHub.template_vars = hub_template_vars(
        SERVICE_PREFIX, load_manifest(static_folder()), settings.site.name
    )
    _add(
        c.JupyterHub,
        "services",
        [
            {
                "name": SERVICE_NAME,
                "url": settings.service.url,
                "api_token": read_secret(settings.hub.service_token_file),
                "oauth_client_id": SERVICE_CLIENT_ID,
                "oauth_redirect_uri": f"{SERVICE_PREFIX}/oauth_callback",
                "oauth_no_confirm": True,
                "display": False,
            }
        ],
    )
    _add(
        c.JupyterHub,
        "load_roles",
        [
            {
                "name": "panhub-service",
                "services": [SERVICE_NAME],
                "scopes": [
                    "list:users",
                    "read:servers",
                    "start:servers",
                    "delete:servers",
                    *(_SHARING_SCOPES if settings.desktop and settings.desktop.sharing.lab else ()),
                ],
            },
        ],
    )
    _add(c.JupyterHub, "extra_user_scopes", [f"access:services!service={SERVICE_NAME}"])
    if settings.desktop is not None:
        _add_desktop(c, settings.desktop)

    # Cookies go with links from other sites, never with their forms or scripts.
    _add(c.JupyterHub, "tornado_settings", {"cookie_options": {"samesite": "Lax"}})

    # No cookie's value in the log.
    keep_cookies_out()

    # JupyterHub sets no limit of its own, and has no trait for one.
    jupyterhub.app.tornado.httpserver.HTTPServer = functools.partial(BoundedServer, max_body=_MAX_BODY)


def _add_desktop(c: Any, settings: desktop.DesktopSettings) -> None:
    """The tunnel of desktops, beside the service: it only asks who somebody is, so it has no role."""
    _add(
        c.JupyterHub,
        "services",
        [
            {
                "name": desktop.SERVICE_NAME,
                "url": settings.url,
                "api_token": read_secret(settings.service_token_file),
                "oauth_client_id": desktop.SERVICE_CLIENT_ID,
                "oauth_redirect_uri": f"{desktop.SERVICE_PREFIX}/oauth_callback",
                "oauth_no_confirm": True,
                "display": False,
            }
        ],
    )
    _add(c.JupyterHub, "extra_user_scopes", [f"access:services!service={desktop.SERVICE_NAME}"])


def _add(section: Any, name: str, values: Any) -> None:
    """Add to what a site has set before, instead of putting it away."""
    if name not in section:
        section[name] = values
    elif isinstance(values, dict):
        section[name].update(values)
    else:
        section[name].extend(values)
