"""A Slurm cluster of its own for benchmarks, with what the platform's sessions need on its nodes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hub.demo.slurm import configuration
from hub.demo.slurm.cluster import SlurmCluster
from hub.demo.slurm.people import SITE
from hub.demo.slurm.release import PROGRAMS
from hub.demo.slurm.site import SlurmSite
from tests.support.bench_ours import unwatch
from tests.support.bench_processes import ROOT
from tests.support.slurm_platform import SlurmPlatform

PERSON = "maja"
"""Whose sessions are measured, on all sides."""

_FOR_MANY = {
    "JobAcctGatherFrequency": "task=30",
    "SchedulerParameters": "batch_sched_delay=0,sched_interval=60,bf_interval=30",
}
"""Slurm's defaults: the demo looks each second at the queue and at each job, too much for hundreds."""

_PROOF = ROOT / "spawners/session/proof.py"
_STUB = Path(__file__).with_name("bench_slurm_stub.py")


class BenchSite(SlurmSite):
    """The demo's site, asked as often as a site is by default; its sessions may be small stand-ins."""

    def __init__(self, state: Path, *, is_stubbed: bool) -> None:
        super().__init__(state)
        if is_stubbed:
            self.cluster = SlurmCluster(state / "slurm", shared=[state / "data"], options=_FOR_MANY)
        self._is_stubbed = is_stubbed

    @property
    def prefix(self) -> Path:
        """Environment of the sessions, with ``bin/jupyterhub-singleuser``."""
        return self._nodes.prefix

    @property
    def stub(self) -> Path:
        """Folder with the stand-in of a session, ``node.py``."""
        folder = self.state / "stub"
        if not folder.exists():
            folder.mkdir(mode=0o755)
            shutil.copy(_STUB, folder / "node.py")
            shutil.copy(_PROOF, folder / "proof.py")
            folder.chmod(0o755)
        return folder

    def cluster_settings(self) -> dict[str, Any]:
        """Without the demo's pace of questions; with the stand-in's code if wanted."""
        settings = super().cluster_settings()
        settings.pop("poll_s")
        return settings | ({"session_code": str(self.stub)} if self._is_stubbed else {})


@contextmanager
def bench_site(*, cpus_per_node: int = configuration.CPUS, is_stubbed: bool = False) -> Iterator[BenchSite]:
    """Run a cluster of Slurm 22.05; its nodes say that they have so many CPUs, and memory for them.

    Raises
    ------
    RuntimeError
        If this machine cannot run one.
    """
    if os.geteuid() != 0 or not all(path.exists() for path in PROGRAMS):
        raise RuntimeError("needs root and Slurm 22.05: make slurm-packages")
    SITE.mkdir(parents=True, exist_ok=True)
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=SITE))
    state.chmod(0o711)
    # Each session asks for 2 GiB, which nobody uses.
    memory = max(configuration.MEMORY_MB, 2048 * cpus_per_node)
    site = BenchSite(state, is_stubbed=is_stubbed)
    try:
        with patch.multiple(configuration, CPUS=cpus_per_node, MEMORY_MB=memory):
            site.start(lambda _line: None)
        yield site
    finally:
        site.stop()
        shutil.rmtree(state, ignore_errors=True)


@contextmanager
def bench_platform(site: BenchSite, **overrides: Mapping[str, Any]) -> Iterator[SlurmPlatform]:
    """The platform on that cluster, without the tests' watch of event loops."""
    platform = SlurmPlatform(site.state, site, overrides)
    unwatch(platform)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
