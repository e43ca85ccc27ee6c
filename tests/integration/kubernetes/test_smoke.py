"""The demo's whole walk in pods: what `make smoke-kubernetes` does, in the tests' cluster."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.site import KubernetesSite
from hub.demo.kubernetes.smoke import kubernetes_plan
from hub.demo.smoke import run_smoke
from tests.support.facility import copy_facility
from tests.support.platform import require_desktops

pytestmark = pytest.mark.timeout(600)

NAMESPACE = "smoke"


@pytest.fixture
def state() -> Iterator[Path]:
    """Folder of a demo whose facility is there already."""
    require_desktops()
    folder = Path(tempfile.mkdtemp(prefix="panhub-smoke-"))
    copy_facility(folder)
    umask = os.umask(0o022)
    yield folder
    os.umask(umask)
    shutil.rmtree(folder)


@pytest.mark.may_block("the walk draws pictures and reads results in the loop that it runs in")
def test_two_people_at_once_find_everything_right(
    cluster: Cluster, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = KubernetesSite(state, cluster=cluster, namespace=NAMESPACE)
    code = run_smoke(state, kubernetes_plan(site))
    said = capsys.readouterr().out
    print(said)
    assert code == 0
    assert said.count("the charge is what the pod's times say") == 2
    assert said.count("none has a privilege, or a way to one") == 2
