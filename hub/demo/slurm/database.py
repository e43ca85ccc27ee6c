"""The cluster's own MariaDB, with the demo's accounts in it: made once, then copied from the cache.

sacctmgr of 22.05 takes half a second for each command, so a cluster's first start would take ten.
A copy is of the same versions of Slurm and MariaDB and of the same commands, or it is not used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hub.demo.locks import locked
from hub.demo.slurm.people import SLURM_USER
from hub.demo.slurm.release import SlurmDemoError, cache_folder

INSTALL = (
    "mariadb-install-db",
    "--no-defaults",
    "--auth-root-authentication-method=socket",
    f"--auth-root-socket-user={SLURM_USER}",
    "--skip-test-db",
    "--skip-name-resolve",
)
"""The database's only user is the operating system's `SLURM_USER`, without a password."""


class DatabaseCache:
    """Copies of new databases, by what they were made from."""

    def __init__(self, versions: str, commands: Sequence[Sequence[str]]) -> None:
        made_from = json.dumps([versions, INSTALL, commands])
        name = f"slurm-database-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
        self._folder = cache_folder() / name

    def take(self, datadir: Path) -> bool:
        """Make ``datadir`` from the cache, if it has such a database."""
        with locked(self._folder.parent, self._folder.name):
            if not self._folder.exists():
                return False
            _copy(self._folder, datadir)
        return True

    def keep(self, datadir: Path) -> None:
        """Copy a database that nothing uses now into the cache."""
        with locked(self._folder.parent, self._folder.name):
            if not self._folder.exists():
                part = self._folder.with_name(f".{self._folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                _copy(datadir, part)
                part.rename(self._folder)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for command in (
        ["cp", "--archive", "--reflink=auto", str(source), str(target)],
        # The account's number may be another since the copy was made.
        ["chown", "--recursive", f"{SLURM_USER}:{SLURM_USER}", str(target)],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise SlurmDemoError(f"The database cannot be copied: {done.stderr.strip()}")
