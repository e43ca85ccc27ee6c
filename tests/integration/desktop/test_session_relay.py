"""The relay at its limits, and a display alone: readers that stall, too many, other people of the machine."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from hub.desktop.capability import load_key, public_text, sign
from tests.support.desktop_session import PREFIX
from tests.support.required import require
from tests.support.rfb import connect_socket
from tests.support.xvnc import running_desktop

ALONE = Path(__file__).parents[2] / "support" / "relay_alone.py"
LAUNCH = "0123456789abcdef"
NOBODY = 65534


@pytest.fixture
def relay():
    """A relay before a display that never ends: its port, a capability maker, and what was taken."""
    require((PREFIX / "bin" / "python").exists(), "build/environments/pan-desktop: make demo")
    folder = Path(tempfile.mkdtemp(prefix="panhub-test-"))
    key = folder / "key.pem"
    command = [str(PREFIX / "bin" / "python"), "-I", str(ALONE), str(folder), public_text(key)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def taken():
        process.stdin.write("\n")
        return tuple(map(int, process.stdout.readline().split()))

    try:
        port = int(process.stdout.readline())
        yield port, lambda do: f"Capability {sign(load_key(key), LAUNCH, do)}", taken
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder)


async def open_relay(port, capability, name="rfb", subprotocols=("panhub-rfb",)):
    request = HTTPRequest(f"ws://127.0.0.1:{port}/{name}", headers={"Authorization": capability})
    return await websocket_connect(request, subprotocols=list(subprotocols))


async def test_a_reader_that_stalls_is_waited_for(relay):
    port, capability, taken = relay
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        f"GET /rfb HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: panhub-rfb\r\nAuthorization: {capability('rfb')}\r\n\r\n".encode()
    )
    assert b"101" in await reader.readline()
    writer.transport.pause_reading()
    before = -1
    async with asyncio.timeout(30):
        while (now := (await asyncio.to_thread(taken))[0]) != before:
            before = now
            await asyncio.sleep(0.5)
    assert now < 16 * 1024 * 1024, "what nobody reads is taken from the display"
    writer.transport.resume_reading()
    while (await asyncio.to_thread(taken))[0] < now + 1_000_000:
        assert await reader.read(1 << 20)
    writer.close()
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(taken))[1]:
            await asyncio.sleep(0.05)


async def test_refusals_before_a_picture(relay):
    port, capability, taken = relay
    with pytest.raises(HTTPClientError, match="404"):
        await open_relay(port, capability("rfb"), "none/rfb")
    with pytest.raises(HTTPClientError, match="400"):
        await open_relay(port, capability("rfb"), subprotocols=("binary",))
    with pytest.raises(HTTPClientError, match="403"):
        await open_relay(port, capability("screens"))
    for name in ("screens", "keyboard", "files", "file"):
        do = "files" if name == "file" else name
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/none/{name}",
            b"{}" if name in {"screens", "keyboard"} else None,
            {"Authorization": capability(do)},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, request, timeout=20)
        assert refused.value.code == 404
        assert b"This session has no desktop." in refused.value.read()
    assert (await asyncio.to_thread(taken))[1] == 0


async def test_no_more_than_a_room_full(relay):
    port, capability, taken = relay
    opened = [await open_relay(port, capability("rfb")) for _ in range(64)]
    with pytest.raises(HTTPClientError, match="503"):
        await open_relay(port, capability("rfb"))
    opened.pop().close()
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(taken))[1] > 63:
            await asyncio.sleep(0.05)
    opened.append(await open_relay(port, capability("rfb")))
    too_long = opened[0]
    await too_long.write_message(b"x" * 65537, binary=True)
    while await too_long.read_message() is not None:
        pass
    for one in opened:
        one.close()


def as_nobody(work):
    """Exit code of work in a process of another account."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            os._exit(0)
        except PermissionError:
            os._exit(13)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_a_display_is_its_persons_alone():
    require(os.geteuid() == 0, "root, to become another account")
    parent = Path(tempfile.mkdtemp(prefix="panhub-test-"))
    parent.chmod(0o755)
    try:
        with running_desktop(parent / "d") as desk:

            def connect():
                with socket.socket(socket.AF_UNIX) as door:
                    door.connect(str(desk.socket))

            assert as_nobody(connect) == 13
            assert as_nobody(lambda: list(desk.folder.iterdir())) == 13
            assert as_nobody(lambda: list(parent.iterdir())) == 0
            with pytest.raises(PermissionError):
                await connect_socket(desk.socket, "wrong")
            client, writer = await connect_socket(desk.socket, desk.password)
            async with asyncio.timeout(30):
                await client.until(lambda now: now.colours() > 5)
            writer.close()
            with running_desktop(parent / "other") as second:
                assert second.environment["DISPLAY"] != desk.environment["DISPLAY"]
        assert list(parent.iterdir()) == []
    finally:
        shutil.rmtree(parent)
