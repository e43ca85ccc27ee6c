"""The demo's identity provider: OpenID Connect for a handful of people, on this machine only.

It is for trying PaNHub without a Keycloak: picking a person replaces the password, and all else is
as a real provider does it: discovery, code flow with a client secret and PKCE, nonce, signed ID
tokens, userinfo, rotating refresh tokens, revocation, signing out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tornado import web

from hub.demo.endpoints import PAGES, ROUTES
from hub.demo.people import PEOPLE, DemoPerson
from hub.demo.sign_in import Client, IdentityProvider
from hub.identity.settings import is_loopback


def make_app(
    issuer: str,
    client_id: str,
    client_secret: str,
    redirect_uris: Sequence[str],
    people: Sequence[DemoPerson],
) -> web.Application:
    """Web application of a provider with one client.

    Parameters
    ----------
    issuer
        Base URL, on this machine: ``http://127.0.0.1:8003``.
    redirect_uris
        Exact addresses that a sign-in may lead to; signing out may lead anywhere on their origins.
    """
    return app_of(IdentityProvider(issuer, Client(client_id, client_secret, tuple(redirect_uris)), people))


def app_of(provider: IdentityProvider) -> web.Application:
    """Web application of a provider.

    Raises
    ------
    ValueError
        If its issuer is not on this machine.
    """
    parts = urlsplit(provider.issuer)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise ValueError("the demo's identity provider lives on this machine only: http://127.0.0.1:…")
    arguments = {"provider": provider}
    return web.Application(
        [
            *((parts.path + path, handler, arguments) for path, handler in ROUTES),
            (parts.path + r"/static/(provider\.css)", web.StaticFileHandler, {"path": str(PAGES)}),
        ]
    )


async def serve(app: web.Application, issuer: str) -> None:
    """Listen at the issuer's address until cancelled."""
    parts = urlsplit(issuer)
    server = app.listen(parts.port or 80, address=parts.hostname or "")
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the provider for the demo's people."""
    parser = argparse.ArgumentParser(prog="python -m hub.demo.provider", description=main.__doc__)
    parser.add_argument("--issuer", default="http://127.0.0.1:8003", help="address to serve, on this machine")
    parser.add_argument("--client-id", default="panhub")
    parser.add_argument("--client-secret-file", type=Path, required=True)
    parser.add_argument("--redirect-uri", action="append", required=True, help="may be given several times")
    options = parser.parse_args(arguments)
    secret = options.client_secret_file.read_text(encoding="utf-8").strip()
    try:
        app = make_app(options.issuer, options.client_id, secret, options.redirect_uri, PEOPLE)
    except ValueError as error:
        parser.error(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(app, options.issuer))


if __name__ == "__main__":
    main()
