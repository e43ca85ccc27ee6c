"""The programs of a cluster, built from Go modules: Debian has none of them, or too old ones.

They are built once into the cache (``make kubernetes``), in ten minutes of two processors. Each
folder of ``modules`` has the ``go.mod`` and ``go.sum`` that say exactly what is built; the hash of
all of them names the result, so that another checkout with the same files finds it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub.demo.kubernetes.archives import write_archive
from hub.demo.kubernetes.configuration import PAUSE_IMAGE
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.objects import DNS_IMAGE
from hub.demo.kubernetes.specs import STAGES_FILE
from hub.demo.locks import locked
from hub.demo.slurm.release import cache_folder

VERSION = "1.36.4"
MODULES = Path(__file__).parent / "modules"

ARCHIVES = {"pause.tar": (PAUSE_IMAGE, "pause"), "coredns.tar": (DNS_IMAGE, "coredns")}
"""Archives of the images that each cluster has: the image and its program, one of `PROGRAMS`."""


@dataclass(frozen=True, slots=True)
class Module:
    """A folder of `MODULES` and what is built of it: packages, or its own main program."""

    name: str
    packages: tuple[str, ...] = (".",)
    flags: tuple[str, ...] = ()
    linked: str = ""


_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")

BUILT = (
    Module("etcd"),
    Module("pause"),
    Module(
        "kubernetes",
        tuple(f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS),
        # Parts that compare versions take an unset one for an ancient release.
        linked=f" -X k8s.io/component-base/version.gitVersion=v{VERSION}",
    ),
    Module(
        "containerd",
        tuple(f"github.com/containerd/containerd/v2/cmd/{name}" for name in _CONTAINERD),
        ("-tags=no_btrfs,no_devmapper,no_zfs",),
    ),
    Module("coredns", ("github.com/coredns/coredns",)),
    Module("kwok", ("sigs.k8s.io/kwok/cmd/kwok",)),
)

_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
"""How kwok plays nodes and pods, of its module; the program itself comes without."""

PROGRAMS = ("etcd", "pause", *_COMMANDS, *_CONTAINERD, "coredns", "kwok")
"""Names of the built programs."""


def kubernetes_binaries(cache: Path | None = None) -> Path | None:
    """Folder of the built programs and the archives of their images; None if it has not been built."""
    folder = (cache or cache_folder()) / _name()
    return folder if folder.exists() else None


def build_kubernetes(cache: Path | None = None) -> Path:
    """Build the programs if the cache has none; returns their folder. Blocking: minutes.

    What Go downloads stays where Go keeps it; what it compiles (5 GB) is removed.

    Raises
    ------
    KubernetesDemoError
        If Go is missing or a step fails; the end of the log is in the text.
    """
    folder = cache or cache_folder()
    with locked(folder, f"kubernetes-{VERSION}"):
        if (found := kubernetes_binaries(folder)) is not None:
            return found
        if shutil.which("go") is None:
            raise KubernetesDemoError("To build Kubernetes, go must be installed.")
        part = folder / f".{_name()}.part"
        shutil.rmtree(part, ignore_errors=True)
        made = part / "made"
        made.mkdir(parents=True)
        environment = {
            **os.environ,
            "CGO_ENABLED": "0",
            "GOCACHE": str(part / "compiled"),
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        for module in BUILT:
            _build(module, made, part / "build.log", environment)
        write_archives(made)
        write_stages(made, environment)
        prefix = folder / _name()
        made.rename(prefix)
        shutil.rmtree(part)
        return prefix


def _name() -> str:
    """Name of the folder; whatever changes a program changes it."""
    digest = hashlib.sha256(repr((BUILT, _STAGES, ARCHIVES)).encode())
    for path in sorted(MODULES.glob("*/*")):
        digest.update(f"{path.relative_to(MODULES)}\n".encode() + path.read_bytes())
    return f"kubernetes-{VERSION}-{digest.hexdigest()[:12]}"


def write_archives(made: Path) -> None:
    """Write the archives of `ARCHIVES` beside their programs."""
    for file, (image, name) in ARCHIVES.items():
        inside = f"/bin/{name}"
        write_archive(
            made / file, image, {inside: made / name}, command=(inside,), machine=os.uname().machine
        )


def write_stages(made: Path, environment: Mapping[str, str]) -> None:
    """Write kwok's stages into one file. Blocking."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=MODULES / "kwok", env=environment
    )
    stages = Path(done.stdout.strip()) / "kustomize/stage"
    try:
        texts = [(stages / name).read_text() for name in _STAGES]
    except OSError as error:
        raise KubernetesDemoError(f"kwok's stages are not in its module: {error} {done.stderr}") from error
    (made / STAGES_FILE).write_text("---\n".join(texts))


def _build(module: Module, made: Path, log: Path, environment: Mapping[str, str]) -> None:
    linked = f"-ldflags=-s -w{module.linked}"
    command = ["go", "build", "-trimpath", linked, *module.flags, "-o", f"{made}/", *module.packages]
    with log.open("ab") as out:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=MODULES / module.name,
            env=environment,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise KubernetesDemoError(f"{module.name} cannot be built. The end of {log}:\n{tail}")
