"""A real session with a desktop: pixels by the relay, typing, files, and all that must not get in."""

import asyncio
import json
import os
import re
import signal
import socket
import struct
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tornado.httpclient import HTTPClientError

from hub.desktop.capability import sign
from spawners.local.processes import of_launch
from tests.support.desktop_session import desktop_session
from tests.support.kernelsockets import execute
from tests.support.local import request, wait_until

CONTROL, ALT = 0xFFE3, 0xFFE9


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with desktop_session(tmp_path_factory.mktemp("d")) as running:
        yield running


def ask(session, *words, **body):
    return asyncio.to_thread(session.ask, *words, **body)


async def open_terminal(screen):
    """A terminal by its keys, waited for by what it paints."""
    before = screen.colours()
    for keysym, is_down in ((CONTROL, 1), (ALT, 1), (ord("t"), 1), (ord("t"), 0), (ALT, 0), (CONTROL, 0)):
        await screen._write(struct.pack(">BBxxI", 4, is_down, keysym))
    terminal = (0x10, 0x20, 0x2B)
    await screen.until(
        lambda now: now.colour(now.width // 2, now.height // 2) == terminal or now.colours() > before
    )


async def in_terminal(session, command, name):
    """Type a command that writes a file of the working folder; its content."""
    path = session.site.home / "work" / "first" / name
    async with asyncio.timeout(120), session.screen() as screen:
        await screen.update()
        await open_terminal(screen)
        while not path.exists():  # keys that come before the shell reads are lost
            await screen.type(f"({command}) > part; mv part {name}; exit\n")
            for _ in range(50):
                if path.exists():
                    break
                await screen.update(is_incremental=False)
                await asyncio.sleep(0.1)
    return path.read_text()


async def test_typing_into_a_window_changes_pixels_and_reaches_the_working_folder(session):
    began = time.monotonic()
    async with session.screen() as screen:
        await screen.update()
        assert (screen.width, screen.height) == (1600, 900)
        print(f"first picture {time.monotonic() - session.began:.1f} s after the start was asked for,")
        print(f"{1000 * (time.monotonic() - began):.0f} ms after the relay was")
        empty = bytes(screen.pixels)
        await open_terminal(screen)
        assert sum(a != b for a, b in zip(empty[::400], screen.pixels[::400], strict=True)) > 1000
    said = await in_terminal(session, "pwd; echo $PATH; env", "typed.txt")
    lines = said.splitlines()
    assert lines[0] == "/home/alice/work/first"
    assert lines[1].startswith(f"{session.plan.environment.prefix}/bin:")
    assert not [line for line in lines if line.startswith(("JUPYTERHUB_", "PANHUB_DESKTOP_"))]
    assert session.hub.token not in said


async def test_opengl_works_in_the_session(session):
    said = await in_terminal(session, "glxinfo -B", "gl.txt")
    assert re.search(r"OpenGL renderer string: llvmpipe", said)


async def test_silx_view_draws_a_window(session):
    async with asyncio.timeout(150), session.screen() as screen:
        await screen.update()
        await open_terminal(screen)
        await asyncio.sleep(1)
        await screen.type("silx view & sleep 1; exit\n")
        light = (0xEF, 0xEF, 0xEF)

        def is_drawn(now):
            found = sum(
                now.colour(x, y) == light for x in range(0, now.width, 40) for y in range(0, now.height, 20)
            )
            return found > 60

        await screen.until(is_drawn, 120)


async def test_nothing_but_a_fresh_capability_opens_anything(session):
    launch, key, other = session.plan.launch_id, session.key, Ed25519PrivateKey.generate()
    used = sign(key, launch, "files")
    assert (await ask(session, "GET", "files", path="", Authorization=f"Capability {used}"))[0] == 200
    wrong = {
        "nothing": {"X-Nothing": "1"},
        "hub token": {"Authorization": f"token {session.hub.token}"},
        "bearer": {"Authorization": f"Bearer {session.hub.token}"},
        "cookie": {"Cookie": f"jupyterhub-user-alice={session.hub.token}"},
        "other key": {"Authorization": f"Capability {sign(other, launch, 'files')}"},
        "other launch": {"Authorization": f"Capability {sign(key, 'f' * 16, 'files')}"},
        "other deed": {"Authorization": f"Capability {sign(key, launch, 'rfb')}"},
        "used": {"Authorization": f"Capability {used}"},
    }
    for what, headers in wrong.items():
        for method, name in (("GET", "files"), ("GET", "file"), ("PUT", "file")):
            body = b"x" if method == "PUT" else None
            status, _ = await ask(session, method, name, path="Home/stolen.txt", body=body, **headers)
            assert status == 403, (what, method, name)
        for name in ("screens", "keyboard"):
            assert (await ask(session, "POST", name, body={}, **headers))[0] == 403, (what, name)
        headers = {name: value.replace(sign(key, launch, "rfb"), "") for name, value in headers.items()}
        if what != "other deed":
            with pytest.raises(HTTPClientError) as refused:
                await session.relay(**headers)
            assert refused.value.code == 403, what
    assert not (session.site.home / "stolen.txt").exists()
    headers = {"Authorization": f"Capability {sign(key, launch, 'rfb')}", "Origin": session.hub.url}
    with pytest.raises(HTTPClientError) as refused:
        await session.relay(**headers)
    assert refused.value.code == 403, "a browser"


async def test_a_capability_opens_nothing_else_of_the_server(session):
    for path in ("api/contents", "api/kernels", "panhub/time", "lab"):
        headers = {"Authorization": f"Capability {sign(session.key, session.plan.launch_id, 'files')}"}
        status, body = await ask(session, "GET", f"../../{path}", **headers)
        assert status in {403, 404} or b"login" in body.lower(), path
        assert b"work" not in body or status in {403, 404}
    assert (await asyncio.to_thread(request, session.hub, session.port, "api/contents"))[0] == 200


async def test_input_is_use_and_an_open_connection_is_not(session):
    async def last():
        _, said = await asyncio.to_thread(request, session.hub, session.port, "api/status")
        return json.loads(said)["last_activity"]

    relay = await session.relay()
    assert set(json.loads(await relay.read_message())) == {"password", "width", "height"}
    before = await last()
    await asyncio.sleep(0.5)
    assert await last() == before
    await relay.write_message('{"input": true}')
    async with asyncio.timeout(30):
        while await last() == before:
            await asyncio.sleep(0.1)
    await relay.write_message('{"input": false}')
    while await relay.read_message() is not None:
        pass
    assert relay.close_code == 1003


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_nothing_listens_on_tcp_but_the_server_and_nobody_else_gets_to_the_display(session):
    inodes = set()
    for pid in of_launch(session.plan.launch_id):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", str(fd.readlink()))
            except OSError:
                continue
            if found:
                inodes.add(found[1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    assert ports == {session.port}
    assert session.folder.stat().st_mode & 0o777 == 0o700
    for name in ("rfb", "password", "passwd", "Xauthority"):
        assert (session.folder / name).stat().st_mode & 0o077 == 0, name
    number = (session.folder / "display").read_text()
    with socket.socket(socket.AF_UNIX) as door:  # the abstract name, which everybody on the machine sees
        door.connect(f"\0/tmp/.X11-unix/X{number[1:]}")
        door.sendall(struct.pack("<BxHHHH2x", ord("l"), 11, 0, 0, 0))
        assert door.recv(1) == b"\0", "let in without the cookie"


async def test_what_a_notebook_draws_in_a_window_is_on_the_desktop(session):
    _, content = await asyncio.to_thread(request, session.hub, session.port, "api/kernels", {})
    kernel = json.loads(content)["id"]
    code = "import subprocess; print(subprocess.run(['xrandr'], capture_output=True, text=True).stdout)"
    said = await execute(session.port, session.hub.token, kernel, code)
    assert "VNC-0 connected" in said


async def test_screens_and_keyboard_are_set(session):
    async with asyncio.timeout(60), session.screen() as screen:
        await screen.update()
        two = {"screens": [{"width": 1000, "height": 700}, {"width": 800, "height": 600}]}
        status, said = await ask(session, "POST", "screens", body=two)
        assert (status, json.loads(said)) == (200, two)
        await screen.until(lambda now: (now.width, now.height) == (1800, 700))
        for width, height in ((1280, 720), (1600, 900)):
            one = {"screens": [{"width": width, "height": height}]}
            assert (await ask(session, "POST", "screens", body=one))[0] == 200
            await screen.until(lambda now, size=(width, height): (now.width, now.height) == size)
    for body in ({}, {"screens": []}, {"screens": [{"width": 1, "height": 1}]}, {**one, "x": 1}, b"no json"):
        status, said = await ask(session, "POST", "screens", body=body)
        assert status == 400
        assert json.loads(said)["detail"]
    assert (await ask(session, "POST", "keyboard", body={"layout": "de"}))[0] == 200
    assert (await ask(session, "POST", "keyboard", body={"layout": "us"}))[0] == 200
    assert (await ask(session, "POST", "keyboard", body={"layout": "; rm"}))[0] == 400


async def test_files_come_and_go_within_the_data_view(session):
    status, said = await ask(session, "GET", "files", path="")
    assert [entry["name"] for entry in json.loads(said)["entries"]] == ["Home", "RAW_DATA", "PROCESSED_DATA"]
    content = os.urandom(5_000_000)
    for name in ("big.bin", "big-1.bin"):
        status, said = await ask(session, "PUT", "file", path="PROCESSED_DATA/big.bin", body=content)
        assert (status, json.loads(said)["name"]) == (201, name)
        assert (session.site.visit / "PROCESSED_DATA" / name).read_bytes() == content
    assert await ask(session, "GET", "file", path="PROCESSED_DATA/big.bin") == (200, content)
    assert await ask(session, "GET", "file", path="RAW_DATA/secret.txt") == (200, b"hc1 RAW_DATA")
    status, said = await ask(session, "PUT", "file", path="RAW_DATA/no.txt", body=b"x")
    assert status == 409
    assert "only be read" in json.loads(said)["detail"]
    assert (await ask(session, "PUT", "file", path="../../etc/x", body=b"x"))[0] == 400
    assert (await ask(session, "GET", "file", path="Home/../../etc/passwd"))[0] == 400
    assert (await ask(session, "GET", "file", path="Home/work/first/data/RAW_DATA/secret.txt"))[0] == 404


async def test_what_is_brought_and_breaks_off_leaves_nothing(session):
    capability = sign(session.key, session.plan.launch_id, "files")
    reader, writer = await asyncio.open_connection("127.0.0.1", session.port)
    writer.write(
        b"PUT /user/alice/panhub/desktop/file?path=PROCESSED_DATA/half.bin HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 2000000\r\nAuthorization: Capability " + capability.encode() + b"\r\n\r\n"
    )
    writer.write(b"x" * 1_000_000)
    await writer.drain()
    half = session.site.visit / "PROCESSED_DATA" / "half.bin"
    await asyncio.to_thread(wait_until, half.exists, 30)
    writer.close()
    await asyncio.to_thread(wait_until, lambda: not half.exists(), 30)
    assert reader is not None


async def test_a_desktop_that_ends_is_started_again(session):
    relay = await session.relay()
    await relay.read_message()

    def running(word):
        return [pid for pid in of_launch(session.plan.launch_id) if word in cmdline(pid)]

    (manager,) = running(b"/icewm\0")
    os.kill(manager, signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: running(b"/icewm\0") not in ([], [manager]), 30)
    (server,) = running(b"rfbunixpath")
    os.kill(server, signal.SIGKILL)
    while await relay.read_message() is not None:
        pass
    assert relay.close_code == 1011
    async with asyncio.timeout(60):
        while True:
            try:
                async with session.screen() as screen:
                    await screen.update()
                    assert screen.width == 1600
                    return
            except (HTTPClientError, EOFError, TypeError):
                await asyncio.sleep(0.2)
