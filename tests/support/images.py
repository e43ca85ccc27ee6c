"""Images of this checkout on the node of the tests' cluster, and programs in them."""

from __future__ import annotations

import json
import secrets
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.images import build_above, build_image
from tests.support.kubernetes import make_pod, pod_log, wait_pod
from tests.support.required import require_program

ANYBODY = 54321
"""A uid and gid that no image knows."""


@dataclass(frozen=True)
class Built:
    """An image: its archive, its name by digest, and what its configuration says (image-spec 1.1)."""

    name: str
    archive: Path
    reference: str
    configuration: dict[str, Any]


def built(cluster: Cluster, name: str) -> Built:
    """An image of ``images/``, built if the cache has none, on the node. Minutes the first time."""
    require_program("buildah", package="buildah")
    archive = build_image(name)
    return Built(name, archive, cluster.import_image(archive), _configuration(archive))


def built_above(cluster: Cluster, name: str, context: Path, archive: Path) -> Built:
    """An image built of a folder above one of ``images/``, on the node."""
    tag = f"localhost/{archive.stem}:1"
    build_above(name, context, tag, archive)
    return Built(archive.stem, archive, cluster.import_image(archive), _configuration(archive))


def run_in(
    cluster: Cluster,
    namespace: str,
    image: Built,
    script: str,
    *,
    uid: int = ANYBODY,
    folder: Path | None = None,
) -> str:
    """What a script of the shell prints in an image, as sessions run: by a uid, on a read-only root.

    ``folder`` of this machine is at its own path in the pod too. The script must end with 0.
    """
    pod = start_in(cluster, namespace, image, script, uid=uid, folder=folder)
    ended = wait_pod(cluster, namespace, pod, "Succeeded", "Failed", timeout_s=240)
    said = pod_log(cluster, namespace, pod)
    assert ended["status"]["phase"] == "Succeeded", said[-3000:]
    return said


def start_in(
    cluster: Cluster,
    namespace: str,
    image: Built,
    script: str,
    *,
    uid: int = ANYBODY,
    folder: Path | None = None,
) -> str:
    """Start such a pod; returns its name."""
    pod = f"{image.name}-{secrets.token_hex(4)}"
    writable = ["/tmp", "/var/lib/panhub"] if image.name == "hub" else ["/tmp", "/opt/panhub/jupyter"]
    if uid == 0:  # who only looks at the image
        writable = []
    mounts = [{"name": "scratch", "mountPath": path, "subPath": Path(path).name} for path in writable]
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    if folder is not None:
        mounts.append({"name": "folder", "mountPath": str(folder)})
        volumes.append({"name": "folder", "hostPath": {"path": str(folder), "type": "Directory"}})
    make_pod(
        cluster,
        namespace,
        pod,
        image.reference,
        script,
        container={
            "volumeMounts": mounts,
            "securityContext": {
                "runAsUser": uid,
                "runAsGroup": uid,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
        volumes=volumes,
        automountServiceAccountToken=False,
        enableServiceLinks=False,
    )
    return pod


def address_of(cluster: Cluster, namespace: str, pod: str) -> str:
    """Address of a pod when it runs."""
    running = wait_pod(cluster, namespace, pod, "Running", timeout_s=120)
    if "podIP" not in running["status"]:
        pytest.fail(f"the pod has no address: {running['status']}")
    address: str = running["status"]["podIP"]
    return address


def _configuration(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:

        def read(name: str) -> Any:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)

        def blob(digest: str) -> Any:
            return read(f"blobs/{digest.replace(':', '/')}")

        manifest = blob(read("index.json")["manifests"][0]["digest"])
        found: dict[str, Any] = blob(manifest["config"]["digest"])
        return found
