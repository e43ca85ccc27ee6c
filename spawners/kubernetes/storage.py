"""By which volume does a pod have a folder of the site's storage?

Pure. One volume stands for each entry of ``storage`` that a session needs, and every mount shows
one folder of it (``subPath``), so that exactly the granted paths are there. The kubelet opens a
sub-path without following links out of its volume; it follows those within, so folders above a granted
one must be the site's own, as `hub.access.mounts.present` asks of them.

A sub-path that is missing would be made by the kubelet, as root. So the engine looks for every granted
folder when it plans (`hub.access.mounts.present`), and for all of them again before a start (`absent`) as
far as it sees the storage; a volume of which only read-only mounts are taken is itself read-only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from spawners.kubernetes.settings import (
    ClaimSource,
    HostSource,
    KubernetesClusterSettings,
    NfsSource,
    StorageSettings,
)
from spawners.plan import LaunchPlan


@dataclass(frozen=True, slots=True)
class Located:
    """A folder of the site as pods have it: ``sub_path`` of the volume behind entry ``index`` of `storage`.

    ``sub_path`` is relative; ``.`` is the whole volume.
    """

    index: int
    entry: StorageSettings
    sub_path: PurePosixPath

    @property
    def volume(self) -> str:
        """Name of the volume in a pod."""
        return f"storage-{self.index}"


def locate(path: PurePosixPath, storage: Sequence[StorageSettings]) -> Located | None:
    """Where a folder is, by the innermost entry that contains it; None if no entry does."""
    if not path.is_absolute() or ".." in path.parts:
        return None
    within = [(index, entry) for index, entry in enumerate(storage) if path.is_relative_to(entry.path)]
    if not within:
        return None
    index, entry = max(within, key=lambda item: len(item[1].path.parts))
    below = path.relative_to(entry.path)
    if isinstance(entry.source, ClaimSource):
        below = entry.source.sub_path / below
    return Located(index, entry, below)


def missing(plan: LaunchPlan, cluster: KubernetesClusterSettings) -> tuple[PurePosixPath, ...]:
    """Folders of the plan, the home among them, that no pod of the cluster can have."""
    needed = dict.fromkeys((plan.account.home, *(mount.source for mount in plan.mounts)))
    return tuple(path for path in needed if locate(path, cluster.storage) is None)


def absent(plan: LaunchPlan, cluster: KubernetesClusterSettings) -> tuple[PurePosixPath, ...]:
    """Folders of the plan that are not there, as far as the engine sees their storage. Blocking.

    An engine that does not have a storage under the path of its entry cannot tell, and says nothing.
    """
    needed = dict.fromkeys((plan.account.home, *(mount.source for mount in plan.mounts)))
    found = [(path, locate(path, cluster.storage)) for path in needed]
    return tuple(
        path
        for path, located in found
        if located is not None and _is_seen(Path(located.entry.path)) and not _is_there(Path(path))
    )


def _is_seen(root: Path) -> bool:
    """Whether the storage is here: an empty folder is where it would be mounted."""
    try:
        return next(root.iterdir(), None) is not None
    except OSError:
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # not ours to look at, so it is there
        return True


def volume(located: Located, *, is_read_only: bool) -> dict[str, Any]:
    """The volume of a pod, as Kubernetes has it."""
    more: dict[str, Any] = {"readOnly": True} if is_read_only else {}
    match located.entry.source:
        case ClaimSource(claim=claim):
            source = {"persistentVolumeClaim": {"claimName": claim, **more}}
        case NfsSource(server=server, export=export):
            source = {"nfs": {"server": server, "path": str(export), **more}}
        case HostSource(path=path):
            # `Directory`: a node on which it is not mounted must not get an empty folder in its place.
            source = {"hostPath": {"path": str(path), "type": "Directory"}}
    return {"name": located.volume, **source}
