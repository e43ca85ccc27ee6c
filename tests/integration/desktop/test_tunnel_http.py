"""Signing in to the tunnel, and what goes beside the picture: screens, keyboard, files; without guacd."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from hub.desktop.connections import Connection
from hub.desktop.models import Role, WorkstationTarget
from tests.support.tunnel import DESKTOP, World, running_world, until_true

BELOW = f"/services/desktop/desktops/{DESKTOP}"
SCREENS = {"screens": [{"width": 1920, "height": 1080}, {"width": 1280, "height": 1024}]}


class NoGuacd:
    """None is needed: windows are put in as if their desktop were drawn."""

    async def connect(self):
        raise OSError("no guacd")

    async def join(self):
        raise OSError("no guacd")


class Window:
    """A window that is open."""

    def write_message(self, message: bytes, binary: bool = False) -> None: ...
    def close(self, code: int | None = None, reason: str | None = None) -> None: ...
    def refuse(self, status: int, text: str) -> None: ...


@pytest.fixture
async def world(tmp_path: Path):
    async with running_world(tmp_path, NoGuacd(), max_upload_mib=2) as made:
        yield made
        made.app.connections._by_id.clear()


@pytest.fixture
async def person(world: World):
    """Ada's browser, signed in, as a page's script uses it."""
    async with httpx.AsyncClient(base_url=world.url, headers={"Cookie": world.cookies("ada")}) as client:
        client.headers["Sec-Fetch-Mode"] = "cors"
        client.headers["X-XSRFToken"] = await token(client)
        yield client


async def token(client: httpx.AsyncClient) -> str:
    reply = await client.get("/services/desktop/login?next=/x", headers={"Sec-Fetch-Mode": "navigate"})
    assert reply.status_code == 302
    name, _, value = reply.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert name == "panhub-desktop-xsrf"
    return value.strip('"')


def open_window(world: World, role: Role = Role.OWNER, username: str = "ada", **rights) -> Connection:
    admission = world.engine.redeem(world.ticket(username, role, **rights), username)
    connection = Connection(admission, Window())
    world.app.connections._by_id[connection.id] = connection
    return connection


async def decide(world: World, connection: Connection, **changes: bool) -> None:
    """The engine changes what a window may do, and the tunnel has heard of it.

    Not the window alone: the tunnel's next report would bring back what the engine last said.
    """
    await world.engine.decide(connection.id, **changes)
    decided = world.engine.decisions[connection.id]
    await until_true(lambda: connection.decision == decided, f"a decision is carried out: {changes}")


async def test_who_is_not_signed_in_is_sent_to_the_hub_and_comes_back(world: World):
    async with httpx.AsyncClient(base_url=world.url) as client:
        assert (await client.get("/services/desktop/health")).json()["status"] == "ok"
        assert (await client.get("/services/desktop/")).status_code == 200, "the hub looks here"
        assert (await client.get("/services/desktop/other")).status_code == 404
        assert (await client.get("/services/desktop/me")).status_code == 401
        page = "/services/panhub/desktops/0123456789abcdef"
        to_hub = await client.get("/services/desktop/login", params={"next": page})
        assert to_hub.status_code == 302
        assert to_hub.headers["Location"].startswith("/hub/api/oauth2/authorize?client_id=service-desktop&")
        client.headers["Cookie"] = world.cookies("ada")
        back = await client.get("/services/desktop/login", params={"next": page})
        assert back.headers["Location"] == page
        cookie = back.headers["Set-Cookie"]
        assert "Path=/services/panhub/desktops/" in cookie
        assert "SameSite=Strict" in cookie


@pytest.mark.parametrize(
    "page", ["https://evil.example.org/", "//evil.example.org/", "/\\evil.example.org", "x", "/a\r\nX: y", ""]
)
async def test_a_login_leads_to_no_other_site(world: World, page):
    async with httpx.AsyncClient(base_url=world.url, headers={"Cookie": world.cookies("ada")}) as client:
        reply = await client.get("/services/desktop/login", params={"next": page})
        assert reply.status_code == 400
        assert "Location" not in reply.headers


async def test_a_script_needs_the_token_against_forgery(world: World, person):
    open_window(world)
    assert (await person.get("/services/desktop/me")).json() == {"username": "ada"}
    grace = httpx.AsyncClient(base_url=world.url, headers={"Cookie": world.cookies("grace")})
    others = await token(grace)
    await grace.aclose()
    for wrong in ("", "forged", others):
        headers = {"X-XSRFToken": wrong}
        assert (await person.get("/services/desktop/me", headers=headers)).status_code == 401
        assert (await person.get(f"{BELOW}/files", headers=headers)).status_code == 401
        for mode in ("cors", "no-cors", "navigate", ""):
            refused = await person.post(
                f"{BELOW}/screens", json=SCREENS, headers={**headers, "Sec-Fetch-Mode": mode}
            )
            assert refused.status_code == 401, mode
    assert world.relay.asked == []


async def test_a_token_of_another_service_opens_nothing(world: World):
    async with httpx.AsyncClient(base_url=world.url, headers={"Cookie": world.cookies("stranger")}) as client:
        assert (await client.get("/services/desktop/me")).status_code == 403


async def test_screens_and_keyboard_are_the_holders(world: World, person):
    async def set_both() -> set[int]:
        replies = (
            await person.post(f"{BELOW}/screens", json=SCREENS),
            await person.post(f"{BELOW}/keyboard", json={"layout": "de"}),
        )
        return {reply.status_code for reply in replies}

    assert await set_both() == {403}
    open_window(world, username="grace")
    assert await set_both() == {403}, "somebody else's window"
    viewer = open_window(world, Role.VIEWER)
    assert await set_both() == {403}
    await decide(world, viewer, has_control=True)
    assert await set_both() == {403}, "a viewer never has control"
    owner = open_window(world)
    assert await set_both() == {200}
    assert [do for do, _, _ in world.relay.asked] == ["screens", "keyboard"]
    await decide(world, owner, has_control=False)
    assert await set_both() == {403}
    await decide(world, owner, has_control=True, may_stay=False)
    assert await set_both() == {403}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("screens", {"screens": []}),
        ("screens", {"screens": SCREENS["screens"] * 2}),
        ("screens", {"screens": [{"width": 639, "height": 480}]}),
        ("screens", {"screens": [{"width": 7681, "height": 480}]}),
        ("screens", {"screens": [{"width": "640", "height": 480}]}),
        ("screens", {**SCREENS, "more": 1}),
        ("keyboard", {"layout": "us -option x"}),
        ("keyboard", {}),
    ],
)
async def test_what_is_not_valid_reaches_no_session(world: World, person, name, body):
    open_window(world)
    assert (await person.post(f"{BELOW}/{name}", json=body)).status_code == 400
    assert world.relay.asked == []


async def test_files_come_in_and_go_out_as_attachments(world: World, person):
    content = bytes(range(256)) * 4096
    name = 'results/<svg> "µ".svg'
    for refused in (None, open_window(world, Role.VIEWER, may_transfer=True)):
        assert refused is None or not refused.may_transfer
        put = await person.put(f"{BELOW}/file", params={"path": name}, content=b"x")
        assert put.status_code == 403
        assert (await person.get(f"{BELOW}/files")).status_code == 403
    assert not world.relay.files
    owner = open_window(world)
    put = await person.put(f"{BELOW}/file", params={"path": name}, content=content)
    assert put.status_code == 201
    assert put.json() == {"path": name, "size": len(content)}
    assert (await person.get(f"{BELOW}/files", params={"path": "results"})).json()["entries"] == [name]
    reply = await person.get(f"{BELOW}/file", params={"path": name})
    assert reply.content == content
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"].startswith("sandbox;")
    attached = reply.headers["Content-Disposition"]
    assert attached.startswith('attachment; filename="<svg> ___.svg"; ')
    assert attached.endswith(f"filename*=UTF-8''{quote('<svg> _µ_.svg', safe='')}")
    missing = await person.get(f"{BELOW}/file", params={"path": "other"})
    assert missing.status_code == 404
    await decide(world, owner, may_transfer=False)
    assert (await person.get(f"{BELOW}/file", params={"path": name})).status_code == 403


async def test_a_download_is_cut_when_the_right_to_it_ends(world: World, person):
    world.relay.files["big"] = bytes(32 * 2**20)
    owner = open_window(world)
    async with person.stream("GET", f"{BELOW}/file", params={"path": "big"}) as reply:
        assert reply.headers["Content-Length"] == str(32 * 2**20)
        got = 0

        async def read() -> None:
            nonlocal got
            async for chunk in reply.aiter_bytes():
                got += len(chunk)
                await decide(world, owner, may_transfer=False)

        with pytest.raises(httpx.RemoteProtocolError):
            await read()
    assert got < 32 * 2**20


async def test_a_file_beyond_the_limit_is_refused_at_its_start(world: World, person):
    open_window(world)
    reply = await person.put(f"{BELOW}/file", params={"path": "big"}, content=bytes(2 * 2**20 + 1))
    assert reply.status_code == 413
    assert reply.json()["code"] == "file_too_large"

    async def endless():
        while True:
            yield bytes(65536)
            await asyncio.sleep(0)

    with pytest.raises(httpx.HTTPError):
        await person.put(f"{BELOW}/file", params={"path": "big"}, content=endless())
    assert not world.relay.files


async def test_a_session_that_does_not_answer_is_a_problem_of_its_own(world: World, person):
    connection = open_window(world)
    gone = connection.admission.target.model_copy(update={"url": "http://127.0.0.1:9/user/ada/work/"})
    connection.admission = connection.admission.model_copy(update={"target": gone})
    for call in (
        person.get(f"{BELOW}/files"),
        person.get(f"{BELOW}/file?path=a"),
        person.put(f"{BELOW}/file?path=a", content=b"abc"),
        person.post(f"{BELOW}/screens", json=SCREENS),
    ):
        reply = await call
        assert (reply.status_code, reply.json()["code"]) == (502, "desktop_silent")


async def test_a_workstation_has_no_files(world: World, person):
    target = WorkstationTarget(name="bm05")
    open_window(world, desktop="ws-bm05", target=target)
    reply = await person.get("/services/desktop/desktops/ws-bm05/files")
    assert reply.status_code == 403
