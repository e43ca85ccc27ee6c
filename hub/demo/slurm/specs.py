"""Command lines of the cluster's daemons."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hub.demo.slurm.configuration import NODES, Ports
from hub.demo.slurm.daemons import DaemonSpec, accepts_tcp, accepts_unix
from hub.demo.slurm.people import REST_USER, SLURM_USER
from hub.demo.slurm.release import Release
from hub.demo.slurm.root import CLIENT_LIBRARY


def daemon_specs(state: Path, ports: Ports, release: Release) -> Iterator[DaemonSpec]:
    """Every daemon of a cluster, in the order of their start."""
    run, slurm = state / "run", {"SLURM_CONF": str(state / "slurm.conf")}
    yield DaemonSpec(
        "munged",
        ("munged", "--foreground", "--force", "--num-threads=2", *_munge_files(state)),
        SLURM_USER,
        lambda: accepts_unix(run / "munge.socket"),
    )
    yield DaemonSpec(
        "mariadbd",
        ("mariadbd", f"--defaults-file={state / 'mariadb.cnf'}"),
        SLURM_USER,
        lambda: accepts_unix(run / "mariadb.socket"),
    )
    # slurmdbd has no option for the database's socket; MariaDB's client library reads this variable.
    client = {"MYSQL_UNIX_PORT": str(run / "mariadb.socket")}
    if release.client_suite is not None:
        client["LD_LIBRARY_PATH"] = str(CLIENT_LIBRARY / f"usr/lib/{os.uname().machine}-linux-gnu")
    yield DaemonSpec(
        "slurmdbd",
        ("slurmdbd", "-D"),
        SLURM_USER,
        _listens(ports.slurmdbd),
        {**slurm, **client},
    )
    # Killed in its first minutes it has not saved all yet, and a newer one (26.05) would then not
    # start without -i.
    yield DaemonSpec("slurmctld", ("slurmctld", "-D", "-i"), SLURM_USER, _listens(ports.slurmctld), slurm)
    yield DaemonSpec(
        "slurmrestd",
        ("slurmrestd", "-a", "rest_auth/jwt", *release.rest_plugins, f"127.0.0.1:{ports.slurmrestd}"),
        REST_USER,
        _listens(ports.slurmrestd),
        # It wants a token of its own at its start; every request brings the one that counts.
        {**slurm, "SLURM_JWT": "daemon"},
    )
    for node in NODES:
        yield DaemonSpec(node, ("slurmd", "-D", "-N", node), None, _listens(getattr(ports, node)), slurm)


def _munge_files(state: Path) -> tuple[str, ...]:
    return (
        f"--key-file={state / 'keys/munge.key'}",
        f"--socket={state / 'run/munge.socket'}",
        f"--pid-file={state / 'run/munged.pid'}",
        f"--log-file={state / 'logs/munged.log'}",
        f"--seed-file={state / 'run/munged.seed'}",
    )


def _listens(port: int) -> Callable[[], bool]:
    return lambda: accepts_tcp(port)
