"""Command lines of the cluster's daemons."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hub.demo.kubernetes import enforcer
from hub.demo.kubernetes.addresses import API_PORT, DOMAIN, NODE_NAME, Addresses
from hub.demo.kubernetes.configuration import CONTAINERD_SOCKET, Files
from hub.demo.kubernetes.credentials import Credentials

NODE_GRACE_S = 16
"""How long a node may be silent before its pods are moved; Kubernetes' own is 50 s, too long for a test."""

TOLERATION_S = 5
"""How long a pod stays on a node that is gone; Kubernetes' own is 300 s."""

STAGES_FILE = "kwok.yaml"
"""How kwok plays nodes and pods; beside the programs."""

_ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True, slots=True)
class DaemonSpec:
    """What to run in the cluster's namespaces. ``environment`` is in addition to the common one."""

    name: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


def daemon_specs(
    binaries: Path, folder: Path, files: Files, credentials: Credentials, at: Addresses
) -> Iterator[DaemonSpec]:
    """Every daemon, in the order of their start."""

    def spec(name: str, *flags: str, environment: tuple[tuple[str, str], ...] = ()) -> DaemonSpec:
        return DaemonSpec(name, (str(binaries / name), *flags), environment)

    yield spec(
        "etcd",
        f"--data-dir={folder / 'etcd'}",
        # The cluster is as short-lived as the machine's memory.
        "--unsafe-no-fsync",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
    )
    yield spec("kube-apiserver", *_apiserver(credentials, at))
    yield spec("containerd", f"--config={files.containerd}")
    yield spec(
        "kube-controller-manager",
        f"--kubeconfig={credentials.kubeconfig('controller-manager')}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--service-account-private-key-file={credentials.service_account_key}",
        f"--root-ca-file={credentials.ca}",
        "--allocate-node-cidrs=false",
        f"--cluster-cidr={at.pods}",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={NODE_GRACE_S}s",
        # Of pods that ended, those above this number are removed: a test may make many.
        "--terminated-pod-gc-threshold=200",
        # A connection that hangs must be noticed before a node counts as gone.
        environment=(("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "5"), ("HTTP2_PING_TIMEOUT_SECONDS", "3")),
    )
    yield spec(
        "kube-scheduler",
        f"--kubeconfig={credentials.kubeconfig('scheduler')}",
        "--secure-port=0",
        "--leader-elect=false",
    )
    yield spec(
        "kubelet",
        f"--config={files.kubelet}",
        f"--kubeconfig={credentials.kubeconfig('kubelet')}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={at.node}",
    )
    yield spec("kube-proxy", f"--config={files.proxy}", f"--hostname-override={NODE_NAME}")
    yield DaemonSpec(
        "enforcer",
        (
            sys.executable,
            "-m",
            enforcer.__name__,
            str(credentials.kubeconfig("enforcer")),
            at.pods,
        ),
    )


def _apiserver(credentials: Credentials, at: Addresses) -> Iterator[str]:
    issuer = f"https://kubernetes.default.svc.{DOMAIN}"
    yield from (
        f"--etcd-servers={_ETCD}",
        f"--bind-address={at.node}",
        f"--advertise-address={at.node}",
        f"--secure-port={API_PORT}",
        f"--tls-cert-file={credentials.certificate('apiserver')}",
        f"--tls-private-key-file={credentials.key('apiserver')}",
        f"--client-ca-file={credentials.ca}",
        f"--token-auth-file={credentials.tokens}",
        f"--service-cluster-ip-range={at.services}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-account-issuer={issuer}",
        f"--service-account-key-file={credentials.service_account_key}",
        f"--service-account-signing-key-file={credentials.service_account_key}",
        f"--kubelet-certificate-authority={credentials.ca}",
        f"--kubelet-client-certificate={credentials.certificate('kubelet-client')}",
        f"--kubelet-client-key={credentials.key('kubelet-client')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--default-not-ready-toleration-seconds={TOLERATION_S}",
        f"--default-unreachable-toleration-seconds={TOLERATION_S}",
        # Ended without waiting for those who watch.
        "--shutdown-delay-duration=0s",
    )


def kwok_spec(binaries: Path, credentials: Credentials, at: Addresses) -> DaemonSpec:
    """Nodes and pods that are only said to run."""
    return DaemonSpec(
        "kwok",
        (
            str(binaries / "kwok"),
            f"--kubeconfig={credentials.kubeconfig('kwok')}",
            f"--master={at.api_url}",
            f"--config={binaries / STAGES_FILE}",
            f"--cidr={at.played}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=24",
        ),
    )


def store_client(binaries: Path) -> tuple[str, ...]:
    """Command of containerd's client, in the namespace that the kubelet uses."""
    return (str(binaries / "ctr"), f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io")
