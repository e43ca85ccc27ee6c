"""Books on SQLite; after every test their balances must equal their entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quota.policy import Policy
from tests.support.ledger import Books, sqlite_database


@pytest.fixture
def open_books(tmp_path: Path) -> Iterator[Callable[[Policy], Books]]:
    """Open the books of one database under a policy; more than once, should the policy change."""
    database = sqlite_database(tmp_path)
    opened: list[Books] = []

    def open_(rules: Policy) -> Books:
        opened.append(Books(database, rules))
        return opened[-1]

    yield open_
    try:
        assert not opened or opened[0].audit() == []
    finally:
        database.close()
