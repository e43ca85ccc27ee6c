"""Browsers of the tunnel's benchmark: raw sockets, so that the client is not what is measured."""

from __future__ import annotations

import base64
import os
import re
import selectors
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from hub.desktop.codec import encode
from tests.bench.tunnel_guacd import FRAMES_PER_S, LAST, NAMES

SYNC = re.compile(rb"4\.sync,\d+\.(\d+);")
KEY = encode("key", "97", "1")
NOP = encode("nop")
ANSWER = encode("sync", "1700000000000")
LATE_S = 1 / FRAMES_PER_S


class Client:
    """One browser, or with ``is_direct`` one that speaks to guacd itself."""

    def __init__(self, port: int, target: str, *, is_direct: bool = False) -> None:
        self.is_direct = is_direct
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if is_direct:
            values = dict.fromkeys(NAMES, "") | {"hostname": target}
            self.socket.sendall((encode("select", "vnc") + encode("connect", *values.values())).encode())
        else:
            key = base64.b64encode(os.urandom(16)).decode()
            self.socket.sendall(
                f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: guacamole\r\n\r\n".encode()
            )
        self._wait_for(b"4.sync,")

    def send(self, text: str) -> None:
        """Send a message."""
        data = text.encode()
        self.socket.sendall(data if self.is_direct else masked(data))

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def _wait_for(self, mark: bytes) -> None:
        seen = b""
        while mark not in seen:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"closed after {seen[-300:]!r}")
            seen += data


def masked(data: bytes) -> bytes:
    """Return a text frame; masked with zeros, which costs the server the same."""
    head = struct.pack("!BB", 0x81, 0x80 | len(data))
    return head + b"\0\0\0\0" + data


def bulk(client: Client) -> float:
    """Seconds from asking for a stream to its last instruction."""
    buffer, last = bytearray(1 << 20), LAST.encode()
    end = b""
    began = time.perf_counter()
    client.send(NOP)
    while True:
        size = client.socket.recv_into(buffer)
        if not size:
            raise ConnectionError(f"closed in the stream: {bytes(end)!r}")
        end = (end + buffer[max(0, size - 256) : size])[-256:]
        if last in end:
            return time.perf_counter() - began


def echoes(client: Client, count: int) -> list[float]:
    """Times from a key to its ``sync`` [µs], one each millisecond."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        client.send(KEY)
        answer = b""
        while b"4.sync," not in answer:
            answer += client.socket.recv(4096)
        times.append((time.perf_counter() - began) * 1e6)
        time.sleep(0.001)
    return times


@dataclass(slots=True)
class Replayed:
    """What many browsers got: time from guacd's write to the browser's read of each frame [ms]."""

    lateness_ms: list[float] = field(default_factory=list)
    missing: int = 0
    lost: int = 0

    def late(self) -> int:
        """Frames that came a frame's time late or not at all."""
        return self.missing + sum(1 for one in self.lateness_ms if one > LATE_S * 1e3)


def replay(clients: list[Client], seconds: float) -> Replayed:
    """Read all that comes for so long, answering each frame with a ``sync`` as browsers do."""
    result = Replayed()
    answer = {one: ANSWER.encode() if one.is_direct else masked(ANSWER.encode()) for one in clients}
    tails = dict.fromkeys(clients, b"")
    with selectors.EpollSelector() as selector:
        for one in clients:
            one.socket.setblocking(False)
            selector.register(one.socket, selectors.EVENT_READ, one)
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            for event, _ in selector.select(0.1):
                one = event.data
                got = _received(one.socket)
                if not got:
                    selector.unregister(one.socket)
                    result.lost += 1
                    continue
                data = tails[one] + got
                now = time.monotonic()
                frames = SYNC.findall(data)
                tails[one] = data[-40:] if not frames else data[data.rindex(b"4.sync,") + 20 :][-40:]
                for frame in frames:
                    result.lateness_ms.append((now - int(frame) / 1e6) * 1e3)
                    with suppress(OSError):
                        one.socket.send(answer[one])
    result.missing = max(0, int(len(clients) * FRAMES_PER_S * (seconds - 0.1)) - len(result.lateness_ms))
    return result


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 18)
    except OSError:
        return b""


def path(**query: str) -> str:
    """Request target of ours and of guapy's."""
    return f"/webSocket?{urlencode(query)}"
