"""The service's client of the hub's API, against a hub that takes its time."""

from __future__ import annotations

import asyncio

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from hub.launch.hubclient import HubAnswer, HubClient

_PEOPLE = 200


async def test_a_whole_class_starts_at_once() -> None:
    arrived: list[str] = []
    all_here = asyncio.Event()

    class Slow(RequestHandler):
        """Answers none before all have asked, as a hub that waits for slow spawns."""

        async def post(self, name: str) -> None:
            arrived.append(name)
            if len(arrived) == _PEOPLE:
                all_here.set()
            await all_here.wait()
            self.set_status(202)

    listening, port = bind_unused_port()
    server = HTTPServer(Application([(r"/hub/api/users/([^/]+)/servers/lab", Slow)]))
    server.add_socket(listening)
    client = HubClient(f"http://127.0.0.1:{port}/hub/api", "token")
    try:
        starts = [client.start_server(f"person{n}", "lab", "", {}) for n in range(_PEOPLE)]
        replies = await asyncio.gather(*starts)
    finally:
        client.close()
        server.stop()
    assert {reply.answer for reply in replies} == {HubAnswer.DONE}
