"""A cluster over a scripted transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import PurePosixPath

import pytest

from spawners.slurm.cluster import SlurmCluster
from spawners.slurm.settings import CliSettings, ClusterSettings
from tests.support.slurm_scripted import QUICK, Scripted

MakeCluster = Callable[[Scripted], SlurmCluster]

SETTINGS = ClusterSettings(
    transport=CliSettings(kind="cli"),
    session_code=PurePosixPath("/opt/panhub/session"),
)


@pytest.fixture
async def make_cluster() -> AsyncIterator[MakeCluster]:
    made: list[SlurmCluster] = []

    def new(transport: Scripted) -> SlurmCluster:
        made.append(SlurmCluster("pan", SETTINGS, transport))
        made[-1].watcher._pace = QUICK
        return made[-1]

    yield new
    for cluster in made:
        await cluster.aclose()
        assert cluster.transport.calls[-1] == ("aclose",)
