"""Engines on a fresh database; after every test the books must be right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import FakeBackend, Place
from tests.support.engines import Engine


@pytest.fixture
async def make_engine(tmp_path: Path) -> AsyncIterator[Callable[..., Engine]]:
    """Make an engine, or its next life: the same database, and the place of the backend given."""
    made: list[Engine] = []

    def make(backend: FakeBackend | None = None, **more: Any) -> Engine:
        made.append(Engine(tmp_path, backend or FakeBackend(Place()), **more))
        return made[-1]

    yield make
    made[-1].assert_books_are_right()
    for engine in made:
        await engine.kill()


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    """An engine whose backend does what it is asked."""
    return make_engine()
