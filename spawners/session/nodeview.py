"""How does a session on a node see its data? Built by the job itself, as the person, without root.

*bubblewrap*: a namespace in which only the system, the environment, the home (at its own path, so that
jobs submitted from inside start where they were submitted) and exactly the plan's mounts are there.
*apptainer*: the same by binds, the system being the image's; whether Slurm's programs can be used
inside depends on the image. *links*: a folder of links; nothing is kept apart then but by file
permissions. A job that is submitted from inside runs outside of any view, as all jobs of the person
do: what keeps people's data apart is the storage's own permissions, in every case.

Standard library only: nodes use it. All of it blocks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spawners.session import exits
from spawners.session.machine import Shown, interpreter_paths, system_paths, why_not_bubblewrap
from spawners.session.nodejob import NodeJob, node_name
from spawners.session.slurmclient import slurm_client
from spawners.session.view import Bind, apptainer_arguments, bubblewrap_arguments, group, passwd

_CODE = "/opt/panhub/session"
_SHARED = "/opt/panhub/run"
_JUPYTER = "/opt/panhub/jupyter"

_DEVICES = ("nvidia*", "kfd", "dri", "infiniband", "hfi1*", "knem", "xpmem", "fuse")
"""GPUs and fast networks below /dev; which of them a job may use, Slurm decides (ConstrainDevices)."""

_HOSTS = Path("/etc/hosts")
"""Names of the site's machines, which an image cannot know."""


class NodeView(NamedTuple):
    """Where a session sees things, and how its first process is run.

    ``folder`` is this node's for the session, removed at its end; ``shared`` is where we write what the
    session reads. ``bubblewrap`` are arguments for it; ``apptainer`` the words before a command.
    """

    kind: str
    note: str
    folder: Path
    shared: Path
    home: str
    session_code: str
    session_shared: str
    jupyter: str
    data: str
    bubblewrap: list[str] | None = None
    apptainer: list[str] | None = None
    links: Path | None = None

    def remove(self) -> None:
        """Remove what was made on the node."""
        for folder in (self.folder, self.links):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def make_view(job: NodeJob, spec: Mapping[str, Any], environment: Mapping[str, str]) -> NodeView:
    """Check all that the session needs, and build its view.

    Raises
    ------
    exits.SessionFailedError
        If something of it is missing here; the text names it.
    """
    check_account(spec["account"])
    for mount in spec["mounts"]:
        check_mount(mount)
    kind, note = choose(job.view, spec["environment"]["image"], job.apptainer)
    if kind != "apptainer":
        check_environment(spec["environment"])
    folder = Path(tempfile.mkdtemp(prefix="panhub-", dir=temporary(environment)))
    for name in ("shared", "jupyter", "tmp", "etc"):
        (folder / name).mkdir(mode=0o700)
    write_programs(folder / "shared" / "bin")
    if kind == "links":
        return _links(job, spec, folder, note)
    return _own(job, spec, folder, note, environment, is_image=kind == "apptainer")


def choose(wish: str, image: str | None, apptainer: str = "apptainer") -> tuple[str, str]:
    """Kind of the view, and a line about it for the log.

    Raises
    ------
    exits.SessionFailedError
        If the site's wish cannot be met on this node: never something weaker instead.
    """
    if image is not None or wish == "apptainer":
        if image is None:
            raise _failed(
                exits.NO_VIEW, "This cluster shows data by apptainer, but the environment has no image"
            )
        if shutil.which(apptainer) is None:
            raise _failed(exits.NO_VIEW, f"{apptainer}, which the environment needs, is not installed")
        if not os.access(image, os.R_OK):
            raise _failed(exits.NO_ENVIRONMENT, f"The image {image} cannot be read")
        return "apptainer", "The session has a data view of its own, by apptainer."
    if wish == "links":
        return "links", "NOT ISOLATED: the session sees whatever the account may see on this node."
    why_not = "" if wish == "bubblewrap" and shutil.which("bwrap") else why_not_bubblewrap()
    if not why_not:
        return "bubblewrap", "The session has a data view of its own, by bubblewrap."
    if wish == "auto":
        return "links", f"NOT ISOLATED: the session sees whatever the account may see here; {why_not}."
    raise _failed(exits.NO_VIEW, f"The data view cannot be built: {why_not}")


def check_account(account: Mapping[str, Any]) -> None:
    """Refuse to run as somebody else."""
    if os.getuid() != account["uid"]:
        text = f"The account {account['name']} has the number {os.getuid()}, not {account['uid']}, here"
        raise _failed(exits.WRONG_JOB, text)


def check_environment(environment: Mapping[str, Any]) -> None:
    """Look for the environment's programs."""
    for program in ("python", "jupyterhub-singleuser"):
        path = Path(environment["prefix"]) / "bin" / program
        if not os.access(path, os.X_OK):
            title = environment["title"]
            raise _failed(
                exits.NO_ENVIRONMENT, f"The environment “{title}” is not installed: there is no {path}"
            )


def check_mount(mount: Mapping[str, Any]) -> None:
    """Look whether the data is there; also lets an automounter mount it."""
    try:
        with os.scandir(mount["source"]) as entries:
            next(entries, None)
    except OSError as error:
        text = f"The data {mount['source']} cannot be read: {error.strerror}"
        raise _failed(exits.NO_DATA, text) from error


def _failed(code: int, text: str) -> exits.SessionFailedError:
    return exits.SessionFailedError(code, f"{text} (node {node_name()}).")


def temporary(environment: Mapping[str, str]) -> str:
    """Folder for temporary files: the job's own where Slurm makes one."""
    found = environment.get("TMPDIR", "")
    return found if found and os.access(found, os.W_OK | os.X_OK) else "/tmp"  # noqa: S108 - mkdtemp follows


def _links(job: NodeJob, spec: Mapping[str, Any], folder: Path, note: str) -> NodeView:
    root = job.home / ".panhub" / "views" / job.launch_id
    shutil.rmtree(root, ignore_errors=True)  # of a job that was killed and requeued
    root.mkdir(mode=0o700, parents=True)
    for mount in spec["mounts"]:
        link = root / mount["target"].lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(mount["source"])
    return NodeView(
        kind="links",
        note=note,
        folder=folder,
        shared=folder / "shared",
        home=str(job.home),
        session_code=str(session_code()),
        session_shared=str(folder / "shared"),
        jupyter=str(folder / "jupyter"),
        data=str(root),
        links=root,
    )


def _own(
    job: NodeJob,
    spec: Mapping[str, Any],
    folder: Path,
    note: str,
    environment: Mapping[str, str],
    *,
    is_image: bool,
) -> NodeView:
    account, home = spec["account"], str(job.home)
    client = slurm_client(environment)
    own = [
        Bind(str(folder / "etc" / "passwd"), "/etc/passwd"),
        Bind(str(folder / "etc" / "group"), "/etc/group"),
        Bind(str(folder / "tmp"), "/tmp", is_writable=True),  # noqa: S108 - in the view
        Bind(home, home, is_writable=True),
    ]
    code = [
        Bind(str(session_code()), _CODE),
        Bind(str(folder / "shared"), _SHARED),
        Bind(str(folder / "jupyter"), _JUPYTER, is_writable=True),
    ]
    mounts = [Bind(mount["source"], mount["target"], mount["is_writable"]) for mount in spec["mounts"]]
    further = [Shown(path) for path in job.read_only_paths if path.exists()]
    name, uid, gid = account["name"], os.getuid(), os.getgid()
    text = passwd(name, uid, gid, home, system=client.users)
    (folder / "etc" / "passwd").write_text(text, encoding="utf-8")
    (folder / "etc" / "group").write_text(group(name, gid), encoding="utf-8")
    view = NodeView(
        kind="apptainer" if is_image else "bubblewrap",
        note=note,
        folder=folder,
        shared=folder / "shared",
        home=home,
        session_code=_CODE,
        session_shared=_SHARED,
        jupyter=_JUPYTER,
        data="/",
    )
    if is_image:
        names = [Shown(_HOSTS)] if _HOSTS.exists() else []
        shown = [Bind(str(part.path), str(part.path)) for part in (*names, *client.shown, *further)]
        words = apptainer_arguments(
            image=spec["environment"]["image"],
            folder=home,
            home=home,
            # In a /var/tmp of its own would be room for 64 MiB.
            binds=[
                *own[:3],
                Bind(str(folder / "tmp"), "/var/tmp", is_writable=True),  # noqa: S108 - in the view
                *shown,
                *code,
            ],
            mounts=mounts,
            has_gpus=spec["size"]["gpus"] > 0,
        )
        program = shutil.which(job.apptainer) or job.apptainer
        return view._replace(apptainer=[program, *words])
    prefix = Path(spec["environment"]["prefix"])
    arguments = bubblewrap_arguments(
        uid=uid,
        gid=gid,
        folder=home,
        system=[*system_paths(), Shown(Path("/sys")), *_var_run()],
        own=[*devices(), *own],
        software=[*interpreter_paths(prefix), *further, *client.shown],
        code=code,
        mounts=mounts,
    )
    return view._replace(bubblewrap=arguments)


def session_code() -> Path:
    """Folder of this code."""
    return Path(__file__).resolve().parent


def write_programs(folder: Path) -> None:
    """Put sbatch and salloc there, as a session has them; see ``submit.sh``."""
    folder.mkdir()
    for name in ("sbatch", "salloc"):
        shutil.copyfile(session_code() / "submit.sh", folder / name)
        (folder / name).chmod(0o755)


def devices() -> Iterator[Bind]:
    """Devices that a bare /dev does not have."""
    for pattern in _DEVICES:
        for path in sorted(Path("/dev").glob(pattern)):
            yield Bind(str(path), str(path), is_device=True)


def _var_run() -> list[Shown]:
    return [Shown(Path("/var/run"), "/run")] if Path("/var/run").is_symlink() else []
