"""A Kubernetes cluster for tests: one for the whole run, a namespace for each test.

Import the fixtures into a ``conftest.py``. All tests with "kubernetes" in their path run in one worker.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.demo.kubernetes.archives import write_archive
from hub.demo.kubernetes.binaries import kubernetes_binaries
from hub.demo.kubernetes.cluster import Cluster, running_cluster
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.machine import missing_programs
from hub.demo.kubernetes.specs import store_client
from hub.demo.slurm.release import cache_folder
from tests.support.required import require, require_program

BUSYBOX = "localhost/busybox:1"
_COMMANDS = (
    "sh",
    "sleep",
    "id",
    "cat",
    "ls",
    "echo",
    "touch",
    "mkdir",
    "httpd",
    "wget",
    "nslookup",
    "nc",
    "tail",
    "dd",
)
_OTHERS_S = 600.0
"""How long to wait where other checkouts run as many clusters as the machine can."""

_NUMBERS = itertools.count(1)


def require_kubernetes() -> None:
    """Go on only if this machine can run a cluster."""
    require(os.geteuid() == 0, "root: Kubernetes makes containers")
    missing = missing_programs()
    require(not missing, f"{', '.join(missing)} (make kubernetes-packages)")
    require(kubernetes_binaries(), "Kubernetes (make kubernetes; needs Go)")
    require_program("busybox", package="busybox-static")
    probe = ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"]
    done = subprocess.run(probe, check=False, capture_output=True)
    require(done.returncode == 0, "namespaces of mounts and networks: a privileged container, or a machine")


@contextmanager
def own_cluster(images: Path | None = None) -> Iterator[Cluster]:
    """A cluster, in a folder with a short path. ``images``: where they are kept for the next."""
    require_kubernetes()
    folder = Path(tempfile.mkdtemp(prefix="panhub-k8s-"))
    try:
        with running_cluster(folder, images=images, wait_s=_OTHERS_S) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


class _Shared:
    """One cluster for all folders that import the fixture: pytest makes it once for each."""

    def __init__(self) -> None:
        self._users = 0
        self._stack = contextlib.ExitStack()
        self._cluster: Cluster | None = None

    @contextmanager
    def use(self) -> Iterator[Cluster]:
        if self._cluster is None:
            # The same images as the demo's: bringing them onto a node takes minutes.
            images = cache_folder() / "containerd"
            self._cluster = self._stack.enter_context(own_cluster(images))
        self._users += 1
        try:
            yield self._cluster
        finally:
            self._users -= 1
            if not self._users:
                self._cluster = None
                self._stack.close()


_SHARED = _Shared()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this run. Use `restored_cluster` to break something."""
    with _SHARED.use() as cluster:
        yield cluster


@pytest.fixture
def restored_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """The same; afterwards all its daemons run, the node takes pods and is the only one."""
    yield cluster
    cluster.reset()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace, deleted after the test."""
    with own_namespace(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def module_namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace for a module's tests."""
    with own_namespace(cluster) as name:
        yield name


@contextmanager
def own_namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace in which pods can be made; it is deleted, not waited for."""
    name = f"test-{os.getpid()}-{next(_NUMBERS)}"
    path = f"/api/v1/namespaces/{name}"
    cluster.api.apply(path, {"apiVersion": "v1", "kind": "Namespace"})
    # Until then no pod is admitted.
    wait(lambda: cluster.api.answers(f"{path}/serviceaccounts/default"), "the namespace has no account")
    try:
        yield name
    finally:
        with contextlib.suppress(KubernetesDemoError):
            cluster.api.request("DELETE", f"{path}/pods", {"gracePeriodSeconds": 0})
            cluster.api.request("DELETE", path)


@pytest.fixture(scope="session")
def busybox(cluster: Cluster) -> str:
    """Image with nothing but busybox, by digest: for pods that need no Python."""
    return import_busybox(cluster)


def import_busybox(cluster: Cluster) -> str:
    """Bring the image with busybox onto the node; returns its name by digest."""
    archive = cluster.folder / "busybox.tar"
    links = {f"/bin/{name}": "busybox" for name in _COMMANDS}
    program = Path(require_program("busybox", package="busybox-static"))
    write_archive(
        archive,
        BUSYBOX,
        {"/bin/busybox": program},
        command=("/bin/sh",),
        links=links,
        machine=os.uname().machine,
    )
    return cluster.import_image(archive)


def make_pod(cluster: Cluster, namespace: str, name: str, image: str, script: str, **spec: Any) -> str:
    """Make a pod that runs a script of the shell; returns its uid. ``container``: of its only container."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        **spec.pop("container", {}),
    }
    body = {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }
    made = cluster.api.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
    uid: str = made["metadata"]["uid"]
    return uid


def output(cluster: Cluster, namespace: str, name: str, image: str, script: str, **spec: Any) -> str:
    """What a script prints in a pod of its own, until it ends."""
    make_pod(cluster, namespace, name, image, f"{script}\n", **spec)
    wait_pod(cluster, namespace, name, "Succeeded", "Failed")
    return pod_log(cluster, namespace, name)


def execute(
    cluster: Cluster, pod: dict[str, Any], container: str, *argv: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a running container as the container's own process runs: user, mounts, limits."""
    status = pod["status"]
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    (found,) = [each["containerID"] for each in states if each["name"] == container]
    process = f"test-{os.getpid()}-{next(_NUMBERS)}"
    return cluster.run(*_client(), "tasks", "exec", "--exec-id", process, _bare(found), *argv)


def runtime_profile(cluster: Cluster, container_id: str) -> dict[str, Any]:
    """The seccomp profile that a container runs with, in the form of the runtime specification."""
    done = cluster.run(*_client(), "containers", "info", _bare(container_id))
    profile: dict[str, Any] = json.loads(done.stdout)["Spec"]["linux"]["seccomp"]
    return profile


def _client() -> tuple[str, ...]:
    """Command of containerd's own client, on the node."""
    binaries = kubernetes_binaries()
    assert binaries is not None
    return store_client(binaries)


def _bare(container_id: str) -> str:
    return container_id.removeprefix("containerd://")


def pod_log(cluster: Cluster, namespace: str, name: str) -> str:
    """Log of a pod, by way of the kubelet."""
    return cluster.api.text(f"/api/v1/namespaces/{namespace}/pods/{name}/log")


def wait(is_so: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
    """Wait until something is so; a failure says ``what``."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout_s:g} s {what}")
        time.sleep(0.05)


def wait_pod(
    cluster: Cluster, namespace: str, name: str, *phases: str, timeout_s: float = 120.0
) -> dict[str, Any]:
    """Wait until a pod is in one of the phases (``Running``); returns it."""
    deadline = time.monotonic() + timeout_s
    while True:
        pod = cluster.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")
        if pod["status"].get("phase") in phases:
            return pod
        if time.monotonic() > deadline:
            pytest.fail(f"after {timeout_s:g} s the pod is not {' or '.join(phases)}: {pod['status']}")
        time.sleep(0.1)
