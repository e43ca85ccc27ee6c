"""Building images with buildah, in a store of the cache's own and without a daemon.

Each call runs in a mount namespace of its own, so that nothing stays mounted whatever happens; the
isolation is a plain chroot, since what is built is ours, and namespaces in namespaces are not
everywhere to be had. Container files and options are those that docker and podman know too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.machine import snapshotter_of

UV_CACHE_INSIDE = "/srv"
"""Where steps see the machine's cache of uv: a folder that every Debian has and nobody fills."""

_STALE_S = 86400.0
"""A temporary folder of this age is of a build that was killed."""

_SHOWN = 25
"""Last lines of a failed build that are shown."""


@dataclass(frozen=True, slots=True)
class Build:
    """One call of the builder.

    Attributes
    ----------
    tag
        Name of the result.
    containerfile, context
        What is built, and the folder whose files it may take.
    arguments
        Build arguments.
    target
        Stage that is built; None is the last one.
    instead
        Stage → image that is taken for it.
    """

    tag: str
    containerfile: Path
    context: Path
    arguments: Mapping[str, str]
    target: str | None = None
    instead: Mapping[str, str] | None = None


class Buildah:
    """A store of images below a folder, and the program that fills it. All methods block."""

    def __init__(self, folder: Path, uv_cache: Path) -> None:
        self.folder = folder
        self._uv_cache = uv_cache
        self._driver: str | None = None

    def build(self, wanted: Build, sources: Path) -> None:
        """Build an image; ``sources`` is the secret of `hub.demo.kubernetes.sources`.

        Raises
        ------
        KubernetesDemoError
            If it fails; the end of what was said is in the text.
        """
        options = [f"--build-arg={name}={value}" for name, value in wanted.arguments.items()]
        options += [
            f"--build-context={name}=container-image://{image}"
            for name, image in (wanted.instead or {}).items()
        ]
        if wanted.target is not None:
            options.append(f"--target={wanted.target}")
        self._uv_cache.mkdir(parents=True, exist_ok=True)
        self._run(
            "build",
            "--isolation=chroot",
            "--pull-never",
            "--layers=false",
            f"--secret=id=sources,src={sources}",
            f"--volume={self._uv_cache}:{UV_CACHE_INSIDE}",
            f"--file={wanted.containerfile}",
            f"--tag={wanted.tag}",
            *options,
            str(wanted.context),
        )

    def exists(self, tag: str) -> bool:
        """Whether the store has this image."""
        return tag in self.tags()

    def tags(self) -> list[str]:
        """Names of all images in the store."""
        listed = json.loads(self._run("images", "--json") or "null") or []
        return [name for image in listed for name in image.get("names") or ()]

    def remove(self, tags: Sequence[str]) -> None:
        """Take images out of the store; what others share stays, and what another build stands on."""
        for tag in tags:
            with suppress(KubernetesDemoError):
                self._run("rmi", tag)

    def write(self, tag: str, archive: Path) -> None:
        """Write an image as an OCI archive.

        Its layers are compressed by zstd, which containerd (1.5 and newer), podman and docker (23 and
        newer) read: gzip takes a minute for what this does in seconds.
        """
        part = archive.with_name(f".{archive.name}.part")
        part.unlink(missing_ok=True)
        compression = ["--compression-format=zstd", "--compression-level=3"]
        self._run("push", *compression, tag, f"oci-archive:{part}:{tag}")
        part.rename(archive)

    def _run(self, command: str, *words: str) -> str:
        program = shutil.which("buildah")
        if program is None:
            raise KubernetesDemoError("To build images, buildah must be installed (Debian package buildah).")
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        for left in temporary.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _STALE_S:
                    shutil.rmtree(left, ignore_errors=True)
        if self._driver is None:
            # Where the disk is itself an overlay each layer is a copy: slower, and larger.
            self._driver = "overlay" if snapshotter_of(self.folder) == "overlayfs" else "vfs"
        store = [
            f"--storage-driver={self._driver}",
            f"--root={self.folder}/root",
            f"--runroot={self.folder}/run",
        ]
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", program, *store, command, *words],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            # Settings of whoever builds something else on this machine do not matter here.
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "TMPDIR": str(temporary),
            },
        )
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-_SHOWN:])
            raise KubernetesDemoError(f"buildah {command} failed with code {done.returncode}:\n{said}")
        return done.stdout
