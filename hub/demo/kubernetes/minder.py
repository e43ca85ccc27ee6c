"""The cluster's own network, process tree and mounts, and the process that removes them.

All daemons and pods live in one network, one process-id and one mount namespace (namespaces(7)).
The minder makes them, the link to the machine, its routes and the control groups, and waits for the
end of its input, a pipe from the program that owns the cluster: however that ends, the minder then
ends the namespaces and removes the rest. It is run as a program, in a session of its own, and uses
nothing but Python's own library. What a minder that was itself killed has left, the next removes.

No packet leaves the machine: the network has one link, to the machine, and no default route. On the
machine a route that refuses the whole range stands behind the link's routes, so that after the link
has gone nothing goes out by the machine's default route either.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
_LINK_BITS = 30

_NEEDED = ("cpu", "cpuset", "memory", "pids")
"""Controllers of v2 that the kubelet looks for, of those that the machine has."""

_KEEPER = """
set -e
# As the machine numbers it.
read -r own _ < /proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
# The kubelet would set these parameters of the kernel, which are the machine's: let it find them set.
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  [ -e "/proc/sys/${pair%=*}" ] || continue
  echo "${pair#*=}" > "/run/${pair##*/}"
  mount --bind "/run/${pair##*/}" "/proc/sys/${pair%=*}"
done
# Room for mount points, without making folders on the machine: all that is there, bound into a new folder.
for parent in /var/lib /var/log; do
  room=/run/room$parent
  mkdir -p "$room"
  for path in "$parent"/*; do
    if [ -L "$path" ]; then cp -P "$path" "$room"
    elif [ -d "$path" ]; then mkdir "$room/${path##*/}"; mount --rbind "$path" "$room/${path##*/}"
    elif [ -e "$path" ]; then : > "$room/${path##*/}"; mount --bind "$path" "$room/${path##*/}"
    fi
  done
done
while [ $# -gt 0 ]; do
  mkdir -p "$1" "/run/room$2"
  mount --bind "$1" "/run/room$2"
  shift 2
done
mount --rbind /run/room/var/lib /var/lib
mount --rbind /run/room/var/log /var/log
echo 1 > /proc/sys/net/ipv4/ip_forward
# A kernel may have none of it.
[ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
ip link set lo up
echo "$own"
read -r line
"""

_BOUND = {
    "kubelet": "/var/lib/kubelet",
    "cni": "/var/lib/cni",
    "pods": "/var/log/pods",
    "containers": "/var/log/containers",
}
"""Folders of the cluster's folder that lie over the machine's own inside the namespace."""


def main() -> int:
    """Make all of it, print the first process of the namespaces, and remove it at the input's end."""
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)
    settings = json.loads(sys.argv[1])
    minder = Minder(Path(settings["folder"]), Path(settings["images"]), settings["addresses"])
    try:
        minder.remove()
        init = minder.make()
        print(init, flush=True)
        sys.stdin.buffer.read()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(said.strip().replace("\n", "; "), flush=True)
        return 1
    finally:
        minder.remove()
    return 0


class Minder:
    """What has to be removed again. ``addresses`` are those of `hub.demo.kubernetes.addresses`."""

    def __init__(self, folder: Path, images: Path, addresses: dict[str, str]) -> None:
        self._bound = {folder / name: path for name, path in _BOUND.items()}
        self._bound[images] = "/var/lib/containerd"
        self._at = addresses
        self._keeper: subprocess.Popen[str] | None = None

    def make(self) -> str:
        """Make all of it; returns the id of the namespaces' first process."""
        at = self._at
        make_groups(at["group"])
        _ip("route", "add", "unreachable", at["whole"], "metric", "4096")
        command = ["unshare", "--mount", "--propagation", "slave", "--pid", "--net", "--fork", "--kill-child"]
        bound = [str(word) for pair in self._bound.items() for word in pair]
        self._keeper = subprocess.Popen(
            [*command, "bash", "-c", _KEEPER, "keeper", *bound],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        init = self._keeper.stdout.readline().strip()
        if not init:
            raise OSError(f"the namespaces cannot be made: {self._keeper.stderr.read()}")
        _ip("link", "add", at["link"], "type", "veth", "peer", "name", "eth0", "netns", init)
        _ip("address", "add", f"{at['host']}/{_LINK_BITS}", "dev", at["link"])
        _ip("link", "set", at["link"], "up")
        _inside(init, "address", "add", f"{at['node']}/{_LINK_BITS}", "dev", "eth0")
        _inside(init, "link", "set", "eth0", "up")
        # What the node itself sends to a service is routed anew once its packets have an endpoint.
        _inside(init, "route", "add", at["services"], "dev", "lo", "src", at["node"])
        for network in (at["pods"], at["services"]):
            _ip("route", "add", network, "via", at["node"])
        return init

    def remove(self) -> None:
        """End every process in the namespaces and remove all that has been made. Never raises."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.kill()
            keeper.communicate()
        for words in (
            ("link", "delete", self._at["link"]),
            ("route", "delete", "unreachable", self._at["whole"]),
        ):
            with contextlib.suppress(subprocess.CalledProcessError, OSError):
                _ip(*words)
        remove_groups(self._at["group"])


def hierarchies() -> list[Path]:
    """Roots of the control groups: one of v2, or one for each controller of v1 and the unified one."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    if not CGROUPS.is_dir():
        return []
    return [path for path in CGROUPS.iterdir() if not path.is_symlink() and os.path.ismount(path)]


def make_groups(name: str) -> None:
    """Make the group below which the kubelet keeps its pods.

    Raises
    ------
    OSError
        If there are no control groups, or this process may not share their controllers out.
    """
    roots = hierarchies()
    if not roots:
        raise OSError(f"there are no control groups in {CGROUPS}")
    for root in roots:
        group = root / name
        group.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            # A new group of v1 has neither processors nor memory.
            if (group / file).exists() and (root / file).exists():
                (group / file).write_text((root / file).read_text())
        if (root / "cgroup.controllers").exists():
            _share_out(root, group)


def _share_out(root: Path, group: Path) -> None:
    """Let a group of v2 have the controllers of its parent, as the kubelet needs them."""
    there = (root / "cgroup.controllers").read_text().split()
    for each in there:
        # Where systemd manages the machine most are there already; some kernels lack some.
        with contextlib.suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"+{each}")
    given = (group / "cgroup.controllers").read_text().split()
    if lacking := [name for name in _NEEDED if name in there and name not in given]:
        raise OSError(
            f"{root} gives its groups no {', '.join(lacking)}. In a container its own processes must first "
            'be moved into a group below it (cgroups(7), "no internal processes")'
        )


def remove_groups(name: str) -> None:
    """End what is still in the groups, and remove them."""
    for root in hierarchies():
        for folder, _, _ in os.walk(root / name, topdown=False):
            _remove_group(Path(folder))


def _remove_group(group: Path) -> None:
    # The kernel lets go of the last process a little later.
    for _ in range(100):
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            group.rmdir()
        if not group.exists():
            return
        time.sleep(0.02)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _inside(init: str, *words: str) -> None:
    command = ["nsenter", f"--target={init}", "--net", "--", "ip", *words]
    subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
