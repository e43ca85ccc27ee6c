"""A session with a desktop on this machine, without a hub; asked as the tunnel does."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from hub.desktop.capability import load_key, public_text, sign
from spawners.local.backend import LocalBackend
from spawners.local.processes import kill_launch
from spawners.local.settings import LocalSettings
from spawners.plan import Environment, Interface, LaunchPlan
from tests.support.local import ROOT, HubStub, Site, credentials, hub_stub, wait_until
from tests.support.required import require
from tests.support.rfb import RfbClient

PREFIX = Path(os.environ.get("PANHUB_TEST_DESKTOP", ROOT / "build" / "environments" / "pan-desktop"))


@dataclass
class DesktopSession:
    """A running session; ``began`` is when it was asked for [s of the monotonic clock]."""

    hub: HubStub
    plan: LaunchPlan
    site: Site
    port: int
    key: Ed25519PrivateKey
    run: Path
    began: float
    log: Path = field(default=Path())

    @property
    def base(self) -> str:
        """Address of the desktop's handlers."""
        return f"http://127.0.0.1:{self.port}/user/alice/panhub/desktop"

    @property
    def folder(self) -> Path:
        """The desktop's private folder, as this machine has it."""
        return self.run / "jupyter" / "desktop"

    def ask(
        self, method: str, name: str, *, body: object = None, path: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Ask a handler; with a good capability unless headers are given."""
        do = "files" if name in {"files", "file"} else name
        headers = headers or {"Authorization": f"Capability {sign(self.key, self.plan.launch_id, do)}"}
        query = "" if path is None else "?" + urlencode({"path": path})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/{name}{query}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    async def relay(self, **headers: str) -> WebSocketClientConnection:
        """Open the relay as the tunnel does."""
        headers = headers or {
            "Authorization": f"Capability {sign(self.key, self.plan.launch_id, 'rfb')}",
        }
        request = HTTPRequest(f"ws{self.base.removeprefix('http')}/rfb", headers=headers)
        return await websocket_connect(request, subprotocols=["panhub-rfb"], max_message_size=1 << 20)

    @asynccontextmanager
    async def screen(self) -> AsyncIterator[RfbClient]:
        """The screen by the relay; waits for a desktop that is starting."""
        socket = await self.relay()
        hello = json.loads(await socket.read_message() or "{}")
        held = bytearray()

        async def read(count: int) -> bytes:
            while len(held) < count:
                message = await socket.read_message()
                if not isinstance(message, bytes):
                    raise EOFError(f"{socket.close_code} {socket.close_reason}")
                held.extend(message)
            found = bytes(held[:count])
            del held[:count]
            return found

        async def write(data: bytes) -> None:
            await socket.write_message(data, binary=True)

        client = RfbClient(read, write)
        await client.handshake(hello["password"])
        try:
            yield client
        finally:
            socket.close()


@contextmanager
def desktop_session(
    folder: Path, *, isolation: str = "required", **changes: object
) -> Iterator[DesktopSession]:
    """A session of alice with a desktop; ended afterwards."""
    require((PREFIX / "bin" / "jupyterhub-singleuser").exists(), "build/environments/pan-desktop: make demo")
    environment = Environment("pan-desktop", "Desktop", PurePosixPath(PREFIX), "0" * 64, desktop=True)
    site = Site(folder / "site", environment)
    plan = replace(site.plan(interface=Interface.DESKTOP), **changes)
    key = folder / "key.pem"
    public = public_text(key)
    settings = LocalSettings(state=folder / "state", isolation=isolation, grace_s=3)

    async def start(hub: HubStub) -> dict[str, object]:
        backend = LocalBackend(settings)
        try:
            given = credentials(hub, plan, PANHUB_DESKTOP_KEY=public)
            return dict((await anext(backend.start(plan, given))).handle)
        finally:
            await backend.aclose()

    async def stop(handle: dict[str, object]) -> None:
        backend = LocalBackend(settings)
        await backend.stop(plan.launch_id, handle)
        await backend.aclose()

    with hub_stub() as hub:
        began = time.monotonic()
        handle = asyncio.run(start(hub))
        log = folder / "state" / "logs" / f"{plan.launch_id}.log"
        try:
            wait_until(lambda: hub.reports, 120, "the report of the port")
            port = hub.reports[0].body["port"]
            run = Path(str(handle["run"]))
            yield DesktopSession(hub, plan, site, port, load_key(key), run, began, log)
        finally:
            asyncio.run(stop(handle))
            kill_launch(plan.launch_id)
