"""The demo facility, made once for all tests of this folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.demo.facility import make_facility
from tests.support.required import require

PYTHON = Path(__file__).parents[3] / "build" / "environments" / "pan-core" / "bin" / "python"


@dataclass
class MadeFacility:
    """Where it was made, and what was reported."""

    state: Path
    reports: list[tuple[str, float]] = field(default_factory=list)

    @property
    def data_root(self) -> Path:
        return self.state / "data" / "visitor"


@pytest.fixture(scope="session")
def facility(tmp_path_factory: pytest.TempPathFactory) -> MadeFacility:
    """A fresh demo facility."""
    require(
        os.access(PYTHON, os.X_OK),
        "the sessions' environment build/environments/pan-core (make demo makes it)",
    )
    made = MadeFacility(tmp_path_factory.mktemp("state"))
    make_facility(made.state, PYTHON, lambda text, share: made.reports.append((text, share)))
    return made
