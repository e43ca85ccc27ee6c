"""What a test or a person does to a running cluster: faults and their undoing, nodes, processes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.demo.daemons import Daemon
from hub.demo.kubernetes.addresses import NODE_NAME, Addresses
from hub.demo.kubernetes.api import Api
from hub.demo.kubernetes.credentials import Credentials
from hub.demo.kubernetes.daemons import make_daemon
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.namespace import Namespace
from hub.demo.kubernetes.specs import kwok_spec

_WAIT_S = 120.0
_PROBE_S = 0.1
GPU = "nvidia.com/gpu"
GPU_LABEL = ("nvidia.com/gpu.product", "A100")
FAKE_NODE = "kwok.x-k8s.io/node"
"""Annotation, label and taint of nodes that kwok plays."""


class Control:
    """State of a running cluster and what can be done to it; `Cluster` starts and stops it."""

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus
        self._namespace: Namespace | None = None
        self._daemons: dict[str, Daemon] = {}
        self._api: Api | None = None
        self._made: Credentials | None = None
        self._binaries = Path()
        self._slot: Addresses | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._namespace is not None and self._namespace.is_running

    @property
    def api(self) -> Api:
        """The API, as the administrator."""
        if self._api is None:
            raise KubernetesDemoError("The cluster has not been started.")
        return self._api

    def daemon(self, name: str) -> Daemon:
        """Daemon by its program's name, such as ``kube-scheduler``.

        Raises
        ------
        KubernetesDemoError
            If there is none.
        """
        try:
            return self._daemons[name]
        except KeyError:
            raise KubernetesDemoError(f"The cluster has no {name}.") from None

    # Faults

    def stop_apiserver(self) -> None:
        """End the API server at once; all connections to it break."""
        self.daemon("kube-apiserver").kill()

    def start_apiserver(self) -> None:
        """Start it again and wait until it is ready."""
        self.daemon("kube-apiserver").start()
        self.wait_apiserver()

    def stop_kubelet(self) -> None:
        """End the kubelet: the node is silent, its containers run on.

        After `hub.demo.kubernetes.specs.NODE_GRACE_S` the node counts as gone.
        """
        self.daemon("kubelet").kill()

    def start_kubelet(self) -> None:
        """Start it again and wait until the node takes pods."""
        self.daemon("kubelet").start()
        self.wait_node(is_ready=True)
        self.offer_gpus()

    def reset(self) -> None:
        """Bring everything back: daemons run, the node takes pods and is the only one."""
        for daemon in self._daemons.values():
            daemon.thaw()
            daemon.start()
        self.wait_apiserver()
        self.wait_node(is_ready=True)
        self.offer_gpus()
        if "kwok" in self._daemons:
            self.remove_nodes()

    def wait_apiserver(self, timeout_s: float = _WAIT_S) -> None:
        """Wait until the API server is ready."""
        self.daemon("kube-apiserver").wait(lambda: self.api.answers("/readyz"), "was not ready", timeout_s)

    def wait_node(self, *, is_ready: bool, timeout_s: float = _WAIT_S) -> None:
        """Wait until the node takes pods, or until it counts as gone."""
        name = NODE_NAME
        if is_ready:
            self.daemon("kubelet").wait(self._node_has_come, f"{name} was not ready", timeout_s)
        else:
            _wait(lambda: not self._node_is_ready(), f"{name} is not gone", timeout_s)

    def _node_has_come(self) -> bool:
        # It ends where containerd, which answers already, does not know its pods yet; systemd does the same.
        self.daemon("kubelet").start()
        return self._node_is_ready()

    def _node_is_ready(self) -> bool:
        try:
            node = self.api.request("GET", f"/api/v1/nodes/{NODE_NAME}")
        except KubernetesDemoError:
            return False
        conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", ())}
        return conditions.get("Ready") == "True" and not node["spec"].get("taints")

    # Nodes

    def offer_gpus(self) -> None:
        """Let the node offer its pretend GPUs; a kubelet that starts anew takes them away."""
        path = f"/api/v1/nodes/{NODE_NAME}"
        kind = "application/merge-patch+json"
        if self._gpus:
            label, product = GPU_LABEL
            self.api.request("PATCH", path, {"metadata": {"labels": {label: product}}}, content_type=kind)
        counts = {GPU: str(self._gpus)}
        status = {"capacity": counts, "allocatable": counts}
        self.api.request("PATCH", f"{path}/status", {"status": status}, content_type=kind)

    def add_nodes(self, count: int) -> list[str]:
        """Add nodes that exist in the API only, played by kwok; returns their names.

        They have the label and the taint (NoSchedule) ``kwok.x-k8s.io/node=fake``: only what
        tolerates it comes there, and is said to run at once.
        """
        if "kwok" not in self._daemons:
            assert self._made is not None
            spec = kwok_spec(self._binaries, self._made, self._at)
            self._daemons["kwok"] = make_daemon(spec, self._inside, self.daemon("kubelet").log.parent)
        self.daemon("kwok").start()
        names = [f"fake-{number}" for number in range(1, count + 1)]
        for name in names:
            self.api.apply(f"/api/v1/nodes/{name}", _fake_node(name))
            self.api.request(
                "PATCH",
                f"/api/v1/nodes/{name}/status",
                _FAKE_STATUS,
                content_type="application/merge-patch+json",
            )
        return names

    def remove_nodes(self) -> None:
        """Remove what `add_nodes` has added, and end kwok."""
        self.api.request("DELETE", f"/api/v1/nodes?labelSelector={FAKE_NODE}%3Dfake")
        if "kwok" in self._daemons:
            self._daemons.pop("kwok").stop()

    # Processes

    def processes(self, pod_uid: str) -> list[int]:
        """Ids of the processes of a pod's containers, as this machine numbers them."""
        # In the names of control groups some drivers write dashes as underscores.
        mine = re.compile(rf"/pod{re.escape(pod_uid)}(/|$)", re.MULTILINE)
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    mine.search((path / "cgroup").read_text())
                    and (path / "comm").read_text().strip() != "pause"
                ):
                    found.append(int(path.name))
            except OSError:
                # It has ended meanwhile.
                continue
        return sorted(found)

    @property
    def _at(self) -> Addresses:
        if self._slot is None:
            raise KubernetesDemoError("The cluster has not been started.")
        return self._slot

    @property
    def _inside(self) -> Namespace:
        if self._namespace is None:
            raise KubernetesDemoError("The cluster has not been started.")
        return self._namespace

    @property
    def _credentials(self) -> Credentials:
        if self._made is None:
            raise KubernetesDemoError("The cluster has not been started.")
        return self._made


_FAKE_COUNTS = {"cpu": "64", "memory": "512Gi", "pods": "5000"}
_FAKE_STATUS = {"status": {"capacity": _FAKE_COUNTS, "allocatable": _FAKE_COUNTS}}


def _fake_node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "annotations": {FAKE_NODE: "fake"},
            "labels": {FAKE_NODE: "fake", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": FAKE_NODE, "value": "fake", "effect": "NoSchedule"}]},
    }


def _wait(is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise KubernetesDemoError(f"After {timeout_s:g} s {what}.")
        time.sleep(_PROBE_S)
