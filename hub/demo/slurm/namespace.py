"""The cluster's own process tree and mounts, which end when their keeper ends.

All daemons and jobs of a cluster live in one process-id and one mount namespace (namespaces(7)).
When the first process of it ends, the kernel kills all others and drops the mounts; that process
reads a pipe which closes when the program that made the cluster ends, however it ends. So nothing
is left behind. A release of another Debian also has a root of its own in it: a layer in memory
(overlayfs) above the cached root, entered by pivot_root(2), since a chroot may make no user
namespaces, which the data view of a session needs.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from hub.demo.slurm.release import SlurmDemoError

_DEVICES_AND_MEMORY = """
set -e
memory=$1
shift
# As udev makes it on a node; apptainer mounts images by it. In a container it may be root's alone.
if [ -c /dev/fuse ]; then
  held=$(mktemp -d)
  mount -t tmpfs tmpfs "$held"
  # Where devices cannot be made it stays as it is.
  if mknod -m 666 "$held/fuse" c 10 229; then mount --bind "$held/fuse" /dev/fuse; fi
  umount "$held"
  rmdir "$held"
fi
if [ -n "$memory" ]; then
  held=$(mktemp -d)
  mount --bind "$memory" "$held"
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/memory
  mount --move "$held" /sys/fs/cgroup/memory
  rmdir "$held"
fi
"""

_HOST = """
mount -t proc proc /proc
exec bash -c 'echo ready; read -r line'
"""

_OTHER_ROOT = """
root=$1
shift
layer=$(mktemp -d)
# By it the folder can be removed once it is out of sight.
exec 9< "${layer%/*}"
mount -t tmpfs -o mode=755 tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
new=$layer/root
mount -t proc proc "$new/proc"
mount --rbind /dev "$new/dev"
mount --rbind /sys "$new/sys"
for file in passwd group hosts resolv.conf localtime; do
  [ -e "/etc/$file" ] && cp --dereference --remove-destination "/etc/$file" "$new/etc/$file"
done
# Without its own name here slurmdbd waits for a name server.
echo "127.0.0.1 localhost $(hostname)" >> "$new/etc/hosts"
for shared in "$@"; do
  mkdir -p "$new$shared"
  mount --rbind "$shared" "$new$shared"
done
cd "$new"
pivot_root . .
umount --lazy .
rmdir "/proc/self/fd/9/${layer##*/}"
exec 9<&-
exec /bin/bash -c 'echo ready; read -r line'
"""


class Namespace:
    """Process-id and mount namespace; ``root`` is another system's root, or None for this one's.

    ``shared`` are the folders that both sides see, when there is another root.
    """

    def __init__(self, root: Path | None, shared: Sequence[Path], memory: Path | None = None) -> None:
        self._root = root
        self._memory = memory
        self._shared = [str(path) for path in shared]
        self._keeper: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        """Make it.

        Raises
        ------
        SlurmDemoError
            If the kernel refuses: this needs root.
        """
        script, words = (_HOST, []) if self._root is None else (_OTHER_ROOT, [str(self._root), *self._shared])
        memory = "" if self._memory is None else str(self._memory)
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        self._keeper = subprocess.Popen(
            [*unshare, "bash", "-c", _DEVICES_AND_MEMORY + script, "keeper", memory, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != b"ready\n":
            _, errors = self._keeper.communicate()
            self._keeper = None
            raise SlurmDemoError(f"The cluster's namespace cannot be made: {errors.decode().strip()}")
        self._init = psutil.Process(self._keeper.pid).children()[0].pid

    @property
    def init(self) -> int:
        """Its first process, as this side numbers it."""
        return self._init

    @property
    def has_root(self) -> bool:
        """Whether it has another root than this side."""
        return self._root is not None

    def enter(self, *argv: str, is_inside: bool) -> list[str]:
        """Command that runs ``argv`` with its root; ``is_inside``: ends with it, and is numbered by it."""
        words = ["nsenter", f"--target={self._init}", "--mount"]
        return [*words, *(["--pid"] if is_inside else []), "--", *argv]

    def processes(self) -> list[psutil.Process]:
        """All processes in it, except its first and those that have a namespace of their own inside."""
        namespace = Path(f"/proc/{self._init}/ns/pid").readlink()
        found = []
        for process in psutil.process_iter():
            try:
                if Path(f"/proc/{process.pid}/ns/pid").readlink() == namespace and process.pid != self._init:
                    found.append(process)
            except OSError:
                continue
        return found

    def stop(self, timeout_s: float = 10.0) -> None:
        """End all of it; return when no process of it is left."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        keeper.stdin.close()
        began = time.monotonic()
        try:
            keeper.wait(timeout_s / 2)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait(max(0.1, timeout_s - (time.monotonic() - began)))
        for stream in (keeper.stdout, keeper.stderr):
            if stream is not None:
                stream.close()
