"""A whole platform with a Slurm and a Kubernetes at once; see `tests.support.platform`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.sidebyside import SideBySideSite
from tests.support.bench_ours import unwatch
from tests.support.kubernetes_platform import pod_processes, pods_of
from tests.support.platform import Platform, running_on
from tests.support.slurm_platform import slurm_state

_NUMBERS = itertools.count(1)


class SideBySidePlatform(Platform):
    """The platform, and its two clusters."""

    def __init__(self, state: Path, site: SideBySideSite) -> None:
        super().__init__(state, site=site, desktops=site.has_desktops)
        self.site = site
        self.slurm = site.slurm.cluster
        self.kubernetes = site.kubernetes.cluster
        site.share_data()

    def pods_of(self, launch_id: str) -> list[dict[str, Any]]:
        """The pods of a launch that the cluster has."""
        return pods_of(self.site.kubernetes, launch_id)

    def session_processes(self, launch_id: str = "") -> list[int]:
        """Processes of a launch, of its job and its pods; of all launches those of jobs."""
        return [*super().session_processes(launch_id), *pod_processes(self.site.kubernetes, launch_id)]


@contextmanager
def running_side_by_side_platform(cluster: Cluster) -> Iterator[SideBySidePlatform]:
    """A platform with a Slurm of its own and a namespace of a running cluster; it leaves nothing behind."""
    with slurm_state() as state:
        site = SideBySideSite(state, cluster=cluster, namespace=f"both-{os.getpid()}-{next(_NUMBERS)}")

        def make() -> SideBySidePlatform:
            platform = SideBySidePlatform(state, site)
            unwatch(platform)
            return platform

        with running_on(site, make) as platform:
            yield platform
