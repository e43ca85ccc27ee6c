"""Rules that hold for every test: no blocked event loop, and no network in unit tests."""

from __future__ import annotations

import gc
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopwatch import LoopWatch

UNIT = Path(__file__).parent / "unit"
SHARED = ("kubernetes", "slurm")
"""Rooms whose tests share a cluster: it is enough to start one of each."""

_LAST_LINES = 40

WATCH = pytest.StashKey[LoopWatch]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the watch of event loops."""
    config.addinivalue_line("markers", "may_block(reason): this test blocks an event loop on purpose")
    config.stash[WATCH] = watch = LoopWatch()
    watch.start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers: begin with what takes longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (item.nodeid.startswith("tests/unit/"), _room(item.nodeid) not in SHARED))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several workers share the tests by rooms: what shares fixtures stays in one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return _room(nodeid)

    return ByRoom(config, log)


def _room(nodeid: str) -> str:
    """Folder of a test; all that needs a Slurm is one room, since each would start its own."""
    path = nodeid.partition("::")[0]
    if not path.startswith("tests/unit/"):
        for cluster in SHARED:
            if cluster in path:
                return cluster
    return "/".join(path.split("/")[:3])


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collector's reach, as the service does at its start.

    All modules of application and tests are there now; each look among them would keep a loop for 0.2 s.
    """
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests were run again: what passes the second time is worth a look all the same."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"run again: {report.nodeid} ({report.when})", sep="_")
        terminalreporter.line("\n".join(report.longreprtext.splitlines()[-_LAST_LINES:]))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the watch."""
    if watch := config.stash.get(WATCH, None):
        watch.stop()


def _fail_if_blocked(item: pytest.Item) -> None:
    found = item.config.stash[WATCH].take()
    if found and item.get_closest_marker("may_block") is None:
        text = "\n".join(str(violation) for violation in found)
        pytest.fail(f"an event loop was blocked:\n{text}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Watch what fixtures do."""
    item.config.stash[WATCH].take()
    yield
    _fail_if_blocked(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Watch the test."""
    yield
    _fail_if_blocked(item)


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if UNIT not in request.path.parents:
        return

    def refuse(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            raise AssertionError(f"a unit test must not use the network: {address}")
        super(socket.socket, self).connect(address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
