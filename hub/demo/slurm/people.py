"""POSIX accounts of the demo: its people, a group for each proposal, and the cluster's own users.

As a facility has them: uids are the same on all machines, homes are private, and the members of a
proposal share its group. An account that already exists and is not ours is never touched; ours
carry `MARK` in their comment field. They stay after a cluster has stopped, since clusters share
them; `remove_people` removes them.
"""

from __future__ import annotations

import grp
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hub.demo.facility import proposal_teams
from hub.demo.locks import locked
from hub.demo.people import PEOPLE
from hub.demo.slurm.release import SlurmDemoError

SITE = Path("/var/lib/panhub-demo")
"""What all nodes share: homes and environments. One folder, since an account has one home."""

MARK = "PaNHub demo"
"""Comment (GECOS) of the accounts that are ours."""

SERVICE_ACCOUNT = "panhub"
"""Asks Slurm about all sessions' jobs (its operator); starts none."""

SLURM_USER = "panhub-slurm"
"""Runs slurmctld, slurmdbd, munged and MariaDB. Debian's ``slurm`` may not exist here."""

REST_USER = "panhub-rest"
"""Runs slurmrestd, which refuses to run as root or as `SLURM_USER`."""

GATEWAY_USER = "panhub-gateway"
"""Runs the token gateway."""

_LOCK = (Path("/run"), "panhub-demo-people")
"""useradd does not wait for another one: it fails."""

FIRST_UID = 20001
FIRST_GID = 21001


@dataclass(frozen=True, slots=True)
class PosixPeople:
    """Who there is: usernames, and the members of each proposal's group among them."""

    usernames: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    homes: Path

    def home(self, username: str) -> Path:
        """Home folder of a person."""
        return self.homes / username


def demo_people(site: Path = SITE) -> PosixPeople:
    """People of the demo with the teams of its proposals; makes nothing."""
    by_user_id = {person.user_id: person.username for person in PEOPLE}
    groups = {
        proposal: tuple(by_user_id[user_id] for user_id in team if user_id in by_user_id)
        for proposal, team in proposal_teams().items()
    }
    return PosixPeople(tuple(person.username for person in PEOPLE), groups, site / "homes")


def make_people(site: Path = SITE) -> PosixPeople:
    """Make the accounts, groups and homes that are missing. Needs root.

    Raises
    ------
    SlurmDemoError
        If a name or number is taken by something that is not ours.
    """
    people = demo_people(site)
    with locked(*_LOCK):
        _make_folder(site)
        _make_folder(people.homes)
        for name in (SERVICE_ACCOUNT, SLURM_USER, REST_USER, GATEWAY_USER):
            _make_system_account(name)
        for number, name in enumerate(people.usernames):
            _make_person(name, FIRST_UID + number, people.home(name))
        for number, (name, members) in enumerate(people.groups.items()):
            _make_group(name, FIRST_GID + number, members)
    return people


def remove_people(site: Path = SITE) -> None:
    """Remove what `make_people` made, homes included. No cluster may run."""
    people = demo_people(site)
    with locked(*_LOCK):
        for name in (*people.usernames, SERVICE_ACCOUNT, SLURM_USER, REST_USER, GATEWAY_USER):
            if (entry := _account(name)) is not None and entry.pw_gecos == MARK:
                _run("userdel", name)
        for number, name in enumerate(people.groups):
            if (group := _group(name)) is not None and group.gr_gid == FIRST_GID + number:
                _run("groupdel", name)
        shutil.rmtree(people.homes, ignore_errors=True)


def _make_system_account(name: str) -> None:
    if _is_ours(name):
        return
    words = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    _run("useradd", *words, "--shell", "/usr/sbin/nologin", "--comment", MARK, name)


def _make_person(name: str, uid: int, home: Path) -> None:
    if not _is_ours(name):
        _run("groupadd", "--gid", str(uid), name)
        words = ["--uid", str(uid), "--gid", str(uid), "--no-create-home", "--home-dir", str(home)]
        _run("useradd", *words, "--shell", "/bin/bash", "--comment", MARK, name)
    elif (entry := pwd.getpwnam(name)).pw_dir != str(home):
        raise SlurmDemoError(
            f"The home of {name} is {entry.pw_dir}: the accounts were made for another site."
        )
    if not home.exists():
        home.mkdir(mode=0o700)
        shutil.chown(home, uid, uid)


def _make_group(name: str, gid: int, members: tuple[str, ...]) -> None:
    group = _group(name)
    if group is None:
        _run("groupadd", "--gid", str(gid), name)
    elif group.gr_gid != gid:
        raise SlurmDemoError(
            f"There is a group {name} already (gid {group.gr_gid}), which is not the demo's."
        )
    if group is None or set(group.gr_mem) != set(members):
        _run("gpasswd", "--members", ",".join(members), name)


def _is_ours(name: str) -> bool:
    """Whether the account exists.

    Raises
    ------
    SlurmDemoError
        If it exists and is not the demo's.
    """
    entry = _account(name)
    if entry is None:
        return False
    if entry.pw_gecos != MARK:
        raise SlurmDemoError(f"There is an account {name} already (uid {entry.pw_uid}), not the demo's.")
    return True


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def _make_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SlurmDemoError(f"{command[0]} {command[-1]}: {done.stderr.strip()}")
