"""What does a session's pod see of files? Its secret, room of its own, the home, and the granted data.

Pure. Targets are laid outer first. One below another is taken only where it is the same folder of the
storage too: the container's runtime would else make the inner mount point as root, in somebody's data.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

from spawners.backend import SubmitError
from spawners.kubernetes.naming import pod_name
from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.kubernetes.storage import Located, locate, volume
from spawners.plan import LaunchPlan, Mount, MountMode

SECRET_VOLUME: Final = "panhub"  # noqa: S105 - the name of a volume
SECRET_PATH: Final = "/run/panhub"  # noqa: S105 - where it is mounted
_SCRATCH = "scratch"

SHARED: Final = "/opt/panhub/run"
JUPYTER: Final = "/opt/panhub/jupyter"
"""Where the first process writes what the session reads, and where the server has its own files."""

_OWN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt/panhub", "/proc", "/run", "/sbin", "/sys")
_OWN_TOO = ("/tmp", "/usr", "/var")  # noqa: S108 - where nothing of the site may be shown
_IMAGES_OWN = {PurePosixPath(each): each for each in (*_OWN, *_OWN_TOO)}
_AROUND_THEM = {above: each for own, each in _IMAGES_OWN.items() for above in own.parents}


def volumes_and_mounts(
    plan: LaunchPlan, cluster: KubernetesClusterSettings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts of a session's pod.

    Raises
    ------
    SubmitError
        If no storage has a folder, or it cannot be shown where the plan wants it.
    """
    home = Mount(plan.account.home, PurePosixPath("/home") / plan.account.name, MountMode.READ_WRITE, "home")
    mounts = sorted((home, *plan.mounts), key=lambda mount: len(mount.target.parts))
    _check(mounts)
    located = [(_located(mount, cluster), mount) for mount in mounts]
    by_volume: dict[str, list[tuple[Located, Mount]]] = {}
    for found, mount in located:
        by_volume.setdefault(found.volume, []).append((found, mount))
    volumes = [
        volume(used[0][0], is_read_only=all(mount.mode is MountMode.READ_ONLY for _, mount in used))
        for used in by_volume.values()
    ]
    own_volumes, own_mounts = _own(plan, cluster)
    return [*own_volumes, *volumes], [*own_mounts, *(_mounted(found, mount) for found, mount in located)]


def _located(mount: Mount, cluster: KubernetesClusterSettings) -> Located:
    found = locate(mount.source, cluster.storage)
    if found is None:
        raise SubmitError(f"This place does not have the storage of {mount.source}.")
    return found


def _mounted(found: Located, mount: Mount) -> dict[str, Any]:
    result: dict[str, Any] = {"name": found.volume, "mountPath": str(mount.target)}
    if found.sub_path.parts:
        result["subPath"] = str(found.sub_path)
    if mount.mode is MountMode.READ_ONLY:
        result["readOnly"] = True
        # Else what is mounted below it on the node could be written to.
        result["recursiveReadOnly"] = "IfPossible"
    return result


def _check(mounts: list[Mount]) -> None:
    for mount in mounts:
        target = mount.target
        text = f"{mount.source} cannot be shown at {target} in a pod"
        if not target.is_absolute() or ".." in target.parts or ":" in str(target):
            raise SubmitError(f"{text}: that is no path for it.")
        own = next((_IMAGES_OWN[each] for each in (target, *target.parents) if each in _IMAGES_OWN), None)
        if own := own or _AROUND_THEM.get(target):
            raise SubmitError(f"{text}: {own} is the image's own.")
    by_target: dict[PurePosixPath, Mount] = {}
    for mount in mounts:  # outer first, so that whatever is around one is known
        if (other := by_target.get(mount.target)) is not None:
            raise SubmitError(f"{other.source} and {mount.source} cannot both be shown at {mount.target}.")
        by_target[mount.target] = mount
        outer = next((by_target[above] for above in mount.target.parents if above in by_target), None)
        if outer is not None and mount.source != outer.source / mount.target.relative_to(outer.target):
            raise SubmitError(
                f"{mount.source} cannot be shown at {mount.target}: {outer.source} is shown around it, "
                f"which has no such folder."
            )


def _own(
    plan: LaunchPlan, cluster: KubernetesClusterSettings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The secret with the accounts' names, room for temporary files, and shared memory."""
    secret = {"secretName": pod_name(plan.launch_id), "defaultMode": 0o444}
    volumes = [
        {"name": SECRET_VOLUME, "secret": secret},
        {"name": _SCRATCH, "emptyDir": {"sizeLimit": f"{cluster.tmp_mib}Mi"}},
        # Half of the memory, as Linux has it on any machine: full, it is an error and not the session's end.
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{plan.size.memory_mib // 2}Mi"}},
    ]
    scratch = {"/tmp": "tmp", "/var/tmp": "tmp", SHARED: "run", JUPYTER: "jupyter"}  # noqa: S108 - in the pod
    mounts: list[dict[str, Any]] = [
        {"name": SECRET_VOLUME, "mountPath": SECRET_PATH, "readOnly": True},
        {"name": SECRET_VOLUME, "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        {"name": SECRET_VOLUME, "mountPath": "/etc/group", "subPath": "group", "readOnly": True},
        *({"name": _SCRATCH, "mountPath": path, "subPath": sub} for path, sub in scratch.items()),
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - in the pod
    ]
    return volumes, mounts
