"""Lets the demo's people read their data: ACLs on the storage, made from the access decisions.

The data view of a session shows only what its plan grants, but a job that somebody submits from
inside runs outside of any view: there, these permissions are the last line. Blocking; needs root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from hub.access.decision import decide
from hub.access.policy import AccessPolicy
from hub.access.rights import Right, Subject
from hub.catalogue.files import load
from hub.catalogue.index import Index
from hub.catalogue.layout import ESRF_V3, AreaKind
from hub.catalogue.models import Investigation
from hub.demo.people import PEOPLE
from hub.demo.slurm.release import SlurmDemoError

_BITS = {Right.READ: "rX", Right.WRITE: "rwX"}


def share_data(
    data_root: Path, catalogue: Path, now: datetime, *, names: Mapping[str, str] | None = None
) -> None:
    """Give each of the demo's people what the access table gives them, and nobody else anything.

    ``names`` says how setfacl(1) calls them; by default by their accounts of this machine.

    Raises
    ------
    SlurmDemoError
        If setfacl(1) is missing or refuses.
    """
    index = load(catalogue)
    policy = AccessPolicy()
    for folder in (data_root.parent, data_root):
        folder.chmod(0o755)
    for investigation in index.investigations.values():
        root = data_root / investigation.root
        for folder in (root, *root.parents):
            if folder == data_root:
                break
            folder.chmod(0o755)
        for area in ESRF_V3.areas:
            if (root / area.name).is_dir():
                rights = _rights(index, investigation, area.kind, now, policy)
                entries = [f"u:{(names or {}).get(name, name)}:{bits}" for name, bits in rights]
                _set_acl(root / area.name, entries)


def _rights(
    index: Index, investigation: Investigation, kind: AreaKind, now: datetime, policy: AccessPolicy
) -> Iterator[tuple[str, str]]:
    for person in PEOPLE:
        instruments = frozenset(found.id for found in index.instruments_of.get(person.user_id, ()))
        subject = Subject(person.user_id, scientist_of=instruments)
        right = decide(subject, investigation, now=now, policy=policy).right(kind)
        if right is not Right.NONE:
            yield person.username, _BITS[right]


def _set_acl(folder: Path, entries: list[str]) -> None:
    """Set the entries on all below, and as the default for what comes later."""
    spec = ["u::rwX", "g::-", "o::-", "m::rwX", *entries]
    both = ",".join([*spec, *(f"d:{entry}" for entry in spec)])
    command = ["setfacl", "--recursive", "--physical", "--set", both, str(folder)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise SlurmDemoError(f"setfacl cannot be run ({error}): install the package acl.") from error
    if done.returncode != 0:
        raise SlurmDemoError(f"The data could not be shared: {done.stderr.strip()[:300]}")
