"""The ledger on PostgreSQL and on SQLite: the same tests on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.database import Database, sqlite_url
from hub.migrate import upgrade
from tests.support.postgresql import Cluster, cluster


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A cluster of the test run's own."""
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "panhub.sqlite")
    running: Cluster = request.getfixturevalue("postgresql")
    return running.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with all tables."""
    upgrade(url)
    database = Database(url)
    yield database
    database.close()
