"""Fixtures of the Kubernetes tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.demo.kubernetes.cluster import Cluster
from tests.support.kubernetes import busybox, cluster, module_namespace, namespace, restored_cluster
from tests.support.kubernetes_backends import Ours, Site, connected, import_scripted, make_site, remove_all

__all__ = ["busybox", "cluster", "module_namespace", "namespace", "ours", "restored_cluster", "site"]


@pytest.fixture(scope="module")
def site(cluster: Cluster, module_namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A namespace in which an engine with the chart's rights runs sessions of shell scripts."""
    made = make_site(
        cluster, module_namespace, import_scripted(cluster), Path(tmp_path_factory.mktemp("site"))
    )
    yield made
    remove_all(made)


@pytest.fixture
async def ours(site: Site) -> AsyncIterator[Ours]:
    """That engine."""
    async with connected(site) as made:
        yield made
    await asyncio.to_thread(remove_all, site)
