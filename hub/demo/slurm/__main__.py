"""Run a cluster in the foreground: ``python -m hub.demo.slurm /srv/slurm --release 24.11``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from hub.demo.slurm.cluster import SlurmCluster, running_cluster
from hub.demo.slurm.release import RELEASES, SlurmDemoError


def main() -> int:
    """Start a cluster, say how to talk to it, and stop it at Ctrl-C."""
    parser = argparse.ArgumentParser(description="A Slurm cluster on this machine, until Ctrl-C. Needs root.")
    parser.add_argument("state", type=Path, help="folder to keep it in, open to all people")
    parser.add_argument("--release", choices=list(RELEASES), default="22.05")
    parser.add_argument(
        "--share", type=Path, action="append", default=[], help="folder that jobs must see too"
    )
    choice = parser.parse_args()
    for kind in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, _interrupt)
    began = time.monotonic()
    try:
        with running_cluster(choice.state, release=choice.release, shared=choice.share) as cluster:
            print(
                f"Slurm {choice.release} is ready ({time.monotonic() - began:.1f} s).\n{_how(cluster)}",
                flush=True,
            )
            signal.pause()
    except SlurmDemoError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What it knows is kept in its folder.")
    return 0


def _how(cluster: SlurmCluster) -> str:
    person = cluster.people.usernames[0]
    settings = " ".join(shlex.quote(f"{key}={value}") for key, value in cluster.environment.items())
    command = shlex.join(cluster.command("sbatch", "--wrap=hostname", user=person))
    return (
        f"  people      {', '.join(cluster.people.usernames)}\n"
        f"  a command   env {settings} {command}\n"
        f"  slurmrestd  {cluster.rest_url} ({', '.join(cluster.rest_versions)})\n"
        f"  logs        {cluster.state / 'logs'}\n"
        "Ctrl-C stops it."
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
