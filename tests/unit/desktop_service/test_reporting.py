"""Decisions of the engine are carried out, in their order; its silence is borne for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from traitlets.config import Config

from hub.desktop.connections import MOST_OF_A_PERSON, Connection, Connections
from hub.desktop.ends import ConnectionEnd
from hub.desktop.engine import EngineSilentError
from hub.desktop.models import Admission, Decision, ReportAnswer, ReportBody, Role, SessionTarget
from hub.desktop.reporting import Reporter
from hub.desktop.settings import DesktopSettings
from hub.desktop.status import Status
from hub.hubconfig import _add_desktop

MAY = Decision(may_stay=True, role=Role.OWNER, has_control=True, may_transfer=True)
GONE = Decision(may_stay=False, status=0x020B, text="It is over.")


class Window:
    def __init__(self) -> None:
        self.refused: list[tuple[Status, str]] = []

    def refuse(self, status: Status, text: str) -> None:
        self.refused.append((status, text))


def connection(number: int = 1, username: str = "ada", decision: Decision = MAY) -> Connection:
    admission = Admission(
        connection=f"{number:016x}",
        desktop="0123456789abcdef",
        target=SessionTarget(launch_id="0123456789abcdef", url="http://node:1/"),
        username=username,
        display_name=username,
        decision=decision,
    )
    return Connection(admission, Window())


class Engine:
    """Answers when it is let; keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[ReportBody] = []
        self.answers: dict[str, Decision] = {}
        self.is_silent = False
        self.news_comes = asyncio.Event()

    async def report(self, body: ReportBody) -> ReportAnswer:
        self.told.append(body)
        if self.is_silent:
            raise EngineSilentError("silent")
        known = {one.connection: self.answers[one.connection] for one in body.connections}
        return ReportAnswer(decisions=known, position=str(len(self.told)))

    async def news(self, position: str) -> str:
        await self.news_comes.wait()
        self.news_comes.clear()
        return f"after {position}"


@asynccontextmanager
async def running(engine: Engine, connections: Connections, grace_s: float = 60) -> AsyncIterator[Reporter]:
    reporter = Reporter(engine, connections, grace_s=grace_s)
    tasks = [asyncio.create_task(reporter.run()), asyncio.create_task(reporter.listen())]
    try:
        yield reporter
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(what) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.005)


async def test_news_and_changes_are_reported_at_once():
    engine, connections = Engine(), Connections()
    async with running(engine, connections) as reporter:
        await until(lambda: len(engine.told) == 1)
        one = connection()
        engine.answers[one.id] = MAY
        with connections.open(one, reporter.wake):
            await until(lambda: engine.told[-1].connections)
            engine.answers[one.id] = GONE
            engine.news_comes.set()
            await until(lambda: one._window.refused)
        await until(lambda: not engine.told[-1].connections)
    assert one._window.refused == [(Status.SESSION_CLOSED, "It is over.")]
    assert not one.is_live


async def test_silence_is_borne_for_the_grace_and_no_longer():
    engine, connections = Engine(), Connections()
    one = connection()
    engine.answers[one.id] = MAY
    with connections.open(one, lambda: None):
        async with running(engine, connections, grace_s=0.6):
            await until(lambda: engine.told)
            engine.is_silent = True
            engine.news_comes.set()
            began = time.monotonic()
            await until(lambda: len(engine.told) > 1)
            assert one.is_live
            await until(lambda: one._window.refused)
            assert time.monotonic() - began > 0.5
    assert one._window.refused[0][0] is Status.UPSTREAM_UNAVAILABLE


async def test_an_older_answer_does_not_undo_a_newer_one():
    engine, connections = Engine(), Connections()
    one = connection()
    let_go = asyncio.Event()
    answers = [MAY, MAY.model_copy(update={"has_control": False})]

    async def slow_first(body: ReportBody) -> ReportAnswer:
        decision = answers.pop(0)
        if answers:
            await let_go.wait()
        return ReportAnswer(decisions={one.id: decision}, position="1")

    engine.report = slow_first
    reporter = Reporter(engine, connections, grace_s=60)
    with connections.open(one, lambda: None):
        first, second = asyncio.create_task(reporter._report()), asyncio.create_task(reporter.ask())
        await asyncio.sleep(0.02)
        let_go.set()
        await asyncio.gather(first, second)
    assert not one.decision.has_control


def test_one_that_came_after_the_report_is_not_judged_by_it():
    connections = Connections()
    old, new = connection(1), connection(2)
    with connections.open(old, lambda: None):
        told = connections.report()
        with connections.open(new, lambda: None):
            connections.decide(told, {})
            assert not old.is_live
            assert new.is_live


def test_an_end_is_told_once():
    one = connection()
    one.end(ConnectionEnd(Status.SESSION_CLOSED, "first"))
    one.end(ConnectionEnd(Status.UPSTREAM_ERROR, "second"))
    one.decide(GONE)
    one.decide(MAY)
    assert one._window.refused == [(Status.SESSION_CLOSED, "first")]
    assert not one.is_live


@pytest.mark.parametrize(
    ("decision", "steers", "transfers"),
    [
        (MAY, True, True),
        (MAY.model_copy(update={"has_control": False}), False, True),
        (MAY.model_copy(update={"may_transfer": False}), True, False),
        (MAY.model_copy(update={"role": Role.VIEWER}), False, False),
        (MAY.model_copy(update={"may_stay": False}), False, False),
    ],
)
def test_rights_beside_the_picture(decision: Decision, steers: bool, transfers: bool):
    one = connection(decision=decision)
    assert (one.may_steer, one.may_transfer) == (steers, transfers)


def test_places_are_given_back():
    connections = Connections()
    for _ in range(3 * MOST_OF_A_PERSON):
        with connections.place("ada"):
            pass
    assert not connections._places


async def test_the_hub_gets_a_service_without_a_role(tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef")
    (tmp_path / "token").chmod(0o600)
    names = {
        "secret_file": tmp_path / "s",
        "service_token_file": tmp_path / "token",
        "key_file": tmp_path / "k",
    }
    c = Config()
    _add_desktop(c, DesktopSettings(**names))
    (service,) = c.JupyterHub.services
    assert service["name"] == "desktop"
    assert service["url"] == "http://127.0.0.1:8004"
    assert service["oauth_redirect_uri"] == "/services/desktop/oauth_callback"
    assert "load_roles" not in c.JupyterHub
    assert c.JupyterHub.extra_user_scopes == ["access:services!service=desktop"]
