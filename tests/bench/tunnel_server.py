"""Our tunnel for the benchmark: handshake, pump and filters in a Tornado server, without tickets.

``python -m tests.bench.tunnel_server GUACD_PORT PORT``. A line on stdin is answered by the event loop's lag
since the last one: its 99th percentile [ms].
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable

from tornado.httpserver import HTTPServer
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from hub.desktop.filter import MAX_MESSAGE
from hub.desktop.handshake import ClientFacts, handshake
from hub.desktop.models import Decision, Role
from hub.desktop.pump import Pump

DECISIONS = {
    "owner": Decision(may_stay=True, role=Role.OWNER, has_control=True),
    "viewer": Decision(may_stay=True, may_copy=False),
}


class TunnelHandler(WebSocketHandler):
    """As the tunnel's own, without ticket."""

    pump: Pump | None = None

    def initialize(self, guacd_port: int) -> None:
        self.guacd_port = guacd_port

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "guacamole" if "guacamole" in subprotocols else None

    async def open(self) -> None:
        self.set_nodelay(True)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.guacd_port)
        values = {"hostname": self.get_query_argument("scene")}
        connected = await handshake(reader, writer, select="vnc", values=values, client=ClientFacts())
        self.pump = Pump(
            self,
            reader,
            writer,
            decision=DECISIONS[self.get_query_argument("as", "owner")],
            rest=connected.rest,
        )
        self.running = asyncio.create_task(self.pump.run())

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        return self.pump.receive(message) if self.pump is not None else None

    def on_close(self) -> None:
        if self.pump is not None:
            self.pump.browser_left()


async def serve(guacd_port: int, port: int) -> None:
    """Serve until stdin ends."""
    app = Application(
        [("/webSocket", TunnelHandler, {"guacd_port": guacd_port})], websocket_max_message_size=MAX_MESSAGE
    )
    HTTPServer(app).listen(port, "127.0.0.1")
    loop, ended, lags = asyncio.get_running_loop(), asyncio.Event(), [0.0, 0.0]

    def answer() -> None:
        for _ in sys.stdin:
            print(statistics.quantiles(lags, n=100)[98], flush=True)
            del lags[2:]
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=answer, daemon=True).start()
    print("ready", flush=True)
    while not ended.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append((time.perf_counter() - began - 0.01) * 1e3)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
