"""The relay without a session, before a display that never ends. Run by the session's environment.

``relay_alone.py FOLDER KEY``: a display at FOLDER/rfb sends zeros as fast as they are taken. Prints the
port of the relay, then, for each line on standard input, how many bytes were taken so far.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "spawners" / "session" / "python"))

from panhub_session.capability import Verifier
from panhub_session.desktop import Desk, handlers
from panhub_session.places import Places
from panhub_session.screens import Size
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

LAUNCH = "0123456789abcdef"


async def main(folder: Path, key: str) -> None:
    taken = 0

    async def flood(_reader, writer):
        nonlocal taken
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                taken += 65536
        except OSError:
            pass

    await asyncio.start_unix_server(flood, folder / "rfb")
    (folder / "display").write_text(":99")
    (folder / "password").write_text("secret12")
    sockets = bind_sockets(0, "127.0.0.1")
    desk = Desk(folder, Verifier(key, LAUNCH), Places([]), Size(800, 600))
    none = Desk(None, Verifier(key, LAUNCH), Places([]), Size(800, 600))
    rules = [(f"/{name}", kind, facts) for name, kind, facts in handlers(desk)]
    rules += [(f"/none/{name}", kind, facts) for name, kind, facts in handlers(none)]
    HTTPServer(Application(rules, last_activity_times={})).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(taken, desk.connections, flush=True)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
