"""What the engine tells a session's node, and whom it tells nothing: client and handlers together."""

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from hub.api import sessions
from hub.launch import store
from hub.launch.states import EndReason
from spawners.session import exits
from spawners.session.engine import Engine as Client
from spawners.session.proof import TOKEN_VARIABLE, session_secret
from tests.support.backends import FakeBackend, Place
from tests.support.engines import Engine

TOKEN = "the-sessions-token"
NAMES = ("specification", "deadline", "log")


class PlaceWithoutLogs(FakeBackend):
    """Its machines' files are out of the engine's reach, as a cluster's are."""

    async def log_tail(self, launch_id, handle, *, lines=40):
        return []


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path, PlaceWithoutLogs(Place()))


@pytest.fixture(autouse=True)
async def engine_ends(engine):
    yield
    await engine.kill()


@pytest.fixture
async def base(engine):
    app = SimpleNamespace(db=engine.db)
    launch = r"/internal/launches/(?P<launch_id>[0-9a-f]{16})"
    handlers = (sessions.SpecificationHandler, sessions.DeadlineHandler, sessions.LogHandler)
    pairs = zip(NAMES, handlers, strict=True)
    server = HTTPServer(Application([(f"{launch}/{name}", handler, {"app": app}) for name, handler in pairs]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def launch(engine):
    planned = await engine.claim()
    await engine.launches.start(planned.id, {TOKEN_VARIABLE: TOKEN})
    await engine.settle_down()
    return engine.get(planned.id)


def client(base, launch, token=TOKEN):
    return Client(base, launch.id, session_secret(token, launch.id))


async def ask(base, launch, name, secret, body=None):
    method = "POST" if name == "log" else "GET"
    async with httpx.AsyncClient() as http:
        return await http.request(
            method,
            f"{base}/internal/launches/{getattr(launch, 'id', launch)}/{name}",
            headers={} if secret is None else {"Authorization": f"Bearer {secret}".strip()},
            content=json.dumps({"lines": ["x"]}) if body is None else body,
        )


async def test_a_node_learns_what_its_session_is(base, launch):
    told = await asyncio.to_thread(client(base, launch).specification, lambda: False, print)
    assert told["launch_id"] == launch.id
    assert told["environment"]["prefix"] == "/opt/core"
    assert told["size"]["cpus"] == 2
    assert TOKEN not in json.dumps(told)


async def test_the_deadline_is_told_as_it_is_now(base, launch, engine):
    for deadline in (
        None,
        datetime(2026, 12, 1, 8, tzinfo=UTC),
        datetime(2026, 12, 1, 10, 0, 30, tzinfo=UTC),
    ):
        await engine.db.run(lambda s, value=deadline: store.change(s, launch.id, deadline=value))
        told, poll_s = await asyncio.to_thread(client(base, launch).deadline)
        assert (told, poll_s) == (deadline and deadline.timestamp(), 30)


async def test_the_end_of_the_log_is_kept_without_control_characters(base, launch, engine):
    await asyncio.to_thread(client(base, launch).send_log, ["one", "\x1b[31mred\x07\u2028 line\n"])
    assert engine.get(launch.id).log_tail == ["one", "[31mred line"]
    await asyncio.to_thread(client(base, launch).send_log, ["two"])
    assert engine.get(launch.id).log_tail == ["two"]
    ended = await engine.stop(engine.get(launch.id))
    assert (ended.is_live, ended.log_tail) == (False, ["two"])


@pytest.mark.parametrize("name", NAMES)
async def test_who_proves_nothing_is_told_nothing(base, launch, engine, name):
    right = session_secret(TOKEN, launch.id)
    wrong = [None, "", "x", TOKEN, right[:-1], right + "0", session_secret("another", launch.id)]
    answers = [await ask(base, launch, name, secret) for secret in wrong]
    answers.append(await ask(base, "0" * 16, name, session_secret(TOKEN, "0" * 16)))
    other = await engine.claim("other")  # planned, not started: it has no proof yet
    answers.append(await ask(base, other, name, session_secret(TOKEN, other.id)))
    answers.append(await ask(base, other, name, ""))
    await engine.stop(launch, EndReason.STOPPED_BY_USER)
    assert not engine.get(launch.id).is_live
    answers.append(await ask(base, launch, name, right))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert engine.get(launch.id).log_tail is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{}", 400),
        ("[]", 400),
        ('{"lines": "x"}', 400),
        ('{"lines": [1]}', 400),
        ('{"lines": [], "more": 1}', 400),
        ('{"lines": ["\\ud800"]}', 400),
        (json.dumps({"lines": ["x"] * 201}), 400),
        (json.dumps({"lines": ["x" * 17000]}), 413),
        (json.dumps({"lines": ["x"] * 200}), 204),
    ],
)
async def test_a_log_has_a_closed_form_and_a_bound(base, launch, engine, body, status):
    answer = await ask(base, launch, "log", session_secret(TOKEN, launch.id), body)
    assert answer.status_code == status, answer.text
    assert (engine.get(launch.id).log_tail is None) == (status != 204)


async def test_a_node_whose_session_is_not_wanted_says_so_and_ends(base, launch):
    stranger = client(base, launch, token="another")
    with pytest.raises(exits.SessionFailedError, match="does not want") as found:
        await asyncio.to_thread(stranger.specification, lambda: False, print)
    assert found.value.code == exits.NOT_WANTED
