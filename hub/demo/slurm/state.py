"""Folder of a cluster: what is in it, whose it is, and who uses it now."""

from __future__ import annotations

import fcntl
import secrets
import shutil
import stat
from pathlib import Path
from typing import TextIO

from hub.demo.slurm import tokens
from hub.demo.slurm.people import SLURM_USER
from hub.demo.slurm.release import SlurmDemoError

_FOLDERS = (
    ("keys", SLURM_USER, 0o700),
    ("slurmctld", SLURM_USER, 0o700),
    ("mariadb", SLURM_USER, 0o700),
    ("run", SLURM_USER, 0o755),
    ("logs", SLURM_USER, 0o755),
    ("slurmd", "root", 0o755),
    ("output", "root", 0o1777),
)
"""Folders of the state, their owners and modes."""

JWT_KEY = "keys/jwt_hs256.key"
MUNGE_KEY = "keys/munge.key"
_DATABASE_STAMP = "database-is-made"


def prepare_state(state: Path) -> TextIO:
    """Make what is missing in the folder and remove what a cluster that was killed left behind.

    Returns an open file that holds the folder for this process until it is closed.

    Raises
    ------
    SlurmDemoError
        If another cluster runs in it, or people cannot pass through one of its parents.
    """
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o755)
    for folder in state.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise SlurmDemoError(f"{folder} is closed to other people; their jobs need what is below it.")
    held = _hold(state)
    shutil.rmtree(state / "run", ignore_errors=True)
    for name, owner, mode in _FOLDERS:
        folder = state / name
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        shutil.chown(folder, owner, owner)
    tokens.make_key(state / JWT_KEY)
    munge_key = state / MUNGE_KEY
    if not munge_key.exists():
        munge_key.touch(mode=0o600)
        munge_key.write_bytes(secrets.token_bytes(128))
    for key in (state / JWT_KEY, munge_key):
        shutil.chown(key, SLURM_USER, SLURM_USER)
    return held


def needs_database(state: Path) -> bool:
    """Whether the cluster's database has to be made; what a start that was cut off left of it is removed."""
    if (state / _DATABASE_STAMP).exists():
        return False
    for name in ("mariadb", "slurmctld"):
        for path in (state / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return True


def database_is_made(state: Path) -> None:
    """Note that the database is whole, with the demo's accounts in it."""
    (state / _DATABASE_STAMP).touch()


def _hold(state: Path) -> TextIO:
    held = (state / "lock").open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise SlurmDemoError(f"A cluster already runs in {state}.") from error
    return held
