"""The demo's cluster itself: what the kernel does for its pods, its network, its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.control import FAKE_NODE, GPU
from hub.demo.kubernetes.errors import KubernetesDemoError
from tests.support.kubernetes import make_pod, pod_log, wait, wait_pod
from tests.support.mounts import mounts_of, origin

UID, GID, GROUP = 23456, 23457, 34567


def test_pod_has_the_persons_numbers_and_exactly_its_mounts(
    cluster: Cluster, namespace: str, busybox: str, tmp_path: Path
) -> None:
    for name in ("raw", "processed", "others"):
        (tmp_path / "p1" / name).mkdir(parents=True)
        (tmp_path / "p1" / name / "file").write_text(name)
    os.chown(tmp_path / "p1/processed", 0, GROUP)
    (tmp_path / "p1/processed").chmod(0o770)
    wanted = [
        {"name": "data", "mountPath": "/data/raw", "subPath": "p1/raw", "readOnly": True},
        {"name": "data", "mountPath": "/data/processed", "subPath": "p1/processed"},
    ]
    uid = make_pod(
        cluster,
        namespace,
        "session",
        busybox,
        "touch /data/raw/new; touch /data/processed/new && cat /data/raw/file && ls /data; exec sleep 600",
        securityContext={
            "runAsUser": UID,
            "runAsGroup": GID,
            "supplementalGroups": [GROUP],
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        automountServiceAccountToken=False,
        volumes=[{"name": "data", "hostPath": {"path": str(tmp_path), "type": "Directory"}}],
        container={
            "volumeMounts": wanted,
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        },
    )
    wait_pod(cluster, namespace, "session", "Running")
    wait(
        lambda: "processed\n" in pod_log(cluster, namespace, "session"), "the script has not come to its end"
    )

    (pid,) = cluster.processes(uid)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["Uid"].split() == [str(UID)] * 4
    assert status["Gid"].split() == [str(GID)] * 4
    assert set(status["Groups"].split()) == {str(GID), str(GROUP)}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # a filter (proc(5))

    mounts, here = mounts_of(pid), mounts_of("self")
    origins = [(mount, origin(mount, here)) for mount in mounts]
    data = [(mount, folder) for mount, folder in origins if folder and folder.is_relative_to(tmp_path)]
    assert {(str(mount.target), mount.is_read_only, str(folder)) for mount, folder in data} == {
        ("/data/raw", True, str(tmp_path / "p1/raw")),
        ("/data/processed", False, str(tmp_path / "p1/processed")),
    }
    assert not any("serviceaccount" in str(mount.target) for mount in mounts)

    said = pod_log(cluster, namespace, "session")
    assert "touch: /data/raw/new: Read-only file system" in said
    assert said.endswith("rawprocessed\nraw\n")
    made = tmp_path / "p1/processed/new"
    assert (made.stat().st_uid, made.stat().st_gid) == (UID, GID)


def test_memory_over_the_limit_is_named_as_the_reason(cluster: Cluster, namespace: str, busybox: str) -> None:
    # tail keeps what has no line end.
    limits = {"resources": {"limits": {"memory": "24Mi"}}}
    make_pod(cluster, namespace, "greedy", busybox, "exec tail /dev/zero", container=limits)
    pod = wait_pod(cluster, namespace, "greedy", "Failed")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_quota_of_the_namespace_refuses_with_the_reason(
    cluster: Cluster, namespace: str, busybox: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/small"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "1"}}}
    cluster.api.apply(path, quota)
    wait(lambda: cluster.api.request("GET", path).get("status", {}).get("hard"), "the quota is not seen")
    make_pod(cluster, namespace, "first", busybox, "exec sleep 600")
    with pytest.raises(
        KubernetesDemoError, match=r"403 .*exceeded quota: small, requested: pods=1, used: pods=1"
    ):
        make_pod(cluster, namespace, "second", busybox, "exec sleep 600")


def test_pretend_gpus_are_given_out_and_survive_the_kubelet(
    restored_cluster: Cluster, namespace: str, busybox: str
) -> None:
    cluster = restored_cluster
    cluster.stop_kubelet()
    cluster.start_kubelet()
    spec: dict[str, Any] = {
        "container": {"resources": {"limits": {GPU: "3"}}},
        "nodeSelector": {"nvidia.com/gpu.product": "A100"},
    }
    make_pod(cluster, namespace, "three", busybox, "exec sleep 600", **spec)
    wait_pod(cluster, namespace, "three", "Running")
    make_pod(cluster, namespace, "too-many", busybox, "exec sleep 600", **spec)

    def reason() -> str:
        pod = cluster.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/too-many")
        found = [each for each in pod["status"].get("conditions", ()) if each["type"] == "PodScheduled"]
        return str(found[0].get("message", "")) if found else ""

    wait(lambda: f"Insufficient {GPU}" in reason(), "the scheduler has not said why")


def test_accounts_have_their_own_rights_and_the_api_server_comes_back(
    restored_cluster: Cluster, namespace: str
) -> None:
    cluster = restored_cluster
    of = f"/api/v1/namespaces/{namespace}"
    cluster.api.apply(f"{of}/serviceaccounts/engine", {"apiVersion": "v1", "kind": "ServiceAccount"})
    engine = cluster.api_as("engine", namespace)
    with pytest.raises(
        KubernetesDemoError, match=f'403 .*system:serviceaccount:{namespace}:engine" cannot list'
    ):
        engine.request("GET", f"{of}/pods")
    cluster.stop_apiserver()
    with pytest.raises(KubernetesDemoError, match="does not answer"):
        cluster.api.request("GET", of)
    cluster.start_apiserver()
    with pytest.raises(KubernetesDemoError, match="403"):
        engine.request("GET", f"{of}/pods")
    engine.close()


def test_thousands_fit_on_nodes_that_are_played(
    restored_cluster: Cluster, namespace: str, busybox: str
) -> None:
    cluster = restored_cluster
    first, second = cluster.add_nodes(2)
    tolerations = [{"key": FAKE_NODE, "operator": "Exists"}]
    uid = make_pod(
        cluster,
        namespace,
        "played",
        busybox,
        "exit 1",
        tolerations=tolerations,
        nodeSelector={FAKE_NODE: "fake"},
    )
    pod = wait_pod(cluster, namespace, "played", "Running")
    assert pod["spec"]["nodeName"] in {first, second}
    assert cluster.processes(uid) == []
    # Whoever does not ask for such a node comes to the real one.
    uid = make_pod(cluster, namespace, "real", busybox, "exec sleep 600")
    wait_pod(cluster, namespace, "real", "Running")
    assert len(cluster.processes(uid)) == 1
