"""Nothing of the demo's cluster stays: neither when it is stopped nor when its owner is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from hub.demo.kubernetes.addresses import SLOTS, Addresses
from hub.demo.slurm.release import cache_folder
from tests.support.kubernetes import import_busybox, make_pod, own_cluster, require_kubernetes, wait, wait_pod


def traces(folder: Path, host_address: str) -> dict[str, list[str]]:
    """What can be seen on this machine of the cluster in a folder with an address."""
    (at,) = [each for each in map(Addresses, range(SLOTS)) if each.host == host_address]
    routes = subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout
    mine = [at.link, *(network.partition("/")[0] for network in (at.whole, at.pods, at.services))]
    mounts = Path("/proc/self/mounts").read_text()
    groups = Path("/sys/fs/cgroup")
    return {
        "processes": [text for each in psutil.process_iter() if str(folder) in (text := command(each))],
        "mounts": [line for line in mounts.splitlines() if str(folder) in line],
        "routes": [line for line in routes.splitlines() if any(word in line for word in mine)],
        "groups": [str(path) for path in (*groups.glob(f"*/{at.group}"), *groups.glob(at.group))],
    }


def command(process: psutil.Process) -> str:
    """Its command line, empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def folders() -> set[str]:
    """Folders in which a node's programs keep what they need."""
    return {
        str(path) for parent in ("/var/lib", "/var/log", "/run", "/opt") for path in Path(parent).iterdir()
    }


def test_nothing_is_left_after_the_end() -> None:
    there = folders()
    with own_cluster(cache_folder() / "containerd") as cluster:
        image = import_busybox(cluster)
        uid = make_pod(cluster, "default", "left", image, "exec sleep 600")
        wait_pod(cluster, "default", "left", "Running")
        (pid,) = cluster.processes(uid)
        at = cluster.folder, cluster.host_address
        seen = traces(*at)
        assert all(seen[what] for what in ("processes", "routes", "groups"))
        assert not seen["mounts"]
    assert not any(traces(*at).values())
    assert not psutil.pid_exists(pid)
    assert folders() <= there


_OWNER = """
import sys, time
from pathlib import Path
from hub.demo.kubernetes.cluster import Cluster

cluster = Cluster(Path(sys.argv[1]), images=Path(sys.argv[2]))
cluster.start()
print(cluster.host_address, flush=True)
time.sleep(600)
"""


def test_an_owner_that_is_killed_takes_all_with_it() -> None:
    require_kubernetes()
    with tempfile.TemporaryDirectory(prefix="panhub-k8s-") as name:
        folder = Path(name)
        owner = subprocess.Popen(
            [sys.executable, "-c", _OWNER, name, str(cache_folder() / "containerd")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert owner.stdout is not None
        with owner:
            address = owner.stdout.readline().strip()
            assert all(traces(folder, address)[what] for what in ("processes", "routes", "groups"))
            owner.send_signal(signal.SIGKILL)
        wait(lambda: not any(traces(folder, address).values()), "something is left")
