"""What a backend is given: the launch plan.

A *plan* says completely what will run: as which POSIX account, with which mounts, in which
environment, how large and for how long. It is made by the launch path (`hub.launch`), stored
with the session and never holds a secret; secrets travel apart, in `Credentials`, and only once.
Every backend gets the same plan. Paths are those of the place where the session runs, so they
are `PurePosixPath`: nothing here may touch a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, NewType

_HERE = PurePosixPath(".")

LaunchId = NewType("LaunchId", str)
"""Identity of one start (16 hexadecimal digits); holds, jobs, tokens and log lines carry it."""


class MountMode(StrEnum):
    """How a path is shown inside a session."""

    READ_ONLY = "ro"
    READ_WRITE = "rw"


class Interface(StrEnum):
    """What a person works in. A session with a desktop has JupyterLab too: both are in the same server."""

    LAB = "lab"
    DESKTOP = "desktop"


@dataclass(frozen=True, slots=True)
class Account:
    """The POSIX account a session runs as.

    ``groups`` are supplementary group ids. ``home`` is the folder on the storage; a backend
    with a view of its own shows it as ``/home/<name>``.
    """

    name: str
    uid: int
    gid: int
    home: PurePosixPath
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """One path of the storage shown at one path of the session, and why it may be.

    ``source`` was resolved without following links out of the site's data root. ``target`` is
    absolute, as the session sees it.
    """

    source: PurePosixPath
    target: PurePosixPath
    mode: MountMode
    reason: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Software a session runs in: a prefix with ``bin/python`` and ``bin/jupyterhub-singleuser``.

    ``modules`` are loaded before it, ``image`` is the apptainer image in which the prefix lies (or
    None), ``architectures`` the CPUs it is built for, as ``uname -m`` names them. ``desktop`` says
    whether a desktop can run in it. ``container`` is its container image by digest, for pods (empty: none),
    and ``container_prefix`` where the prefix lies in that (None: as ``prefix``).
    """

    id: str
    title: str
    prefix: PurePosixPath
    lock_sha256: str
    kernel: str = "python3"
    modules: tuple[str, ...] = ()
    image: PurePosixPath | None = None
    architectures: tuple[str, ...] = ("x86_64",)
    desktop: bool = False
    container: str = ""
    container_prefix: PurePosixPath | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Resources of one session. ``memory_mib`` in MiB; ``gpu_type`` empty for any type."""

    id: str
    title: str
    cpus: int
    memory_mib: int
    gpus: int = 0
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What a batch scheduler is told beside the size. None leaves it to the scheduler's default."""

    account: str | None = None
    qos: str | None = None
    reservation: str | None = None


DEFAULT_SCHEDULING = Scheduling()
"""All left to the scheduler."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A text file put into the working folder before the session starts, never over an existing one.

    ``path`` is relative to the working folder and has no ``..``.
    """

    path: PurePosixPath
    content: str


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """All that a backend needs to start one session.

    ``workdir`` is relative to the home folder and is made if missing; ``files`` go there.
    ``open_path`` is relative to the home folder: what the interface shows first, or None.
    ``data_link`` names a link in ``workdir`` to the folder of the first mount's visit, or None.
    """

    launch_id: LaunchId
    username: str
    server_name: str
    interface: Interface
    account: Account
    environment: Environment
    size: Size
    place: str
    walltime: timedelta
    mounts: tuple[Mount, ...] = ()
    workdir: PurePosixPath = _HERE
    files: tuple[PlannedFile, ...] = ()
    open_path: PurePosixPath | None = None
    data_link: PurePosixPath | None = None
    scheduling: Scheduling = DEFAULT_SCHEDULING

    def to_json(self) -> dict[str, Any]:
        """Plain JSON of the plan, for the session table."""
        raw = asdict(self)
        raw["walltime"] = int(self.walltime.total_seconds())
        result = _plain(raw)
        assert isinstance(result, dict)
        return result

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> LaunchPlan:
        """Rebuild a plan stored by `to_json`."""
        return cls(
            launch_id=LaunchId(raw["launch_id"]),
            username=raw["username"],
            server_name=raw["server_name"],
            interface=Interface(raw["interface"]),
            account=Account(
                name=raw["account"]["name"],
                uid=raw["account"]["uid"],
                gid=raw["account"]["gid"],
                home=PurePosixPath(raw["account"]["home"]),
                groups=tuple(raw["account"]["groups"]),
            ),
            environment=_environment(raw["environment"]),
            size=Size(**raw["size"]),
            place=raw["place"],
            walltime=timedelta(seconds=raw["walltime"]),
            mounts=tuple(
                Mount(
                    source=PurePosixPath(mount["source"]),
                    target=PurePosixPath(mount["target"]),
                    mode=MountMode(mount["mode"]),
                    reason=mount["reason"],
                )
                for mount in raw["mounts"]
            ),
            workdir=PurePosixPath(raw["workdir"]),
            files=tuple(PlannedFile(PurePosixPath(f["path"]), f["content"]) for f in raw["files"]),
            open_path=PurePosixPath(raw["open_path"]) if raw["open_path"] else None,
            data_link=PurePosixPath(raw["data_link"]) if raw["data_link"] else None,
            scheduling=Scheduling(**raw.get("scheduling", {})),
        )


def _environment(raw: Mapping[str, Any]) -> Environment:
    image, container_prefix = raw.get("image"), raw.get("container_prefix")
    return Environment(
        **{
            **raw,
            "prefix": PurePosixPath(raw["prefix"]),
            "modules": tuple(raw.get("modules", ())),
            "image": PurePosixPath(image) if image else None,
            "container_prefix": PurePosixPath(container_prefix) if container_prefix else None,
            "architectures": tuple(raw.get("architectures", ("x86_64",))),
        }
    )


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets of one start. Kept in memory, handed over once, never stored or logged.

    ``environment`` is what JupyterHub gives a session (its own token among it). ``report_url``
    takes the session's one report of its port, proved by ``report_secret``, which is not put
    into the session's environment.
    """

    environment: Mapping[str, str] = field(repr=False)
    report_url: str
    report_secret: str = field(repr=False)


def _plain(value: Any) -> Any:
    match value:
        case PurePosixPath():
            return str(value)
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case StrEnum():
            return value.value
        case _:
            return value
