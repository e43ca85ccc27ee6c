"""Stand-in of a session in a job: answers like a server, and asks the engine what a session asks.

Run as ``python -I -S node.py``: with PANHUB_LAUNCH_ID it is a session of the platform (reports its port,
asks for its deadline at the pace that the engine says), else one of batchspawner (tells the hub its
port). Standard library only, and few imports: hundreds run at once. It writes no log and reports no
activity.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time

_HOST = "127.0.0.1"
_FIRST_LOOK_S = 1.0
_LIFE_S = 86400.0


def ask(method: str, url: str, authorization: str, body: object = None) -> tuple[int, bytes]:
    """Status and body of one HTTP/1.0 call; ``url`` is http://host:port/path."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} /{path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: {authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode() + content)
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    status, _, rest = reply.partition(b"\r\n")
    return int(status.split()[1]), rest.partition(b"\r\n\r\n")[2]


def insist(method: str, url: str, authorization: str, body: object = None) -> bytes:
    """Body of the answer, whatever it takes."""
    while True:
        try:
            status, answer = ask(method, url, authorization, body)
            if status < 300:
                return answer
            print(url, status, answer[:500], flush=True)
        except OSError as error:
            print(url, error, flush=True)
        time.sleep(1)


def serve(listening: socket.socket, until: float) -> None:
    """Answer everybody until then."""
    while (left := until - time.monotonic()) > 0:
        listening.settimeout(left)
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(5)
            try:
                connection.recv(65536)
                connection.sendall(_ANSWER)
            except OSError:
                continue


_BODY = b'{"version": "2.0.0"}'
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"X-JupyterHub-Version: 6.1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def main() -> None:
    """Listen, tell the port, and serve to the end."""
    listening = socket.create_server((_HOST, 0), backlog=20)
    port = listening.getsockname()[1]
    token = os.environ["JUPYTERHUB_API_TOKEN"]
    launch = os.environ.get("PANHUB_LAUNCH_ID")
    if launch is None:
        insist("POST", f"{os.environ['JUPYTERHUB_API_URL']}/batchspawner", f"token {token}", {"port": port})
        serve(listening, time.monotonic() + _LIFE_S)
        return
    sys.path.insert(0, __file__.rpartition("/")[0])
    from proof import session_secret  # type: ignore[import-not-found]  # a copy beside this file

    with contextlib.suppress(OSError):  # as node.py does with Slurm's own output
        os.unlink(f"{os.environ['HOME']}/.panhub-{launch}.log")  # noqa: PTH108 - pathlib is not small
    base, secret = os.environ["PANHUB_REPORT_BASE"], f"Bearer {session_secret(token, launch)}"
    insist("POST", f"{base}/internal/reports/{launch}", secret, {"port": port})
    pause = _FIRST_LOOK_S
    while True:
        serve(listening, time.monotonic() + pause)
        pause = 30.0
        try:
            status, answer = ask("GET", f"{base}/internal/launches/{launch}/deadline", secret)
            if status == 200:
                pause = float(json.loads(answer)["poll_s"])
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    main()
