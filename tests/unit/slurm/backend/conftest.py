"""A cluster over a scripted transport, and one launch with its job as Slurm lists and accounts it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from spawners.plan import LaunchId
from spawners.slurm.cluster import SlurmCluster
from spawners.slurm.models import AccountedJob, JobState, mark
from spawners.slurm.settings import CliSettings, ClusterSettings
from spawners.slurm.transport import SlurmUnavailableError
from tests.support.slurm_models import NOW, job
from tests.support.slurm_scripted import QUICK, Scripted

LAUNCH = LaunchId("0123456789abcdef")
OTHER = LaunchId("fedcba9876543210")
HANDLE = {"cluster": "pan", "job": 7, "user": "vera"}
MINE = job(
    7,
    "cpu1",
    user="vera",
    comment=mark(LAUNCH),
    starts_at=NOW,
    ends_at=NOW + timedelta(hours=1),
    account="staff",
)
RUN = AccountedJob(
    id=7,
    state=JobState.CANCELLED,
    user="vera",
    account="staff",
    partition="cpu",
    comment=mark(LAUNCH),
    submitted_at=NOW,
    started_at=NOW,
    ended_at=NOW + timedelta(seconds=90),
    elapsed_s=90,
    cpus=8,
    memory_mib=8000,
    gpus=0,
    cancelled_by="root",
)
DOWN = SlurmUnavailableError("no answer")

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
