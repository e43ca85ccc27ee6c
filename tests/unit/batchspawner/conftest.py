"""A backend that drives TorqueSpawner with programs that answer as Torque's do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from spawners.batchspawner.backend import BatchspawnerBackend
from spawners.batchspawner.settings import BatchSystemSettings
from spawners.batchspawner.system import BatchSystem
from spawners.plan import Credentials, LaunchPlan
from tests.support.fake_torque import FakeTorque
from tests.support.slurm_models import plan

TOKEN = "secret-of-the-session"

Make = Callable[..., BatchspawnerBackend]


@pytest.fixture
def torque(tmp_path: Path) -> FakeTorque:
    return FakeTorque(tmp_path / "torque")


def settings(torque: FakeTorque, **changes: Any) -> BatchSystemSettings:
    fields: dict[str, Any] = {
        "class_name": "batchspawner:TorqueSpawner",
        "exec_prefix": "",
        "environment": {"PATH": f"{torque.bin}:/usr/bin:/bin"},
        "session_code": PurePosixPath("/opt/panhub/session"),
        "poll_s": 0.2,
        "timeout_s": 5,
    }
    return BatchSystemSettings(**{**fields, **changes})


@pytest.fixture
async def make(torque: FakeTorque, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes a backend; each is a new process of the service on the same records."""
    made = []

    def make_backend(queue: str | None = "batch", **changes: Any) -> BatchspawnerBackend:
        system = BatchSystem("torque", settings(torque, **changes), tmp_path / "records")
        made.append(BatchspawnerBackend(system, queue))
        return made[-1]

    yield make_backend
    for backend in made:
        await backend.aclose()


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(
        environment={"JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_OAUTH_SCOPES": '["a,b", "c\'d"]\n'},
        report_url="http://hub.example.org:8083/services/panhub/internal/reports/0123456789abcdef",
        report_secret="another",
    )


@pytest.fixture
def wanted() -> LaunchPlan:
    made = plan(8)
    return replace(made, environment=replace(made.environment, modules=("gcc/12",)))
