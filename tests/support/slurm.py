"""Slurm clusters for tests: one of each release, shared by the whole run, put right after each test.

Import the fixtures into a ``conftest.py``; `slurm_cluster` runs a test on every release.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.demo.slurm import SlurmCluster, running_cluster
from hub.demo.slurm.release import PROGRAMS
from tests.support.required import require, require_program

RELEASES = tuple(os.environ.get("PANHUB_SLURM_RELEASES", "22.05 24.11").split())
"""Releases of `slurm_cluster`; 26.05 comes from Debian testing, which moves on, so it must be asked for."""


@contextmanager
def own_cluster(release: str, options: Mapping[str, str] | None = None) -> Iterator[SlurmCluster]:
    """A cluster of the caller's own, in a folder that all its people can reach."""
    require_slurm(release)
    state = Path(tempfile.mkdtemp(prefix="panhub-slurm-"))
    state.chmod(0o755)
    try:
        with running_cluster(state / "state", release=release, options=options) as cluster:
            yield cluster
    finally:
        shutil.rmtree(state)


def require_slurm(release: str) -> None:
    """Go on only if this machine can run a cluster of the release."""
    require(os.geteuid() == 0, "root: Slurm runs jobs as other people")
    require_program("nsenter", package="util-linux")
    require_program("setpriv", package="util-linux")
    if release == "22.05":
        require(all(path.exists() for path in PROGRAMS), "Slurm 22.05 (see CI_PACKAGES in the Makefile)")
    else:
        require_program("debootstrap", "/usr/sbin/debootstrap", package="debootstrap")


@pytest.fixture(scope="session")
def slurm_2205() -> Iterator[SlurmCluster]:
    """Slurm 22.05, of Debian 12. Use `slurm_cluster` where a test is to leave nothing behind."""
    with own_cluster("22.05") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_2411() -> Iterator[SlurmCluster]:
    """Slurm 24.11, of Debian 13."""
    with own_cluster("24.11") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_2605() -> Iterator[SlurmCluster]:
    """Slurm 26.05, of Debian testing."""
    with own_cluster("26.05") as cluster:
        yield cluster


@pytest.fixture(scope="session", params=RELEASES)
def slurm_release(request: pytest.FixtureRequest) -> SlurmCluster:
    """The shared cluster of each release in turn."""
    cluster: SlurmCluster = request.getfixturevalue(f"slurm_{request.param.replace('.', '')}")
    return cluster


@pytest.fixture
def slurm_cluster(slurm_release: SlurmCluster) -> Iterator[SlurmCluster]:
    """The shared cluster of each release in turn; afterwards without jobs and with all its daemons."""
    yield slurm_release
    slurm_release.reset()
