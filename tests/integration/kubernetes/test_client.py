"""Requests to a server that answers as API servers do on bad days."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from spawners.kubernetes import client as module
from spawners.kubernetes.client import KubernetesClient, KubernetesRefusedError, KubernetesUnavailableError
from spawners.kubernetes.settings import KubernetesClusterSettings

TOKEN = "the-first-token"


def status(code: int, message: str = "", reason: str = "", **headers: str) -> web.Response:
    """A Status object."""
    body = {"kind": "Status", "code": code, "message": message, "reason": reason}
    return web.json_response(body, status=code, headers=headers)


class Server:
    """Answers by what is in ``answers``, the last for ever. ``asked``: method, path, type and token."""

    def __init__(self) -> None:
        self.answers: list[Any] = [web.json_response]
        self.asked: list[tuple[str, str, str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        kind, token = request.headers.get("Content-Type", ""), request.headers.get("Authorization", "")
        self.asked.append((request.method, request.path_qs, kind, token))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            made: web.StreamResponse = await answer(request)
            return made
        # A response can be sent once only.
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


def good(body: object = None) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A good answer, made anew each time."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"kind": "Pod"} if body is None else body)

    return answer


def write_kubeconfig(path: Path, url: str, token: str) -> None:
    """As administrators hand them out."""
    named = {"name": "x"}
    config = {
        "clusters": [{**named, "cluster": {"server": url}}],
        "users": [{**named, "user": {"token": token}}],
        "contexts": [{**named, "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    async with TestServer(app) as running:
        made.url = str(running.make_url("/"))  # type: ignore[attr-defined]
        yield made


@pytest.fixture
async def client(server: Server, tmp_path: Path) -> AsyncIterator[KubernetesClient]:
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, server.url, TOKEN)  # type: ignore[attr-defined]
    made = KubernetesClient(KubernetesClusterSettings(kubeconfig=kubeconfig, namespace="ns"))
    yield made
    await made.aclose()


async def test_requests_are_what_the_api_wants(client: KubernetesClient, server: Server) -> None:
    server.answers = [good()]
    await client.get(client.path("pods"), {"limit": 5, "labelSelector": "a=b"})
    await client.create(client.path("pods"), {"kind": "Pod"})
    await client.patch(client.path("pods", "a/b"), {"metadata": {}})
    await client.delete(client.path("pods", "x"), {"gracePeriodSeconds": 0})
    assert [asked[:3] for asked in server.asked] == [
        ("GET", "/api/v1/namespaces/ns/pods?limit=5&labelSelector=a%3Db", "application/json"),
        ("POST", "/api/v1/namespaces/ns/pods", "application/json"),
        ("PATCH", "/api/v1/namespaces/ns/pods/a%2Fb", "application/strategic-merge-patch+json"),
        ("DELETE", "/api/v1/namespaces/ns/pods/x", "application/json"),
    ]
    assert {asked[3] for asked in server.asked} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
async def test_what_may_pass_is_asked_again(client: KubernetesClient, server: Server, code: int) -> None:
    server.answers = [status(code), status(code), good({"items": []})]
    assert await client.get("/x") == {"items": []}
    assert len(server.asked) == 3


async def test_a_race_for_a_quota_is_run_again_and_a_name_that_is_taken_is_not(
    client: KubernetesClient, server: Server
) -> None:
    race = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
    server.answers = [status(409, race, "Conflict"), status(409, "it exists", "AlreadyExists")]
    with pytest.raises(KubernetesRefusedError) as taken:
        await client.create("/x", {})
    assert (taken.value.status, taken.value.reason, str(taken.value)) == (409, "AlreadyExists", "it exists")
    assert len(server.asked) == 2


async def test_the_server_says_how_long_to_wait(client: KubernetesClient, server: Server) -> None:
    server.answers = [status(429, **{"Retry-After": "1"}), good()]
    began = time.monotonic()
    await client.get("/x")
    assert time.monotonic() - began >= 1
    server.answers = [status(429, "come later", **{"Retry-After": "30"}), good()]
    with pytest.raises(KubernetesUnavailableError, match="come later") as late:
        await client.get("/x", wait_s=5)
    assert late.value.retry_after_s == 30


async def test_rights_are_asked_for_again_for_a_while_only(
    client: KubernetesClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RIGHTS_S", 0.5)
    mine = 'pods is forbidden: User "x" cannot list resource "pods"'
    server.answers = [status(403, mine), good()]
    await client.get("/x")
    server.answers = [status(403, mine)]
    with pytest.raises(KubernetesRefusedError, match="cannot list"):
        await client.get("/x")
    asked = len(server.asked)
    server.answers = [status(403, 'pods "x" is forbidden: exceeded quota')]
    with pytest.raises(KubernetesRefusedError, match="exceeded quota"):
        await client.get("/x")
    assert len(server.asked) == asked + 1


async def test_a_token_that_was_renewed_is_read_anew(
    client: KubernetesClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOAD_AGAIN_S", 0.0)
    server.answers = [good()]
    await client.get("/x")
    write_kubeconfig(tmp_path / "kubeconfig", server.url, "the-second-token")  # type: ignore[attr-defined]
    server.answers = [status(401, "Unauthorized"), good()]
    await client.get("/x")
    assert [asked[3] for asked in server.asked[1:]] == [f"Bearer {TOKEN}", "Bearer the-second-token"]


async def test_a_token_that_stays_refused_costs_no_memory(
    client: KubernetesClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOAD_AGAIN_S", 0.0)
    server.answers = [status(401, "Unauthorized")]
    for _ in range(12):
        with pytest.raises(KubernetesRefusedError, match="Unauthorized"):
            await client.get("/x", wait_s=0)
    assert len(client._old) < 10
    assert [each.session.closed for each in client._old] == [False] * len(client._old)


@pytest.mark.parametrize("code", [401, 403, 404, 409, 410])
async def test_what_stands_before_the_server_refuses_nothing(
    client: KubernetesClient, server: Server, code: int
) -> None:
    server.answers = [web.Response(text="default backend - 404", status=code)]
    with pytest.raises(KubernetesUnavailableError, match=f"HTTP {code}"):
        await client.get("/x", wait_s=0)
    server.answers = [web.json_response({"error": "no such route"}, status=code)]
    with pytest.raises(KubernetesUnavailableError, match=f"HTTP {code}"):
        await client.get("/x", wait_s=0)


async def test_no_answer_is_no_refusal_and_no_token_is_told(
    client: KubernetesClient, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers = [web.Response(text="<html>")]
    with pytest.raises(KubernetesUnavailableError, match="no JSON"):
        await client.get("/x")
    write_kubeconfig(tmp_path / "other", "http://127.0.0.1:1", TOKEN)
    silent = KubernetesClient(KubernetesClusterSettings(kubeconfig=tmp_path / "other"))
    with pytest.raises(KubernetesUnavailableError) as no_answer:
        await silent.get("/x", wait_s=1)
    await silent.aclose()
    absent = KubernetesClient(KubernetesClusterSettings(kubeconfig=tmp_path / "absent"))
    with pytest.raises(KubernetesUnavailableError, match="access to the cluster cannot be read"):
        await absent.get("/x", wait_s=1)
    assert TOKEN not in caplog.text + str(no_answer.value) + repr(no_answer.value)


async def test_an_answer_that_comes_in_pieces_is_read_whole(client: KubernetesClient, server: Server) -> None:
    body = json.dumps({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "exceeded quota: q"})

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=200 if request.path.endswith("log") else 403)
        await response.prepare(request)
        for part in (body[:20], body[20:60], body[60:]):
            await response.write(part.encode())
            await asyncio.sleep(0.05)
        return response

    server.answers = [stream]
    with pytest.raises(KubernetesRefusedError, match="exceeded quota: q") as refused:
        await client.create("/x", {})
    assert refused.value.reason == "Forbidden"
    assert await client.text("/log", most=1000) == body
    assert await client.text("/log", most=30) == body[:30]


async def test_lines_come_one_by_one_until_they_are_too_long(
    client: KubernetesClient, server: Server
) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(json.dumps({"n": number}).encode() + b"\n")
        with suppress(ConnectionError):  # the client does not read all of it
            for _ in range(200):
                await response.write(b"x" * 65536)
        return response

    server.answers = [stream]
    read: list[object] = []
    with pytest.raises(KubernetesUnavailableError, match="too long"):
        await read_all(client, read, silence_s=30)
    assert read == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_silent_watch_is_no_answer(client: KubernetesClient, server: Server) -> None:
    is_over = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}\n")
        await is_over.wait()
        return response

    server.answers = [stream]
    read: list[object] = []
    with pytest.raises(KubernetesUnavailableError):
        await read_all(client, read, silence_s=0.5)
    is_over.set()
    assert read == [{}]


async def read_all(client: KubernetesClient, read: list[object], *, silence_s: float) -> None:
    """Read a watch to its end."""
    async with client.lines("/x", {"watch": "1"}, silence_s=silence_s) as lines:
        async for line in lines:
            read.append(json.loads(line))
