"""Make what clusters need ahead of time: ``python -m hub.demo.slurm.prepare --release 24.11``.

That is the root of a release (a minute, kept in the cache), the sessions' environment for it and
the new database that clusters copy.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from hub.demo.slurm.cluster import running_cluster
from hub.demo.slurm.environment import prepare_environment
from hub.demo.slurm.people import remove_people
from hub.demo.slurm.release import RELEASES, ReleaseName, SlurmDemoError
from hub.demo.slurm.root import prepare_root


def prepare(name: ReleaseName) -> None:
    """Make everything for a release; what is there is kept. Blocking; needs root.

    Raises
    ------
    SlurmDemoError
        If a part cannot be made.
    """
    release = RELEASES[name]
    began = time.monotonic()
    prepare_root(release)
    print(f"{name}: root after {time.monotonic() - began:.0f} s", flush=True)
    prepare_environment(release)
    print(f"{name}: environment after {time.monotonic() - began:.0f} s", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="panhub-slurm-"))
    folder.chmod(0o755)
    try:
        with running_cluster(folder / "state", release=name):
            print(f"{name}: cluster after {time.monotonic() - began:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder)


def main() -> int:
    """Prepare the releases that are named, or remove the demo's accounts and their homes."""
    parser = argparse.ArgumentParser(description="Make what the demo's Slurm clusters need. Needs root.")
    parser.add_argument("--release", choices=list(RELEASES), action="append", help="default: 22.05 and 24.11")
    parser.add_argument("--remove-people", action="store_true", help="remove the accounts and homes instead")
    choice = parser.parse_args()
    try:
        if choice.remove_people:
            remove_people()
            return 0
        for name in choice.release or ("22.05", "24.11"):
            prepare(name)
    except SlurmDemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
