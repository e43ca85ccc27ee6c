"""A demo site with Slurm and Kubernetes at once: what `panhub demo --slurm --kubernetes` adds to the demo.

Both clusters run on this machine and have the same people: accounts of this machine, whose numbers pods run
as; one folder of homes, and one of data, with its rights by those numbers. The hub and the service listen at
the machine's end of the link to the Kubernetes, where pods and the nodes of Slurm reach them alike. Places
of both are in the same profiles; those in pods are paid by an account of the facility's own. Needs root.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.demo.install import ROOT
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.site import CLUSTER, NAMESPACE, KubernetesSite
from hub.demo.slurm.people import SITE
from hub.demo.slurm.site import SlurmSite
from hub.demo.supervisor import Program

PAYER = "containers"
"""Account of the facility's own that pays for pods, as the profiles name it."""

_PROFILES = ROOT / "profiles/site/demo-both.yaml"


class SideBySideSite:
    """Both sides of a demo.

    Parameters
    ----------
    state
        Folder of the demo. Other people must be able to pass through it and all its parents.
    cluster, namespace
        See `KubernetesSite`.
    """

    def __init__(self, state: Path, *, cluster: Cluster | None = None, namespace: str = NAMESPACE) -> None:
        self.slurm = SlurmSite(state)
        # Homes are where the accounts have them; jobs and pods of a person see the same.
        self.kubernetes = KubernetesSite(state, cluster=cluster, namespace=namespace, homes=SITE / "homes")

    @property
    def has_desktops(self) -> bool:
        """Whether both sides get what desktops need; set it before the start."""
        return self.slurm.has_desktops

    @has_desktops.setter
    def has_desktops(self, value: bool) -> None:
        self.slurm.has_desktops = self.kubernetes.has_desktops = value

    @property
    def place(self) -> str:
        """A place of the profiles for everyday work."""
        return self.slurm.place

    def start(self, say: Callable[[str], None]) -> None:
        """Start both clusters; Slurm first, since it makes the accounts. Blocking.

        Raises
        ------
        SiteError
            If something is missing or does not come up.
        """
        self.slurm.start(say)
        self.kubernetes.start(say)

    def share_data(self) -> None:
        """Give the demo's people what they may read; after the facility was made. Blocking."""
        # The rights are kept by number, so pods have those of the accounts.
        self.slurm.share_data()

    def change(self, raw: dict[str, Any]) -> None:
        """Put the sections of both into the settings of a demo."""
        self.slurm.change(raw)
        # Slurm's nodes are this machine's loopback address; from there the service is elsewhere now.
        for cluster in raw["slurm"]["clusters"].values():
            cluster["listen"] = "127.0.0.0/8"
        self.kubernetes.listen(raw)
        raw["kubernetes"] = {"clusters": {CLUSTER: self.kubernetes.cluster_settings()}}
        raw["profiles"]["file"] = str(self.kubernetes.write_profiles(_PROFILES))
        raw["quota"]["facility"] = [
            {"account": PAYER, "resource": "cpu_hours", "limit": 400, "window": "month"},
            {"account": PAYER, "resource": "gpu_hours", "limit": 40, "window": "month"},
        ]

    def programs(self) -> tuple[Program, ...]:
        """What must run before all others."""
        return (*self.slurm.programs(), *self.kubernetes.programs())

    def stop(self) -> None:
        """Stop both clusters, sessions included. Blocking."""
        try:
            self.kubernetes.stop()
        finally:
            self.slurm.stop()
