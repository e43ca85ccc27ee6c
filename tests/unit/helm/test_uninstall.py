"""Before a release goes: sessions are ended and settled, then all else is removed."""

from __future__ import annotations

import socket

import pytest

from hub.chart import uninstall
from hub.chart.health import answers
from spawners.kubernetes.naming import COMPONENT_LABEL, SESSION

ARGUMENTS = [
    "--namespace=notebooks",
    "--sessions-namespace=sessions",
    "--hub=panhub-hub",
    "--service=panhub-service",
    "--service-labels=app=service",
    "--patience-s=5",
]


class FakeCluster:
    """Pods of sessions that an engine settles, or not; placeholders that it makes again while it runs."""

    def __init__(self, *, is_settling: bool) -> None:
        self.is_settling = is_settling
        self.sessions, self.placeholders, self.service = {"alice", "bob"}, {"warm-0"}, {"engine"}
        self.done: list[str] = []

    async def pods(self, namespace: str, labels: str) -> list[str]:
        if namespace == "notebooks":
            return sorted(self.service)
        is_sessions_only = f"{COMPONENT_LABEL}={SESSION}" in labels
        return sorted(self.sessions if is_sessions_only else self.sessions | self.placeholders)

    async def scale_to_none(self, namespace: str, deployment: str) -> None:
        self.done.append(f"scale {deployment}")
        if deployment.endswith("service"):
            self.service = set()

    async def delete(self, _namespace: str, pod: str) -> None:
        self.done.append(f"delete {pod}")
        self.placeholders -= {pod} if not self.service else set()
        if self.is_settling and self.service:
            self.sessions -= {pod}

    async def release(self, _namespace: str, pod: str) -> None:
        self.done.append(f"release {pod}")
        self.sessions -= {pod}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(uninstall, "_LOOK_S", 0.01)


async def _run(cluster: FakeCluster, *, patience: str = "5") -> int:
    options = uninstall.parser().parse_args([*ARGUMENTS[:-1], f"--patience-s={patience}"])
    return await uninstall.end_sessions(cluster, options)


async def test_sessions_are_settled_while_the_engine_runs():
    cluster = FakeCluster(is_settling=True)
    assert await _run(cluster) == 0
    assert cluster.done == [
        "scale panhub-hub",
        "delete alice",
        "delete bob",
        "scale panhub-service",
        "delete warm-0",
        "release warm-0",
    ]


async def test_what_nobody_settles_goes_too_and_is_counted():
    cluster = FakeCluster(is_settling=False)
    assert await _run(cluster, patience="0.1") == 2
    assert cluster.done.index("scale panhub-service") < cluster.done.index("release alice")
    assert not cluster.sessions
    assert not cluster.placeholders


def test_health_says_what_does_not_answer(monkeypatch):
    monkeypatch.setattr("hub.chart.health.urllib.request.urlopen", _refuse)
    assert answers("http://panhub-proxy/hub/health", patience_s=0) == "refused"


def test_a_database_is_there_when_it_takes_a_connection(monkeypatch):
    asked = []

    def connect(address: tuple[str, int], _timeout: float) -> socket.socket:
        asked.append(address)
        return socket.socket()

    monkeypatch.setattr("hub.chart.health.socket.create_connection", connect)
    assert answers("tcp://panhub-database:5432", patience_s=0) == ""
    assert asked == [("panhub-database", 5432)]
    monkeypatch.setattr("hub.chart.health.socket.create_connection", _refuse)
    assert answers("tcp://panhub-database:5432", patience_s=0) == "refused"


def _refuse(*_: object, **__: object) -> None:
    raise OSError("refused")
