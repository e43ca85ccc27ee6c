"""Slurm releases that the demo's cluster can run, and where each comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hub.demo.site import SiteError

ReleaseName = Literal["22.05", "24.11", "26.05"]

PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "slurmrestd",
    "slurm-client",
    "slurm-wlm-jwt-plugin",
    "slurm-wlm-mysql-plugin",
    "munge",
    "mariadb-server",
)
"""Debian packages of a whole cluster; their names are the same in all releases."""

_BIN, _SBIN = Path("/usr/bin"), Path("/usr/sbin")
PROGRAMS = (
    _SBIN / "munged",
    _SBIN / "mariadbd",
    _SBIN / "slurmdbd",
    _SBIN / "slurmctld",
    _SBIN / "slurmrestd",
    _SBIN / "slurmd",
    _BIN / "sbatch",
    _BIN / "sacctmgr",
)
"""What the packages install that a cluster starts."""


class SlurmDemoError(SiteError):
    """The cluster cannot be made or does not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Slurm as Debian packages it.

    ``suite`` is the Debian release that has it; None is the machine's own system. ``rest_versions``
    are slurmrestd's API versions, oldest first (RELEASE_NOTES of each release).
    """

    name: ReleaseName
    suite: str | None
    rest_plugins: tuple[str, ...]
    rest_versions: tuple[str, ...]
    has_disabled_cgroups: bool
    """Whether cgroup.conf knows ``CgroupPlugin=disabled``, which slurmd then needs (since 23.11)."""

    client_suite: str | None = None
    """Debian release whose MariaDB client library slurmdbd loads, where its own suite's does not work."""


RELEASES: dict[ReleaseName, Release] = {
    "22.05": Release("22.05", None, ("-s", "openapi/v0.0.38,openapi/dbv0.0.38"), ("v0.0.38",), False),
    "24.11": Release(
        "24.11",
        "trixie",
        ("-s", "slurmctld,slurmdbd", "-d", "v0.0.40,v0.0.41,v0.0.42"),
        ("v0.0.40", "v0.0.41", "v0.0.42"),
        True,
    ),
    "26.05": Release(
        "26.05",
        "forky",
        ("-s", "slurmctld,slurmdbd", "-d", "v0.0.42,v0.0.43,v0.0.44,v0.0.45"),
        ("v0.0.42", "v0.0.43", "v0.0.44", "v0.0.45"),
        True,
        # libmariadb3 11.8.9 refuses every result: "maxmimum allowed number of columns (=0)".
        client_suite="trixie",
    ),
}


def release_of(name: str) -> Release:
    """Release of that name.

    Raises
    ------
    SlurmDemoError
        If it is not one of ours.
    """
    for release in RELEASES.values():
        if release.name == name:
            return release
    raise SlurmDemoError(f"There is no release {name!r}; there are {', '.join(RELEASES)}.")


def cache_folder() -> Path:
    """Folder of what is made once: ``$PANHUB_CACHE``, by default ``~/.cache/panhub``."""
    return Path(os.environ.get("PANHUB_CACHE") or "~/.cache/panhub").expanduser()
