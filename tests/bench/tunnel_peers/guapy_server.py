"""guapy as its README shows it, on uvicorn with uvloop. argv: port of guacd, port to listen on.

A line on stdin is answered by the event loop's lag since the last one: its 99th percentile [ms].
"""

import asyncio
import statistics
import sys
import threading
import time

import uvicorn
from guapy import GuacamoleConfiguration, GuacdEndpoint, ResolvedConnection
from guapy.server import GuacamoleASGIApp

lags = []


class Resolver:
    async def resolve(self, request):
        return ResolvedConnection(
            GuacamoleConfiguration(protocol="vnc", parameters={"hostname": request.query_get("scene")})
        )


async def watch():
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.01)
        lags.append((time.perf_counter() - began - 0.01) * 1e3)


def answer(server):
    for _ in sys.stdin:
        print(statistics.quantiles(lags[:] or [0, 0], n=100)[98], flush=True)
        lags.clear()
    server.should_exit = True


async def main(guacd_port, port):
    app = GuacamoleASGIApp(
        endpoint=GuacdEndpoint(host="127.0.0.1", port=guacd_port), resolver=Resolver(), max_connections=1000
    )
    # Compression off, as ours has it and the stream needs none of it.
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", ws_per_message_deflate=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    watching = asyncio.create_task(watch())
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    print("ready", flush=True)
    await serving
    watching.cancel()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
