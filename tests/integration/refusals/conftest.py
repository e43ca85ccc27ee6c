"""One whole platform for all tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.support.platform import ROOT, Platform, Visitor, running_platform

SignIn = Callable[[str], Visitor]


def _profiles(folder: Path, data: Path) -> Path:
    """The demo's profiles, and one at places that lack data or are paid otherwise."""
    offered = yaml.safe_load((ROOT / "profiles/site/demo.yaml").read_text())
    offered["places"] |= {
        "bare": {"title": "Bare cloud", "backend": "local", "storage": [str(data.parent / "homes")]},
        "paid": {"title": "Paid cloud", "backend": "local", "payers": ["facility:cloud"]},
    }
    offered["profiles"]["cloud"] = {
        **offered["profiles"]["lab"], "title": "Cloud", "places": ["bare", "paid"]
    }  # fmt: skip
    file = folder / "profiles.yaml"
    file.write_text(yaml.safe_dump(offered))
    return file


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    folder = Path(tempfile.mkdtemp(prefix="panhub-"))
    state = folder / "s"
    profiles = {"file": str(_profiles(folder, state / "data"))}
    given = [{"account": "cloud", "resource": "cpu_hours", "limit": 100}]
    with running_platform(state, profiles=profiles, quota={"facility": given}) as running:
        yield running


@pytest.fixture(scope="package")
def person(platform: Platform) -> SignIn:
    """Signs a person of the demo in, once."""
    return cache(platform.sign_in)
