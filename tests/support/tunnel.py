"""A tunnel in the test's own loop, between scripted peers: hub, engine and a session's relay.

guacd and the display behind the relay are what the test gives: real ones. The engine knows tickets and says
what the test has it say; the relay checks capabilities as a session does.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler, create_signed_value, stream_request_body
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketHandler,
    websocket_connect,
)

from hub.desktop.app import DesktopApp
from hub.desktop.capability import is_signed_by, payload_of, public_text
from hub.desktop.codec import decode, encode
from hub.desktop.models import Admission, Decision, ReportBody, Role, SessionTarget, WorkstationTarget
from hub.desktop.ports import GuacdPort
from hub.desktop.settings import DesktopSettings
from hub.settings import HubSettings, ServiceSettings, Settings, SiteSettings
from tests.support.guacd import OneForAll

DESKTOP = "0123456789abcdef"
BASE = "/user/ada/work"
SESSION_ID = "of-the-browser"
PATIENCE_S = 30.0


class ScriptedEngine:
    """Tickets and decisions; ``is_silent`` makes it answer 503 to everything."""

    def __init__(self) -> None:
        self.tickets: dict[str, tuple[str, Admission]] = {}
        self.decisions: dict[str, Decision] = {}
        self.reports: list[ReportBody] = []
        self.is_silent = False
        self.position = 0
        self._news = asyncio.Condition()

    def ticket(
        self,
        username: str = "ada",
        *,
        role: Role = Role.OWNER,
        desktop: str = DESKTOP,
        target: SessionTarget | WorkstationTarget | None = None,
        **rights: Any,
    ) -> str:
        """A fresh ticket; an owner has control, unless ``rights`` say otherwise."""
        assert target is not None
        given = {"has_control": role is not Role.VIEWER, "may_transfer": role is not Role.VIEWER, **rights}
        decision = Decision(may_stay=True, role=role, **given)
        admission = Admission(
            connection=secrets.token_hex(8),
            desktop=desktop,
            target=target,
            username=username,
            display_name=username.title(),
            decision=decision,
        )
        ticket = secrets.token_urlsafe(16)
        self.tickets[ticket] = (username, admission)
        self.decisions[admission.connection] = decision
        return ticket

    def redeem(self, ticket: str, username: str) -> Admission | None:
        """Once, and for its own person only."""
        found = self.tickets.pop(ticket, None)
        return found[1] if found is not None and found[0] == username else None

    async def decide(self, connection: str, **changes: Any) -> None:
        """Change what a connection may do, and say that there is news."""
        self.decisions[connection] = self.decisions[connection].model_copy(update=changes)
        await self.tell()

    async def tell(self) -> None:
        """There is news."""
        async with self._news:
            self.position += 1
            self._news.notify_all()

    async def wait_for_news(self, position: str) -> None:
        """Until there is news that position does not have, or the wait is over."""
        async with self._news:
            if position != str(self.position):
                return
            try:
                async with asyncio.timeout(20):
                    await self._news.wait()
            except TimeoutError:
                return


class ScriptedRelay:
    """The relay's side in a session: RFB from ``display``, a unix socket; keeps what it was told."""

    def __init__(self, public: str) -> None:
        self.public = public
        self.display: Path | None = None
        self.password = ""
        self.status = 0
        self.close_code: int | None = None
        self.inputs = 0
        self.rfb = RfbInput()
        self.open: set[RfbHandler] = set()
        self.opened = 0
        self.nonces: set[str] = set()
        self.asked: list[tuple[str, str, bytes]] = []
        self.files: dict[str, bytes] = {}

    def may(self, handler: RequestHandler, do: str) -> bool:
        """Whether a request carries a capability for this, used for the first time."""
        scheme, _, text = handler.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Capability" or not is_signed_by(text, self.public):
            return False
        said = payload_of(text)
        nonce, until = str(said["nonce"]), float(str(said["exp"]))
        if nonce in self.nonces or not time.time() < until <= time.time() + 30:
            return False
        self.nonces.add(nonce)
        return said["do"] == do and said["launch"] == DESKTOP

    def cut(self, code: int | None) -> None:
        """Close all RFB connections: with a code, or as a network that breaks."""
        for one in list(self.open):
            if code is None:
                one.ws_connection._abort()
            else:
                one.close(code)


class RfbInput:
    """What a display is told, read from a client's half of RFB (RFC 6143 7.5)."""

    _SIZES = {0: 20, 3: 10, 4: 8, 5: 6}  # noqa: RUF012
    _HANDSHAKE = 12 + 1 + 16 + 1

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self._buffers: dict[object, bytes] = {}
        self._begun: set[object] = set()

    @property
    def keys(self) -> list[tuple[str, Any]]:
        """Keys pressed and released, by keysym, and texts of the clipboard."""
        return [event for event in self.events if event[0] != "pointer"]

    def feed(self, who: object, data: bytes) -> None:
        """Read on."""
        buffer = self._buffers.get(who, b"") + data
        if who not in self._begun and len(buffer) >= self._HANDSHAKE:
            self._begun.add(who)
            buffer = buffer[self._HANDSHAKE :]
        while who in self._begun and buffer and len(buffer) >= (size := self._size(buffer)):
            self._note(buffer[:size])
            buffer = buffer[size:]
        self._buffers[who] = buffer

    def _size(self, buffer: bytes) -> int:
        if buffer[0] == 2:
            return 4 + 4 * int.from_bytes(buffer[2:4].ljust(2, b"\0"))
        if buffer[0] == 6:
            return 8 + int.from_bytes(buffer[4:8].ljust(4, b"\0"))
        return self._SIZES[buffer[0]]

    def _note(self, message: bytes) -> None:
        if message[0] == 4:
            self.events.append(("press" if message[1] else "release", int.from_bytes(message[4:8])))
        elif message[0] == 5:
            self.events.append(("pointer", message[1]))
        elif message[0] == 6:
            self.events.append(("clipboard", message[8:]))


class RfbHandler(WebSocketHandler):
    """``GET rfb``."""

    def initialize(self, relay: ScriptedRelay) -> None:
        self.relay = relay

    def prepare(self) -> None:
        if self.relay.status:
            self.set_status(self.relay.status)
            self.finish()
        elif not self.relay.may(self, "rfb"):
            self.set_status(403)
            self.finish()

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "panhub-rfb" if "panhub-rfb" in subprotocols else None

    async def open(self, *_: str) -> None:
        self.relay.opened += 1
        self.relay.open.add(self)
        await self.write_message(json.dumps({"password": self.relay.password, "width": 800, "height": 600}))
        self.reader, self.writer = await asyncio.open_unix_connection(self.relay.display)
        self.task = asyncio.create_task(self._carry())

    async def _carry(self) -> None:
        try:
            while data := await self.reader.read(32768):
                await self.write_message(data, binary=True)
        except WebSocketClosedError:
            return
        self.close(1011)

    async def on_message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.relay.inputs += json.loads(message) == {"input": True}
            return
        self.relay.rfb.feed(self, message)
        self.writer.write(message)
        await self.writer.drain()

    def on_close(self) -> None:
        self.relay.open.discard(self)
        if hasattr(self, "writer"):
            self.writer.close()
            self.task.cancel()


class SetHandler(RequestHandler):
    """``POST screens`` and ``POST keyboard``."""

    def initialize(self, relay: ScriptedRelay, do: str) -> None:
        self.relay, self.do = relay, do

    def post(self) -> None:
        if not self.relay.may(self, self.do):
            self.set_status(403)
            return
        self.relay.asked.append((self.do, "", self.request.body))
        self.finish(self.request.body)


@stream_request_body
class FilesHandler(RequestHandler):
    """``GET files``, ``GET file``, ``PUT file``."""

    def initialize(self, relay: ScriptedRelay) -> None:
        self.relay, self.body = relay, b""

    def prepare(self) -> None:
        self.request.connection.set_max_body_size(2**30)
        if not self.relay.may(self, "files"):
            self.set_status(403)
            self.finish()

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    async def get(self, what: str) -> None:
        path = self.get_query_argument("path", "", strip=False)
        if what == "files":
            self.finish({"path": path, "entries": sorted(self.relay.files)})
        elif path not in self.relay.files:
            self.set_status(404)
            self.finish({"detail": "There is no such file."})
        else:
            content = self.relay.files[path]
            self.set_header("Content-Length", str(len(content)))
            for start in range(0, len(content), 65536):
                self.write(content[start : start + 65536])
                await self.flush()

    def put(self, _: str) -> None:
        path = self.get_query_argument("path", "", strip=False)
        self.relay.files[path] = self.body
        self.set_status(201)
        self.finish({"path": path, "size": len(self.body)})


class HubUserHandler(RequestHandler):
    """``GET /hub/api/user``: who a token belongs to."""

    def initialize(self, world: World) -> None:
        self.world = world

    def get(self) -> None:
        name = self.world.tokens.get(self.request.headers.get("Authorization", "").partition(" ")[2])
        if name is None:
            self.set_status(403)
            self.finish({})
            return
        scopes = ["access:services!service=desktop"] if name != "stranger" else ["self"]
        self.finish({"name": name, "kind": "user", "scopes": scopes, "session_id": SESSION_ID})


class EngineHandler(RequestHandler):
    """The engine's internal interface."""

    def initialize(self, world: World) -> None:
        self.world, self.engine = world, world.engine

    def prepare(self) -> None:
        if self.engine.is_silent:
            self.set_status(503)
            self.finish()
        elif self.request.headers.get("Authorization") != f"Bearer {self.world.secret}":
            self.set_status(401)
            self.finish()

    def post(self, what: str) -> None:
        body = json.loads(self.request.body)
        if what == "redeem":
            admission = self.engine.redeem(body["ticket"], body["username"])
            if admission is None:
                self.set_status(403)
                self.finish({"code": "ticket_refused"})
                return
            self.finish(admission.model_dump_json())
            return
        report = ReportBody.model_validate(body)
        self.engine.reports.append(report)
        known = self.engine.decisions
        self.finish(
            {
                "decisions": {
                    one.connection: json.loads(known[one.connection].model_dump_json())
                    for one in report.connections
                    if one.connection in known
                },
                "position": str(self.engine.position),
            }
        )

    async def get(self, _what: str) -> None:
        await self.engine.wait_for_news(self.get_query_argument("position"))
        self.finish({"position": str(self.engine.position)})


class BrowserEnd:
    """A browser's WebSocket, as guacamole-common-js has it: `read` instructions, `say` some."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.seen: list[tuple[str, ...]] = []
        self._waiting: list[tuple[str, ...]] = []
        self._alive: asyncio.Task[None] | None = None

    async def read(self) -> tuple[str, ...]:
        """The next instruction; raises EOFError when the tunnel closed. Answers ``sync``."""
        while not self._waiting:
            message = await self.socket.read_message()
            if message is None:
                raise EOFError(f"{self.code} {self.reason}")
            assert isinstance(message, str), "text frames only"
            self._waiting = decode(message)
        found = self._waiting.pop(0)
        self.seen.append(found)
        if found[0] == "sync":
            await self.say("sync", found[1])
        return found

    async def until(self, *opcodes: str, patience_s: float = PATIENCE_S) -> tuple[str, ...]:
        """The next instruction with one of these opcodes."""
        async with asyncio.timeout(patience_s):
            while (found := await self.read())[0] not in opcodes:
                pass
            return found

    async def say(self, *elements: str) -> None:
        """Send an instruction."""
        await self.tell(encode(*elements))

    async def tell(self, text: str) -> None:
        """Send text."""
        try:
            await self.socket.write_message(text)
        except WebSocketClosedError:
            return

    async def until_closed(self, patience_s: float = PATIENCE_S) -> str:
        """Read on until the tunnel closes; the close frame's reason."""
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    await self.read()
        except EOFError:
            return self.reason

    async def quietly(self, seconds: float) -> None:
        """Read on for a while."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.read()
        except TimeoutError:
            return

    @property
    def code(self) -> int | None:
        return self.socket.close_code

    @property
    def reason(self) -> str:
        return self.socket.close_reason or ""

    def close(self) -> None:
        self.socket.close()


class World:
    """The tunnel and all that is around it."""

    def __init__(self, folder: Path, guacd: GuacdPort, **rules: Any) -> None:
        self.secret, self.service_token = secrets.token_hex(16), secrets.token_hex(16)
        for name, value in (("secret", self.secret), ("token", self.service_token)):
            (folder / name).write_text(value)
            (folder / name).chmod(0o600)
        peers, self.peer_port = bind_unused_port()
        mine, self.port = bind_unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.origin = "https://desktops.example.org"
        own = DesktopSettings(
            port=self.port,
            secret_file=folder / "secret",
            service_token_file=folder / "token",
            key_file=folder / "key.pem",
            **rules,
        )
        other: Any = Path("/dev/null")
        self.settings = Settings.model_construct(
            site=SiteSettings(public_url=self.origin),
            service=ServiceSettings(port=self.peer_port, internal_secret_file=other, state=folder),
            hub=HubSettings(
                port=self.peer_port,
                service_token_file=other,
                crypt_key_file=other,
                cookie_secret_file=other,
                proxy_token_file=other,
            ),
            desktop=own,
        )
        self.engine = ScriptedEngine()
        self.relay = ScriptedRelay(public_text(own.key_file))
        self.tokens: dict[str, str] = {}
        self.app = DesktopApp(self.settings, OneForAll(guacd))
        self._sockets = (mine, peers)
        self._servers: list[HTTPServer] = []

    def serve(self) -> None:
        """Listen, and begin to report."""
        relay, below = {"relay": self.relay}, f"{BASE}/panhub/desktop"
        for application, listener in zip(
            (self.app.web(), self._peers(relay, below)), self._sockets, strict=True
        ):
            server = HTTPServer(application)
            server.add_socket(listener)
            self._servers.append(server)
        self.app.start()

    def _peers(self, relay: dict[str, Any], below: str) -> Application:
        return Application(
            [
                (r"/hub/api/user", HubUserHandler, {"world": self}),
                (r"/internal/desktop/(redeem|report|news)", EngineHandler, {"world": self}),
                (f"{below}/rfb", RfbHandler, relay),
                (f"{below}/screens", SetHandler, {**relay, "do": "screens"}),
                (f"{below}/keyboard", SetHandler, {**relay, "do": "keyboard"}),
                (f"{below}/(files|file)", FilesHandler, relay),
            ],
            log_function=lambda _: None,
        )

    @property
    def target(self) -> SessionTarget:
        """The session's own server."""
        return SessionTarget(launch_id=DESKTOP, url=f"http://127.0.0.1:{self.peer_port}{BASE}/")

    def cookies(self, username: str) -> str:
        """Cookies of a browser that is signed in to the tunnel."""
        token = next((t for t, name in self.tokens.items() if name == username), secrets.token_hex(8))
        self.tokens[token] = username
        value = create_signed_value(self.app._cookie_secret, "service-desktop", token).decode()
        return f'service-desktop="{value}"; jupyterhub-session-id={SESSION_ID}'

    def ticket(self, username: str = "ada", role: Role = Role.OWNER, **rights: Any) -> str:
        """A fresh ticket for the session's desktop."""
        return self.engine.ticket(username, role=role, **{"target": self.target, **rights})

    async def connect(
        self, query: str, *, username: str = "ada", subprotocol: str | None = "guacamole", **headers: str
    ) -> BrowserEnd:
        """Open the tunnel's WebSocket as a browser would."""
        said = {"Origin": self.origin, "Cookie": self.cookies(username), **headers}
        request = HTTPRequest(
            f"ws://127.0.0.1:{self.port}/services/desktop/tunnel?{query}",
            headers={name: value for name, value in said.items() if value},
        )
        offered = [subprotocol] if subprotocol else None
        return BrowserEnd(await websocket_connect(request, subprotocols=offered, max_message_size=2**24))

    async def enter(self, username: str = "ada", role: Role = Role.OWNER, **rights: Any) -> BrowserEnd:
        """A window whose desktop is drawn."""
        ticket = self.ticket(username, role, **rights)
        browser = await self.connect(f"ticket={ticket}&width=800&height=600", username=username)
        found = await browser.until("sync", "error")
        assert found[0] == "sync", found
        return browser

    def connection_of(self, username: str) -> str:
        """Id of a person's only open connection."""
        found = [one for one in self.app.connections if one.admission.username == username]
        assert len(found) == 1
        return found[0].id

    async def aclose(self) -> None:
        """End it all."""
        await self.app.aclose()
        for server in self._servers:
            server.stop()
            await server.close_all_connections()


@asynccontextmanager
async def running_world(folder: Path, guacd: GuacdPort, **rules: Any) -> AsyncIterator[World]:
    """A tunnel that serves, with its loops."""
    world = await asyncio.to_thread(World, folder, guacd, **rules)
    world.serve()
    try:
        yield world
    finally:
        await world.aclose()


async def until_true(what: Callable[[], object], message: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, message
        await asyncio.sleep(0.02)
