"""One platform for a module; at its end no loop of ours was blocked, and the books are right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.afterwards import assert_books_are_right
from tests.support.platform import Platform, Visitor, running_platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose plans are given up soon."""
    folder = tmp_path_factory.mktemp("hub") / "state"
    overrides = {"sessions": {"hand_over_timeout_s": 10}, "local": {"grace_s": 3}}
    with running_platform(folder, **overrides) as platform:
        yield platform
        assert platform.blocked_loops() == []
        assert_books_are_right(platform)


@pytest.fixture(scope="module")
def maja(platform: Platform) -> Visitor:
    """A person who has signed in."""
    visitor = platform.sign_in("maja")
    assert visitor.token
    return visitor
