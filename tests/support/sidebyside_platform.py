"""A whole platform with a Slurm and a Kubernetes at once; see `tests.support.platform`."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.sidebyside import SideBySideSite
from hub.demo.slurm.people import SITE
from spawners.kubernetes.naming import LAUNCH_LABEL
from tests.support.bench_ours import unwatch
from tests.support.platform import Platform
from tests.support.slurm import require_slurm

_NUMBERS = itertools.count(1)


class SideBySidePlatform(Platform):
    """The platform, and its two clusters."""

    def __init__(self, state: Path, site: SideBySideSite) -> None:
        super().__init__(state, site=site, desktops=site.has_desktops)
        self.site = site
        self.slurm = site.slurm.cluster
        self.kubernetes = site.kubernetes.cluster
        site.share_data()

    def handle_of(self, launch_id: str) -> Mapping[str, Any]:
        """A session's handle, as the session table has it."""
        ((handle,),) = self.database("SELECT handle FROM launches WHERE id = :id", id=launch_id)
        found: Mapping[str, Any] = json.loads(handle) if isinstance(handle, str) else handle
        return found

    def pods_of(self, launch_id: str) -> list[dict[str, Any]]:
        """The pods of a launch that the cluster has."""
        query = f"labelSelector={LAUNCH_LABEL}%3D{launch_id}"
        path = f"/api/v1/namespaces/{self.site.kubernetes.namespace}/pods?{query}"
        found: list[dict[str, Any]] = self.kubernetes.api.request("GET", path)["items"]
        return found

    def session_processes(self, launch_id: str = "") -> list[int]:
        """Processes of a launch, of its job and its pods; of all launches those of jobs."""
        pods = self.pods_of(launch_id) if launch_id else []
        of_pods = [pid for pod in pods for pid in self.kubernetes.processes(pod["metadata"]["uid"])]
        return [*super().session_processes(launch_id), *of_pods]


@contextmanager
def running_side_by_side_platform(cluster: Cluster) -> Iterator[SideBySidePlatform]:
    """A platform with a Slurm of its own and a namespace of a running cluster; it leaves nothing behind."""
    require_slurm("22.05")
    SITE.mkdir(parents=True, exist_ok=True)
    # Not below pytest's own folder, which is closed to the people whose jobs run.
    state = Path(tempfile.mkdtemp(prefix="test-", dir=SITE))
    state.chmod(0o711)
    site = SideBySideSite(state, cluster=cluster, namespace=f"both-{os.getpid()}-{next(_NUMBERS)}")
    try:
        site.start(lambda _line: None)
        platform = SideBySidePlatform(state, site)
        unwatch(platform)
        try:
            platform.start()
            yield platform
        finally:
            platform.stop()
    finally:
        site.stop()
        shutil.rmtree(state, ignore_errors=True)
