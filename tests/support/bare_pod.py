"""A session's pod without a cluster: its specification read as a kubelet reads it, run by bubblewrap.

What the pod mounts is bound where it says, its secret's files are there, its root is read-only, its first
process is the first of a process namespace and runs as the plan's uid (in a user namespace, in which the
files of who runs the test are the person's). It shares the network: `ADDRESS` is its own of the loopback's.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from spawners.kubernetes.objects import session_objects
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.session.machine import interpreter_paths, system_paths
from tests.support.local import ROOT

IMAGE = f"localhost/panhub/quick@sha256:{'0' * 64}"
IMAGE_ENVIRONMENT = {
    "PATH": "/opt/image/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute",
    "PYTHONPATH": "/opt/image/python",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
}
"""What an image, a device plugin and the kubelet set."""


@dataclass
class BarePod:
    """A running pod; ``output`` is what it wrote to its standard output."""

    process: subprocess.Popen
    first: int
    address: str
    output: bytearray = field(default_factory=bytearray)

    def end(self) -> None:
        """Ask its first process to end, as the kubelet does."""
        os.kill(self.first, signal.SIGTERM)

    def wait(self, timeout_s: float = 60) -> int:
        """Exit code."""
        return self.process.wait(timeout_s)

    @property
    def text(self) -> str:
        return self.output.decode()

    def run_inside(self, code: str, port: int = 8888):
        """Run code in a session with the quick server; its ``result``, or the name of its OSError."""
        connection = http.client.HTTPConnection(self.address, port, timeout=20)
        try:
            connection.request("POST", "/", code)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def cluster_of(root: Path) -> KubernetesClusterSettings:
    """Settings of a cluster whose nodes have all of a site's folder."""
    storage = [{"path": str(root), "source": {"kind": "host", "path": str(root)}}]
    return KubernetesClusterSettings.model_validate({"storage": storage})


@contextmanager
def bare_pod(
    plan,
    credentials,
    root: Path,
    folder: Path,
    *,
    without: str = "",
    uid: int | None = None,
    address: str = "",
    **environment,
):
    """Run the pod of a plan; ``folder`` is this run's own. ``without``: a file that its secret lacks."""
    folder.mkdir()
    address = address or f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.9"
    objects = session_objects(plan, credentials, cluster_of(root), "default")
    spec = objects.pod["spec"]
    (container,) = spec["containers"]
    volumes = {}
    for volume in spec["volumes"]:
        path = folder / volume["name"]
        if "hostPath" in volume:
            path = Path(volume["hostPath"]["path"])
        else:
            path.mkdir()
        if "secret" in volume:
            for name, content in objects.secret["data"].items():
                if name != without:
                    (path / name).write_bytes(base64.b64decode(content))
        volumes[volume["name"]] = path
    arguments = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1"]
    arguments += ["--die-with-parent", "--cap-drop", "ALL"]
    account = spec["securityContext"]
    arguments += ["--uid", str(uid or account["runAsUser"]), "--gid", str(account["runAsGroup"])]
    for shown in system_paths():
        path = str(shown.path)
        if path not in ("/etc/passwd", "/etc/group"):
            arguments += (
                ["--ro-bind", path, path] if shown.link_to is None else ["--symlink", shown.link_to, path]
            )
    arguments += ["--proc", "/proc", "--dev", "/dev", "--dir", "/var", "--dir", "/opt/panhub"]
    prefix = PurePosixPath(container["command"][0]).parents[1]
    for shown in interpreter_paths(Path(plan.environment.prefix)):
        path = str(shown.path)
        arguments += (
            ["--ro-bind", path, path] if shown.link_to is None else ["--symlink", shown.link_to, path]
        )
    if prefix != plan.environment.prefix:
        arguments += ["--ro-bind", str(plan.environment.prefix), str(prefix)]
    arguments += ["--ro-bind", str(ROOT / "spawners" / "session"), "/opt/panhub/session"]
    for mount in container["volumeMounts"]:
        source = volumes[mount["name"]] / mount.get("subPath", "")
        if mount["name"] in ("scratch", "shm"):
            source.mkdir(exist_ok=True)
        if source.exists():
            option = "--ro-bind" if mount.get("readOnly") else "--bind"
            arguments += [option, str(source), mount["mountPath"]]
    arguments += ["--remount-ro", "/", "--chdir", container["workingDir"]]
    given = {**IMAGE_ENVIRONMENT, **environment}
    fields = {"spec.nodeName": "node-1", "status.podIPs": f"fd00::7,{address}"}
    for one in container["env"]:
        is_literal = "value" in one
        given[one["name"]] = (
            one["value"].replace("$$", "$")
            if is_literal
            else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        )
    info, info_child = os.pipe()
    process = subprocess.Popen(
        ["bwrap", "--info-fd", str(info_child), *arguments, "--", *container["command"]],
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[info_child],
    )
    os.close(info_child)
    with os.fdopen(info, "rb") as told:
        first = json.loads(told.read())["child-pid"]
    pod = BarePod(process, first, address)
    reader = threading.Thread(target=lambda: [pod.output.extend(line) for line in process.stdout])
    reader.start()
    try:
        yield pod
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
