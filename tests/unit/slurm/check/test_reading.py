"""What `panhub check` makes of addresses, clocks and calls, without a cluster."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from hub.checks import calls
from hub.checks.calls import Calls
from hub.checks.finding import Level
from hub.checks.nodes import _Nodes, _Probe, _Seen
from hub.checks.reach import hub_url, report_url
from hub.checks.slurm import _is_here, _is_loopback
from spawners.slurm.models import JobState

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def site(bind: str = "10.1.0.5", report: str | None = None):
    return SimpleNamespace(
        hub=SimpleNamespace(bind=bind, port=8081, address=None, session_url=None),
        service=SimpleNamespace(url="http://10.1.0.5:8002", session_report_url=report),
        slurm=SimpleNamespace(clusters={"pan": None}),
    )


@pytest.mark.parametrize(
    ("bind", "host"), [("10.1.0.5", "10.1.0.5"), ("0.0.0.0", socket.gethostname()), ("fd00::5", "[fd00::5]")]
)
def test_sessions_are_told_the_address_that_the_hub_tells(bind, host):
    assert hub_url(site(bind)) == f"http://{host}:8081/hub/api/"


def test_what_nodes_are_told_comes_before_what_all_sessions_are():
    own, none = SimpleNamespace(node_report_url="http://n:1/"), SimpleNamespace(node_report_url=None)
    assert report_url(site(report="http://s:2"), own) == "http://n:1"
    assert report_url(site(report="http://s:2"), none) == "http://s:2"
    assert report_url(site(), none) == "http://10.1.0.5:8002"


@pytest.mark.parametrize(("address", "is_ours"), [("127.0.0.1", True), ("203.0.113.7", False), ("", False)])
def test_an_address_is_here_if_one_can_listen_there(address, is_ours):
    assert _is_here(address) is is_ours


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:1", True), ("http://[::1]:1", True), ("http://203.0.113.7:1", False)],
)
def test_loopback_is_seen(url, expected):
    assert _is_loopback(url) is expected


@pytest.mark.parametrize(
    ("ahead_s", "level", "said"),
    [
        (0, Level.FINE, "agrees"),
        (-29, Level.FINE, "agrees"),
        (40, Level.FAULT, "40 s ahead of"),
        (-3600, Level.FAULT, "3600 s behind"),
        (None, Level.WARNING, "not known"),
    ],
)
def test_slurmctlds_clock_is_told_by_the_time_of_the_submit(ahead_s, level, said):
    stated = None if ahead_s is None else NOW + timedelta(seconds=ahead_s)
    seen = _Seen(JobState.COMPLETED, 0, "cpu1", "", stated)
    nodes = _Nodes("pan", None, site(), None, "maja")
    finding = nodes._clock([_Probe("cpu", None, 7, NOW)], {7: seen})
    assert finding.level is level
    assert said in finding.text


async def _end_of(monkeypatch, heard, *, after_s: float) -> dict[int, bool]:
    monkeypatch.setattr(calls, "_heard", heard)
    monkeypatch.setattr(calls, "_LONG_ENOUGH_S", 0.05)
    made = Calls({"cpu1": "10.1.0.7"})
    for _ in range(2):
        made.begin(7, "cpu1", 40000, "abcd")
    await asyncio.sleep(after_s)
    return await made.end()


async def test_a_node_that_says_the_word_is_reached(monkeypatch):
    asked = []

    async def heard(*where):
        asked.append(where)
        return b"abcd"

    assert await _end_of(monkeypatch, heard, after_s=0.01) == {7: True}
    assert asked == [("10.1.0.7", 40000, 4)]


async def test_another_program_at_that_port_is_not_the_probe(monkeypatch):
    async def heard(*_):
        return b"SSH-"

    assert await _end_of(monkeypatch, heard, after_s=0.1) == {7: False}


async def test_a_node_that_never_answers_is_not_reached_unless_it_ended_at_once(monkeypatch):
    async def heard(*_):
        raise ConnectionRefusedError

    assert await _end_of(monkeypatch, heard, after_s=0.1) == {7: False}
    assert await _end_of(monkeypatch, heard, after_s=0.0) == {}
