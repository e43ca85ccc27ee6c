"""Configuration files of the cluster's daemons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.demo.kubernetes.addresses import DOMAIN, Addresses
from hub.demo.kubernetes.credentials import Credentials

PAUSE_IMAGE = "localhost/pause:1"
"""What holds a pod's namespaces; it is imported at the cluster's start."""

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""In the cluster's mount namespace, where /run is its own."""

CNI_PLUGINS = Path("/usr/lib/cni")
"""Of the Debian package containernetworking-plugins."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the daemons' configurations are."""

    folder: Path

    @property
    def containerd(self) -> Path:
        """Of containerd (TOML)."""
        return self.folder / "containerd.toml"

    @property
    def kubelet(self) -> Path:
        """KubeletConfiguration."""
        return self.folder / "kubelet.json"

    @property
    def proxy(self) -> Path:
        """KubeProxyConfiguration."""
        return self.folder / "proxy.json"

    @property
    def cni(self) -> Path:
        """Folder of the pods' network configuration."""
        return self.folder / "cni"


def write_configuration(folder: Path, credentials: Credentials, at: Addresses, snapshotter: str) -> Files:
    """Write all files. ``snapshotter``: how containerd lays layers over each other on this disk."""
    files = Files(folder)
    files.cni.mkdir(parents=True)
    files.containerd.write_text(
        _CONTAINERD.format(cni=files.cni, plugins=CNI_PLUGINS, pause=PAUSE_IMAGE, snapshotter=snapshotter)
    )
    (files.cni / "10-panhub.conflist").write_text(_json(_network(at)))
    files.kubelet.write_text(_json(_kubelet(credentials, at, has_disk=snapshotter == "overlayfs")))
    files.proxy.write_text(_json(_proxy(credentials, at)))
    return files


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1)


# Without restrict_oom_score_adj no pod starts where the capability CAP_SYS_RESOURCE is missing, as
# in many containers.
_CONTAINERD = """version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs",
]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
enable_selinux = false
disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{cni}"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.cri.v1.images"]
snapshotter = "{snapshotter}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
"""


def _network(at: Addresses) -> dict[str, Any]:
    # ptp, not bridge: all packets between pods are routed, so that services and policies see them.
    routed = {"type": "host-local", "ranges": [[{"subnet": at.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    return {
        "cniVersion": "1.0.0",
        "name": "panhub",
        "plugins": [{"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": routed}],
    }


def _kubelet(credentials: Credentials, at: Addresses, *, has_disk: bool) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": at.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(credentials.ca)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": str(credentials.certificate("kubelet")),
        "tlsPrivateKeyFile": str(credentials.key("kubelet")),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{at.group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # On a disk that is itself an overlay its sizes cannot be had, and nothing is evicted for them.
        "localStorageCapacityIsolation": has_disk,
        # How soon a pod over the size of its volume is evicted: Kubernetes' own is a minute.
        "volumeStatsAggPeriod": "5s",
        "makeIPTablesUtilChains": False,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        # Images are imported, not pulled: none may be thrown away.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "systemReserved": {"memory": "1Gi"},
        "clusterDNS": [at.dns_service],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "oomScoreAdj": 0,
        "nodeStatusUpdateFrequency": "5s",
        "nodeLeaseDurationSeconds": 12,
        "healthzBindAddress": "127.0.0.1",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "shutdownGracePeriod": "0s",
        "serializeImagePulls": False,
    }


def _proxy(credentials: Credentials, at: Addresses) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": at.node,
        "clientConnection": {"kubeconfig": str(credentials.kubeconfig("proxy"))},
        "mode": "nftables",
        "clusterCIDR": at.pods,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # The machine's limit of tracked connections is not the cluster's to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
        "oomScoreAdj": 0,
    }
