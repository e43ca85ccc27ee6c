"""The demo's identity provider over TLS, with a certificate of a site's own authority."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from hub.demo.endpoints import PAGES, ROUTES
from hub.demo.people import PEOPLE
from hub.demo.sign_in import Client, IdentityProvider


def make_certificate(folder: Path, address: str) -> Path:
    """Certificate and key for an address, signed by itself; returns the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Facility")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate = folder / "ca.crt"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate


@contextmanager
def running_provider(folder: Path, address: str, public_url: str, secret: str) -> Iterator[str]:
    """Serve it at ``address`` in a thread; gives the issuer. The certificate is ``folder/ca.crt``."""
    (listener,) = bind_sockets(0, address)
    issuer = f"https://{address}:{listener.getsockname()[1]}"
    client = Client("panhub", secret, (f"{public_url}/hub/oauth_callback",))
    arguments = {"provider": IdentityProvider(issuer, client, PEOPLE)}
    application = web.Application(
        [
            *((path, handler, arguments) for path, handler in ROUTES),
            (r"/static/(provider\.css)", web.StaticFileHandler, {"path": str(PAGES)}),
        ]
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "tls.key")
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = HTTPServer(application, ssl_options=context)
        server.add_sockets([listener])

    loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        listener.close()
        loop.close()
