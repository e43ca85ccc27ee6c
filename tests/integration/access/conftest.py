"""One whole platform for all tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.platform import Platform, Visitor, running_platform

SignIn = Callable[[str], Visitor]


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    folder = Path(tempfile.mkdtemp(prefix="panhub-")) / "s"
    with running_platform(folder, sessions={"recheck_access_s": 1}) as running:
        yield running


@pytest.fixture(scope="package")
def person(platform: Platform) -> SignIn:
    """Signs a person of the demo in, once."""
    return cache(platform.sign_in)
