"""A demo site whose sessions run as pods of a Kubernetes of its own: what `panhub demo --kubernetes` adds.

The cluster with one real node, the images of the sessions, a namespace with the demo's storage, the
engine's account with the chart's rights and no more, and the sections of the configuration. The hub
and the service listen at the machine's end of the link to the cluster, where pods reach them. Needs root.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hub.demo.install import ROOT
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.configuration import PAUSE_IMAGE
from hub.demo.kubernetes.control import GPU, GPU_LABEL
from hub.demo.kubernetes.images import build_image
from hub.demo.kubernetes.machine import check_machine
from hub.demo.kubernetes.people import account_table, make_homes, numbers
from hub.demo.kubernetes.sessions import ENGINE, SESSION, Storage, cluster_wide, session_objects
from hub.demo.slurm.data import share_data
from hub.demo.slurm.release import cache_folder
from hub.demo.supervisor import Program

CLUSTER = "pan"
"""Name of the cluster in the configuration and in the profiles."""

NAMESPACE = "panhub-sessions"

PLACE = "pods"
"""Place of the profiles for everyday work."""

WARM_PODS = 2

_PROFILES = ROOT / "profiles/site/demo-kubernetes.yaml"
_ENVIRONMENTS = {"pan-core": "notebook-core", "pan-desktop": "desktop"}
"""Image of each environment of the profiles."""


class KubernetesSite:
    """The Kubernetes side of a demo.

    Parameters
    ----------
    state
        Folder of the demo; homes and data in it are the storage that pods have.
    cluster
        A running cluster to take part in, with a ``namespace`` of its own; by default one is started and
        stopped with the site.
    homes
        Folder of the home folders; by default in ``state``.
    """

    def __init__(
        self,
        state: Path,
        *,
        cluster: Cluster | None = None,
        namespace: str = NAMESPACE,
        homes: Path | None = None,
    ) -> None:
        self.state = state.absolute()
        self.namespace = namespace
        self.homes = homes or self.state / "homes"
        """Folder of the home folders."""
        self._owns = cluster is None
        self.cluster = cluster or Cluster(self.state / "kubernetes", images=cache_folder() / "containerd")
        self.has_desktops = False
        """Whether the image of desktops is brought too; set it before the start."""
        self._containers: dict[str, str] = {}
        self._kubeconfig: Path | None = None

    @property
    def place(self) -> str:
        """A place of the profiles for everyday work."""
        return PLACE

    def container(self, environment: str) -> str:
        """Image of an environment of the profiles, by digest; once the site was started."""
        return self._containers[environment]

    @property
    def storage(self) -> Storage:
        """What pods have of this machine."""
        return Storage({"data": self.state / "data/visitor", "homes": self.homes})

    def start(self, say: Callable[[str], None]) -> None:
        """Start the cluster and make what its pods need. Blocking.

        Raises
        ------
        SiteError
            If something is missing or does not come up.
        """
        # Before the images, which take minutes.
        check_machine()
        wanted = {
            environment: image
            for environment, image in _ENVIRONMENTS.items()
            if self.has_desktops or image != "desktop"
        }
        archives = {}
        for environment, image in wanted.items():
            say(f"making what is missing of the image {image}")
            archives[environment] = build_image(image)
        if self._owns:
            say("starting a Kubernetes cluster: its control plane and a node")
            self.cluster.start()
        for environment, archive in archives.items():
            say(f"bringing the image {wanted[environment]} onto the node")
            self._containers[environment] = self.cluster.import_image(archive)
        say("making a namespace for sessions: storage, limits, network, the engine's rights")
        make_homes(self.homes)
        self._make_objects()
        self._kubeconfig = self.cluster.kubeconfig_for(ENGINE, self.namespace)

    def _make_objects(self) -> None:
        for path, body in session_objects(self.namespace, self.storage, self.cluster.host_address):
            self.cluster.api.apply(path, body)

    def share_data(self) -> None:
        """Give the demo's people what they may read; after the facility was made. Blocking."""
        data, catalogue = self.storage.folders["data"], self.state / "catalogue"
        share_data(data, catalogue, datetime.now(UTC), names=numbers())

    def stop(self) -> None:
        """Stop the cluster, or leave it as it was before. Blocking."""
        if self._owns:
            self.cluster.stop()
        elif self.cluster.is_running and self._kubeconfig is not None:
            self._leave()

    def _leave(self) -> None:
        """Remove what this site has made in somebody else's cluster, whatever became of its engine."""
        api, pods = self.cluster.api, f"/api/v1/namespaces/{self.namespace}/pods"
        for pod in api.request("GET", pods)["items"]:
            path = f"{pods}/{pod['metadata']['name']}"
            gone = {"metadata": {"finalizers": None}}
            api.request("PATCH", path, gone, content_type="application/merge-patch+json")
        api.request("DELETE", f"{pods}?gracePeriodSeconds=0")
        api.request("DELETE", f"/api/v1/namespaces/{self.namespace}")
        for path in cluster_wide(self.namespace, self.storage):
            api.request("DELETE", path)

    # --- configuration ------------------------------------------------------------------------

    def change(self, raw: dict[str, Any]) -> None:
        """Put this site's sections into the settings of a demo."""
        self.listen(raw)
        raw["identity"]["accounts"] = {"kind": "static", "accounts": account_table(self.homes)}
        raw["profiles"] = {"file": str(self.write_profiles(_PROFILES)), "environments_root": str(ROOT)}
        raw["quota"]["proposals"] += [
            {**entry, "resource": "gpu_hours", "limit": 40} for entry in raw["quota"]["proposals"]
        ]
        raw["quota"]["roles"].append(
            {"group": "panhub:users", "resource": "gpu_hours", "limit": 10, "window": "week"}
        )
        raw["kubernetes"] = {"clusters": {CLUSTER: self.cluster_settings()}}

    def listen(self, raw: dict[str, Any]) -> None:
        """Let the hub and the service listen where pods reach them."""
        for section in ("hub", "service"):
            raw[section]["bind"] = self.cluster.host_address

    def cluster_settings(self) -> dict[str, Any]:
        """The cluster's section."""
        label, product = GPU_LABEL
        return {
            "kubeconfig": str(self._kubeconfig),
            "namespace": self.namespace,
            "storage": [
                {"path": str(folder), "source": {"kind": "claim", "claim": claim}}
                for claim, folder in self.storage.folders.items()
            ],
            "pools": {
                "default": {"warm": {"pods": WARM_PODS, "cpus": 0.1, "memory_mib": 2048}},
                "gpu": {
                    "gpus": {
                        "any": {"resource": GPU},
                        "a100": {"resource": GPU, "node_selector": {label: product}},
                    }
                },
            },
            # The machine has few processors, and most of what sessions do is to wait.
            "cpu_reserved": 0.1,
            "priority_class": SESSION,
            "service_account": SESSION,
            "image_pull_policy": "Never",
            "pause_image": PAUSE_IMAGE,
            "tmp_mib": 1024,
            "sees_nodes": True,
        }

    def write_profiles(self, profiles: Path) -> Path:
        """Write a copy of profiles with the digests of the images that were made here."""
        raw = yaml.safe_load(profiles.read_text(encoding="utf-8"))
        # Without desktops nothing starts in their environment, but the profiles name it.
        for name, container in self._containers.items():
            raw["environments"][name]["container"] = container
        path = self.state / "profiles.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return path

    def programs(self) -> tuple[Program, ...]:
        """None: the cluster runs already."""
        return ()
