"""Images on the node: containerd's store, spoken to by its own client. Blocking."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from hub.demo.kubernetes.archives import read_archive
from hub.demo.kubernetes.errors import KubernetesDemoError

Run = Callable[..., subprocess.CompletedProcess[str]]
_TIMEOUT_S = 1200.0


class Store:
    """Images of the kubelet's namespace in containerd. ``run`` runs a command on the node."""

    def __init__(self, client: tuple[str, ...], run: Run) -> None:
        self._client = client
        self._run = run
        self._lock = threading.Lock()

    def answers(self) -> bool:
        """Whether containerd answers."""
        return self._ctr("version").returncode == 0

    def clean(self) -> None:
        """Remove what earlier clusters left in a kept store, before the kubelet starts."""
        if left := self._checked("containers", "list", "--quiet").split():
            self._checked("containers", "delete", *left)
        lines = self._checked("images", "list").splitlines()[1:]
        words = [line.split() for line in lines]
        if replaced := replaced_images([(each[0], each[2]) for each in words]):
            self._checked("images", "delete", *replaced)

    def import_image(self, archive: Path) -> str:
        """Take an image from an archive; see `hub.demo.kubernetes.cluster.Cluster.import_image`."""
        try:
            image = read_archive(archive)
        except (OSError, ValueError) as error:
            raise KubernetesDemoError(str(error)) from error
        with self._lock:
            if image.reference in self._checked("images", "list", "--quiet").split():
                self._checked("images", "tag", "--force", image.reference, image.name)
            else:
                self._checked("images", "import", str(archive.absolute()))
                # Last, so that half an import is not taken for a whole one.
                self._checked("images", "tag", "--force", image.name, image.reference)
        return image.reference

    def _checked(self, *words: str) -> str:
        done = self._ctr(*words)
        if done.returncode != 0:
            raise KubernetesDemoError(f"ctr {' '.join(words)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def _ctr(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run(*self._client, *words, timeout_s=_TIMEOUT_S)


def replaced_images(listed: Sequence[tuple[str, str]]) -> list[str]:
    """Names of images that no name with a tag leads to any more.

    ``listed`` are name and digest of all. A new image takes the tag from the old one, of which the
    name by digest and the kubelet's own name (``sha256:…``) remain.
    """
    others = [name for name, _ in listed if "@" in name or name.startswith("sha256:")]
    tagged = {digest for name, digest in listed if name not in set(others)}
    return [name for name, digest in listed if name in set(others) and digest not in tagged]
