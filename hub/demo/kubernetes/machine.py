"""Does this machine have what a cluster needs: programs, the kernel, a disk for layers? Blocking."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hub.demo.kubernetes.binaries import kubernetes_binaries
from hub.demo.kubernetes.configuration import CNI_PLUGINS
from hub.demo.kubernetes.daemons import PATH
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.store import Run

NEEDED = ("runc", "ip", "nft", "nsenter", "unshare")
"""Programs of Debian packages; see KUBERNETES_PACKAGES in the Makefile."""


def check_machine() -> Path:
    """Folder of the cluster's programs, on a machine that can run them.

    Raises
    ------
    KubernetesDemoError
        If something is missing; the text says how to get it.
    """
    if os.geteuid() != 0:
        raise KubernetesDemoError("The demo's Kubernetes must be started by root: it makes containers.")
    binaries = kubernetes_binaries()
    if binaries is None:
        raise KubernetesDemoError("Kubernetes has not been built: run make kubernetes.")
    if missing := missing_programs():
        raise KubernetesDemoError(f"Missing: {', '.join(missing)}. Run make kubernetes-packages.")
    return binaries


def missing_programs() -> list[str]:
    """What of Debian's packages is not installed."""
    missing = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    return [*missing, *([] if (CNI_PLUGINS / "ptp").exists() else ["containernetworking-plugins"])]


def check_nftables(run: Run) -> None:
    """Look whether the kernel has what services and network policies are made of.

    Raises
    ------
    KubernetesDemoError
        If it has not.
    """
    done = run("nft", "list", "tables")
    if done.returncode != 0:
        raise KubernetesDemoError(f"The kernel does not do nftables (nf_tables): {done.stderr.strip()}")


def snapshotter_of(folder: Path) -> str:
    """Overlayfs, or copies where the disk is itself an overlay, as in some containers."""
    script = 'cd "$1" && mkdir -p l u w m && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m'
    with tempfile.TemporaryDirectory(dir=folder) as probe:
        command = ["unshare", "--mount", "sh", "-c", script, "probe", probe]
        done = subprocess.run(command, check=False, capture_output=True)
    return "overlayfs" if done.returncode == 0 else "native"
