"""One platform with sharing for all tests of this folder; the tunnel is played by the tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.platform import Platform, Visitor
from tests.support.sharing_platform import Tunnel, with_sharing

SignIn = Callable[[str], Visitor]


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    state = Path(tempfile.mkdtemp(prefix="panhub-")) / "s"
    platform = Platform(state)
    with_sharing(platform)
    try:
        platform.start()
        yield platform
        assert platform.blocked_loops() == []
    finally:
        platform.stop()
        shutil.rmtree(state.parent, ignore_errors=True)


@pytest.fixture(scope="package")
def person(platform: Platform) -> SignIn:
    """Signs a person of the demo in, once."""

    @cache
    def sign_in(username: str) -> Visitor:
        visitor = platform.sign_in(username)
        assert visitor.token
        return visitor

    return sign_in


@pytest.fixture(scope="package")
def tunnel(platform: Platform) -> Tunnel:
    return Tunnel(platform)
