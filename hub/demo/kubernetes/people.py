"""Accounts of the demo's people in pods: numbers of a table in the settings, not accounts of this machine.

The numbers are those of the demo on Slurm. A pod has its own names, so the machine needs none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hub.demo.slurm.people import FIRST_GID, FIRST_UID, demo_people


def account_table(homes: Path) -> dict[str, dict[str, Any]]:
    """Entries of ``identity.accounts.accounts``: a uid each, and the groups of their proposals."""
    people = demo_people()
    gids = {name: FIRST_GID + number for number, name in enumerate(people.groups)}
    return {
        username: {
            "uid": FIRST_UID + number,
            "gid": FIRST_UID + number,
            "home": str(homes / username),
            "groups": [gids[name] for name, members in people.groups.items() if username in members],
        }
        for number, username in enumerate(people.usernames)
    }


def make_homes(homes: Path) -> None:
    """Make the homes that are missing, each for its person alone. Needs root; blocking."""
    homes.mkdir(exist_ok=True)
    homes.chmod(0o755)
    for entry in account_table(homes).values():
        home = Path(entry["home"])
        if not home.exists():
            home.mkdir(mode=0o700)
            os.chown(home, entry["uid"], entry["gid"])


def numbers() -> dict[str, str]:
    """The uid of each person as setfacl(1) takes it."""
    return {name: str(FIRST_UID + number) for number, name in enumerate(demo_people().usernames)}
