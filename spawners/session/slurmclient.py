"""What do Slurm's own programs need inside a data view, so that people can submit from a session?

Their configuration (slurm.conf and the files beside it), the socket of munge or of Slurm's own
authentication, the accounts that the configuration names, and the programs where they are not part
of the system. Standard library only: nodes use it. All of it blocks.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spawners.session.machine import Shown, is_system

_CONFS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")
"""Where Slurm looks, and where a node without files keeps what it fetched ("configless")."""

_MUNGE_SOCKET = "/run/munge/munge.socket.2"
_SACK = "/run/slurm"
"""Socket of auth/slurm (Slurm 23.11 and newer)."""

_NOT_A_FOLDER_OF_ITS_OWN = frozenset({"/", "/run", "/var/run", "/tmp", "/var/lib"})  # noqa: S108 - compared with
_SETTING = re.compile(r"^\s*([A-Za-z]+)\s*=\s*(\S+)")
_SOCKET = re.compile(r"(?:^|,)socket=([^,\s]+)")


class SlurmClient(NamedTuple):
    """Paths to show, and system accounts (name, uid, gid) that must have names."""

    shown: tuple[Shown, ...]
    users: tuple[tuple[str, int, int], ...]


def slurm_client(environment: Mapping[str, str]) -> SlurmClient:
    """What to show of this node's Slurm; nothing where there is none."""
    conf = find_conf(environment)
    if conf is None:
        return SlurmClient((), ())
    settings = read_settings(conf)
    paths = [*conf_paths(conf), socket_path(settings), Path(_SACK), *program_paths(environment)]
    shown = dict.fromkeys(Shown(path) for path in paths if path.exists() and not is_system(path))
    names = dict.fromkeys((settings.get("slurmuser", "root"), settings.get("slurmduser", "root"), "munge"))
    return SlurmClient(tuple(shown), tuple(user for name in names if (user := system_user(name)) is not None))


def find_conf(environment: Mapping[str, str]) -> Path | None:
    """The slurm.conf that Slurm's programs would take here."""
    for name in (environment.get("SLURM_CONF", ""), *_CONFS):
        if name and Path(name).is_file():
            return Path(name)
    return None


def read_settings(conf: Path) -> dict[str, str]:
    """Simple settings of a slurm.conf by lower-case name (slurm.conf(5): names know no case)."""
    try:
        lines = conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = (_SETTING.match(line) for line in lines)
    return {match.group(1).lower(): match.group(2) for match in found if match}


def conf_paths(conf: Path) -> list[Path]:
    """The configuration: a folder of its own in /etc or /run, so that changes are seen; else its files."""
    folder = conf.parent
    if folder.is_relative_to("/etc") or folder.is_relative_to("/run"):
        return [folder]
    return sorted(path for path in folder.glob("*.conf") if os.access(path, os.R_OK))


def socket_path(settings: Mapping[str, str]) -> Path:
    """Munge's socket: its folder, so that a restart of munge is followed, unless others share it."""
    found = _SOCKET.search(settings.get("authinfo", ""))
    socket = Path(found.group(1) if found else _MUNGE_SOCKET)
    return socket if str(socket.parent) in _NOT_A_FOLDER_OF_ITS_OWN else socket.parent


def program_paths(environment: Mapping[str, str]) -> list[Path]:
    """Where Slurm is installed, if it is no part of the system (/opt/slurm, say)."""
    program = shutil.which("sbatch", path=environment.get("PATH"))
    if program is None or is_system(Path(program)):
        return []
    return list(dict.fromkeys((Path(program).parent.parent, Path(program).resolve().parent.parent)))


def system_user(name: str) -> tuple[str, int, int] | None:
    """A system account's name and numbers; None for root, which every view knows, and for unknown ones."""
    try:
        entry = pwd.getpwnam(name.partition("(")[0])
    except KeyError:
        return None
    return (entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None
