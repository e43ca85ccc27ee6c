"""Can desktops be shown? Secrets, guacd, a desktop's programs, and the way from browsers to the tunnel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from http import HTTPStatus

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from hub.checks.finding import Level, Trouble
from hub.desktop.capability import KeyFileError, load_key
from hub.desktop.codec import CodecError, decode, encode
from hub.desktop.guacd import Guacd, GuacdError
from hub.desktop.settings import SERVICE_PREFIX, DesktopSettings
from hub.settings import ConfigError, Settings, read_secret
from profiles.loader import Profiles
from spawners.plan import Interface
from spawners.session.desktop import missing

_PATIENCE_S = 10.0
_NEWER = (1, 5)
"""Protocol of guacd 1.5 and 1.6. Older releases have known faults that a VNC server can use against them."""


_ANEW = "Remove the file: the key is made anew, and desktops that run now cannot be opened any more."


def desktop(settings: Settings) -> DesktopSettings:
    """The section; these checks are for sites that have it."""
    assert settings.desktop is not None
    return settings.desktop


def check_desktop_secrets(settings: Settings) -> str:
    """Secrets, key and passwords of workstations are there and private."""
    own = desktop(settings)
    stations = own.workstations.values()
    passwords = [path for one in stations for path in (one.password_file, one.private_key_file) if path]
    troubles = []
    for path in (own.secret_file, own.service_token_file):
        try:
            read_secret(path)
        except ConfigError as error:
            troubles.append(str(error))
    for path in passwords:
        if not path.is_file() or path.stat().st_mode & 0o077:
            troubles.append(f"{path}: not there, or others may read it")
    if troubles:
        mend = "Make each with: (umask 077; openssl rand -hex 32 > FILE), owned by the account that reads it."
        raise Trouble("\n".join(troubles), mend)
    if read_secret(own.secret_file) == read_secret(own.service_token_file):
        raise Trouble("`secret_file` and `service_token_file` hold the same secret", "Make one of them anew.")
    if not own.key_file.exists():
        text = f"{own.key_file} is not there yet"
        raise Trouble(text, "Start panhub desktop: it makes the key.", Level.WARNING)
    try:
        load_key(own.key_file)
    except KeyFileError as error:
        raise Trouble(str(error), _ANEW) from error
    return f"{3 + len(passwords)} files, readable by their owner only"


async def check_guacd(settings: Settings) -> str:
    """guacd starts, or is where it is said to be, and speaks VNC."""
    own = desktop(settings)
    guacd = Guacd(own.guacd)
    mend = (
        "Install bubblewrap and guacd, or set desktop.guacd.root (made by: python -m hub.demo.guacd)."
        if own.guacd.kind == "sandbox"
        else "Start guacd there, or correct desktop.guacd."
    )
    try:
        await guacd.start()
        version = await asyncio.wait_for(_version_of(guacd), _PATIENCE_S)
    except (GuacdError, OSError, EOFError, TimeoutError, CodecError) as error:
        raise Trouble(f"guacd does not answer: {error or type(error).__name__}", mend) from error
    finally:
        await guacd.aclose()
    text = f"answers ({own.guacd.kind}), protocol {'.'.join(map(str, version))}"
    if own.guacd.kind == "address" and version < _NEWER:
        text = f"{text}: it may be of a release with known faults, and nothing keeps it in a sandbox"
        raise Trouble(text, "Run guacd 1.6.0 or newer, or kind: sandbox.", Level.WARNING)
    return text


async def _version_of(guacd: Guacd) -> tuple[int, ...]:
    """Version of the protocol, by the first answer to a selection of VNC."""
    reader, writer = await guacd.connect()
    try:
        writer.write(encode("select", "vnc").encode())
        await writer.drain()
        answer = await reader.readuntil(b";")
        opcode, version, *_ = decode(answer.decode())[0]
        if opcode != "args" or not version.startswith("VERSION_"):
            raise OSError(f"it has no VNC: {answer[:80]!r}")
        return tuple(int(part) for part in version.removeprefix("VERSION_").split("_"))
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def check_desktop_programs(profiles: Profiles) -> str:
    """What a desktop needs is installed on this machine, if sessions with desktops run on it."""
    offered = [one for one in profiles.profiles.values() if Interface.DESKTOP in one.interfaces]
    if not offered:
        mend = "Add a profile with `interfaces: [desktop]`; see docs/how-to/desktops.md."
        raise Trouble("no profile offers a desktop", mend, Level.WARNING)
    if not any(profiles.places[name].backend == "local" for one in offered for name in one.places):
        return "desktops run on the nodes of clusters; they are not looked at here"
    if lacking := missing():
        mend = "Install them; on Debian and Ubuntu: make desktop-packages"
        raise Trouble(f"not installed: {', '.join(lacking)}", mend)
    return "are installed here"


async def check_tunnel(settings: Settings) -> str:
    """The tunnel answers on its port and through the proxy, and lets no other site's pages in."""
    own, public = desktop(settings), settings.site.public_url
    if not await _is_healthy(f"{own.url}{SERVICE_PREFIX}/health"):
        raise Trouble(f"{own.url} does not answer", "Start panhub desktop.", Level.WARNING)
    path = f"{public}{SERVICE_PREFIX}"
    if not await _is_healthy(f"{path}/health"):
        mend = "Restart the hub with this configuration: it tells the proxy the way."
        raise Trouble(f"{path}/health does not lead to the tunnel", mend)
    foreign = await _upgrade(f"{path}/tunnel", "https://elsewhere.example")
    if foreign != HTTPStatus.FORBIDDEN:
        text = f"a page of another site is answered with {foreign}, not 403"
        raise Trouble(text, "Let the proxy pass the Origin header on as it is.")
    ours = await _upgrade(f"{path}/tunnel", public)
    if ours != HTTPStatus.SWITCHING_PROTOCOLS:
        mend = f"Let the proxy pass WebSockets on, with Origin and Host as browsers send them for {public}."
        raise Trouble(f"a WebSocket of this site is answered with {ours}, not 101", mend)
    return f"{path} answers, to pages of {public} only"


async def _is_healthy(url: str) -> bool:
    try:
        answer = await AsyncHTTPClient().fetch(
            url, raise_error=False, follow_redirects=False, request_timeout=_PATIENCE_S
        )
        return bool(answer.code == HTTPStatus.OK and json.loads(answer.body)["status"] == "ok")
    except (OSError, ValueError, KeyError, TypeError):
        return False


async def _upgrade(url: str, origin: str) -> int:
    """Status of the answer to a WebSocket's handshake; no ticket is given, so nothing is opened."""
    seen: list[int] = []

    def first_line(line: str) -> None:
        if line.startswith("HTTP/"):
            seen.append(int(line.split()[1]))

    request = HTTPRequest(
        url,
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": origin,
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": secrets.token_urlsafe(16),
            "Sec-WebSocket-Protocol": "guacamole",
        },
        header_callback=first_line,
        request_timeout=_PATIENCE_S,
        follow_redirects=False,
    )
    with contextlib.suppress(OSError, HTTPClientError):
        await AsyncHTTPClient().fetch(request, raise_error=False)
    return seen[0] if seen else 599
