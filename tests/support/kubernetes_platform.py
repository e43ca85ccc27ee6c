"""A whole platform whose sessions run as pods of a Kubernetes of its own; see `tests.support.platform`."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.site import KubernetesSite
from spawners.kubernetes.naming import LAUNCH_LABEL
from tests.support.bench_ours import unwatch
from tests.support.platform import Platform, running_on

_NUMBERS = itertools.count(1)


class KubernetesPlatform(Platform):
    """The platform, and its site in a cluster."""

    def __init__(
        self, state: Path, site: KubernetesSite, overrides: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        super().__init__(state, overrides, site=site, desktops=site.has_desktops)
        self.site = site
        self.cluster = site.cluster
        site.share_data()

    def pods_of(self, launch_id: str) -> list[dict[str, Any]]:
        """The pods of a launch that the cluster has."""
        return pods_of(self.site, launch_id)

    def session_processes(self, launch_id: str = "") -> list[int]:
        """Processes of a launch's pods; of all launches none, since they end with the namespace."""
        return pod_processes(self.site, launch_id)


def pods_of(site: KubernetesSite, launch_id: str) -> list[dict[str, Any]]:
    """The pods of a launch that a site's cluster has."""
    path = f"/api/v1/namespaces/{site.namespace}/pods?labelSelector={LAUNCH_LABEL}%3D{launch_id}"
    found: list[dict[str, Any]] = site.cluster.api.request("GET", path)["items"]
    return found


def pod_processes(site: KubernetesSite, launch_id: str) -> list[int]:
    """Processes of a launch's pods, as this machine numbers them; none for no launch."""
    pods = pods_of(site, launch_id) if launch_id else []
    return [pid for pod in pods for pid in site.cluster.processes(pod["metadata"]["uid"])]


@contextmanager
def running_kubernetes_platform(
    cluster: Cluster, *, desktops: bool = False, watched: bool = True, **overrides: Mapping[str, Any]
) -> Iterator[KubernetesPlatform]:
    """A platform in a namespace of a running cluster; it leaves nothing behind.

    ``watched``: its event loops are.
    """
    state = Path(tempfile.mkdtemp(prefix="panhub-pods-"))
    site = KubernetesSite(state, cluster=cluster, namespace=f"sessions-{os.getpid()}-{next(_NUMBERS)}")
    site.has_desktops = desktops

    def make() -> KubernetesPlatform:
        platform = KubernetesPlatform(state, site, overrides)
        if not watched:
            unwatch(platform)
        return platform

    try:
        with running_on(site, make) as platform:
            yield platform
    finally:
        shutil.rmtree(state, ignore_errors=True)
