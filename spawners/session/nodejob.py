"""What a session's job finds on its node: its environment, the person's home, Slurm's own output.

Standard library only: nodes use it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from spawners.session import exits
from spawners.session.environment import LAUNCH_VARIABLE
from spawners.session.proof import TOKEN_VARIABLE
from spawners.session.sessionlog import SessionLog
from spawners.session.start import RefusedError, open_folder

_OURS = frozenset(
    {
        "PANHUB_REPORT_BASE",
        "PANHUB_SESSION_CODE",
        "PANHUB_PYTHON",
        "PANHUB_VIEW",
        "PANHUB_APPTAINER",
        "PANHUB_LISTEN",
        "PANHUB_READ_ONLY_PATHS",
        "PANHUB_MODULES",
        "PANHUB_MODULES_INIT",
        "PANHUB_FAILED_MODULE",
    }
)
"""Variables for us alone: the server does not inherit them."""

_OF_THE_SHELL = frozenset({"OLDPWD", "PWD", "SHLVL", "_"})


class NodeJob(NamedTuple):
    """What the job's environment says; `spawners.slurm.job` writes it."""

    launch_id: str
    token: str
    home: Path
    report_base: str
    view: str
    listen: str
    read_only_paths: tuple[Path, ...]
    failed_module: str
    apptainer: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> NodeJob:
        """Read it.

        Raises
        ------
        exits.SessionFailedError
            If something is missing: it is not a job of ours.
        """
        try:
            return cls(
                launch_id=environment[LAUNCH_VARIABLE],
                token=environment[TOKEN_VARIABLE],
                home=Path(environment["HOME"]),
                report_base=environment["PANHUB_REPORT_BASE"],
                view=environment["PANHUB_VIEW"],
                listen=environment["PANHUB_LISTEN"],
                read_only_paths=tuple(map(Path, environment.get("PANHUB_READ_ONLY_PATHS", "").splitlines())),
                failed_module=environment.get("PANHUB_FAILED_MODULE", ""),
                apptainer=environment.get("PANHUB_APPTAINER") or "apptainer",
            )
        except KeyError as error:
            text = f"The job's environment lacks {error.args[0]}."
            raise exits.SessionFailedError(exits.WRONG_JOB, text) from error

    @property
    def slurm_output(self) -> Path:
        """Where Slurm writes what comes before our own log, and its own last words."""
        return self.home / f".panhub-{self.launch_id}.log"


def for_server(environment: Mapping[str, str]) -> dict[str, str]:
    """What the server inherits of the job's environment: Slurm's, the modules' and the hub's variables."""
    return {key: value for key, value in environment.items() if key not in _OURS | _OF_THE_SHELL}


def node_name() -> str:
    """Name of this node, as its scheduler has it."""
    names = map(os.environ.get, ("SLURMD_NODENAME", "PANHUB_NODE_NAME"))
    return next(filter(None, names), os.uname().nodename)


def time_zone(link: Path = Path("/etc/localtime")) -> str:
    """Name of the node's time zone, which an image does not know; empty if it has none (localtime(5))."""
    _, _, zone = str(link.resolve()).partition("/zoneinfo/")
    return zone


def open_log(home: Path, launch_id: str, kind: type[SessionLog] = SessionLog) -> SessionLog:
    """Log of the session in the person's home; no links are followed.

    Raises
    ------
    exits.SessionFailedError
        If the home cannot be used.
    """
    try:
        base = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        folder = open_folder(base, PurePosixPath(".panhub/logs"), mode=0o700)
        os.close(base)
        os.close(folder)
        return kind(home / ".panhub" / "logs" / f"{launch_id}.log")
    except (OSError, RefusedError) as error:
        text = f"The home folder {home} cannot be used on the node {node_name()}: {error}"
        raise exits.SessionFailedError(exits.NO_HOME, text) from error


def take_over(path: Path, log: SessionLog) -> int | None:
    """Move what Slurm has written so far into the log, and remove Slurm's file.

    Returns a descriptor by which what Slurm writes later (its word of a time limit, say) can still be
    read; None if the site's Slurm was told to write elsewhere.
    """
    try:
        left = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        path.unlink()
    except OSError:
        return None
    log.write(os.read(left, 65536))
    return left
