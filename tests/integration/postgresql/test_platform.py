"""The whole platform on PostgreSQL: start, extend, stop, charge; and only one service on a database."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.platform import Platform, Visitor, running_platform
from tests.support.postgresql import Cluster

LAB6 = {"inputs": [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}], "template": "auto"}


@pytest.fixture(scope="module")
def platform(postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose service keeps its tables in PostgreSQL."""
    state = tmp_path_factory.mktemp("on-postgresql") / "state"
    with running_platform(state, database={"url": postgresql.new_database()}) as platform:
        yield platform


@pytest.fixture(scope="module")
def maja(platform: Platform) -> Visitor:
    """The principal investigator, signed in."""
    return platform.sign_in("maja")


def test_a_session_is_started_extended_stopped_and_charged(platform: Platform, maja: Visitor):
    launch = maja.launch(**LAB6, walltime_s=3600)
    running = maja.wait_for(launch["id"], "running")
    extended = maja.api("POST", f"/launches/{launch['id']}/extend", json={"seconds": 600})
    assert extended.status_code == 200
    assert extended.json()["deadline"] > running["deadline"]
    maja.api("DELETE", f"/launches/{launch['id']}")
    ended = maja.wait_for(launch["id"], "ended")
    charged = platform.database(
        "SELECT SUM(charged) FROM quota_holds WHERE launch_id = :id AND settled_at IS NOT NULL",
        id=launch["id"],
    )
    assert charged == [(ended["usage"]["elapsed_seconds"] * ended["usage"]["cpus"],)]


def test_refusals_are_counted_for_operators(platform: Platform, maja: Visitor):
    refused = maja.api("POST", "/launches", json={"profile": "nobody-has-this"})
    assert refused.json()["code"] == "profile_unknown"
    page = platform.sign_in("sam").page("operate")
    assert page.status_code == 200
    assert "profile_unknown" in page.text or "Profile unknown" in page.text


def test_a_second_service_on_the_same_database_refuses_to_start(platform: Platform, tmp_path: Path):
    program = platform.programs["service"]
    second = subprocess.run(
        program.argv, env=dict(program.environment), capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert second.returncode != 0
    assert "another service works on this database" in second.stdout + second.stderr
