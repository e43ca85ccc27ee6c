"""The cluster's own MariaDB: made by ``mariadb-install-db`` in the state folder, reached by its socket."""

from __future__ import annotations

import shutil
from pathlib import Path

from hub.demo.slurm.people import SLURM_USER

INSTALL = (
    "mariadb-install-db",
    "--no-defaults",
    "--auth-root-authentication-method=socket",
    f"--auth-root-socket-user={SLURM_USER}",
    "--skip-test-db",
    "--skip-name-resolve",
)
"""The database's only user is the operating system's `SLURM_USER`, without a password."""


def make_folder(path: Path) -> None:
    """Make a folder of `SLURM_USER` that only they can enter."""
    path.mkdir(exist_ok=True)
    path.chmod(0o700)
    shutil.chown(path, SLURM_USER, SLURM_USER)
