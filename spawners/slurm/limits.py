"""What a person may use of a partition, and whether a plan keeps to it.

Slurm enforces the same at the submit (with ``AccountingStorageEnforce=associations,limits,qos``); here a
person learns it before anything is held, with what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawners.backend import NotAdmittedError, PlaceOffer, ReservationOffer
from spawners.plan import Account, LaunchPlan
from spawners.slurm.caps import Cap, Caps, caps_of, shapes_of
from spawners.slurm.index import Index, index_of
from spawners.slurm.models import Association, Partition
from spawners.slurm.naming import check_account, check_qos, check_reservation
from spawners.slurm.rights import (
    GroupNames,
    Rights,
    default_qos_of,
    qos_of,
    reservations_of,
    rights_of,
    takes_qos,
)
from spawners.slurm.sizes import check_sizes
from spawners.slurm.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class _Choice:
    """An account with a QOS that a person could name, and what it allows."""

    association: Association | None
    qos: str | None
    caps: Caps


def offer_of(
    snapshot: Snapshot,
    partition: str,
    account: Account,
    now: datetime,
    groups: GroupNames | None = None,
) -> PlaceOffer:
    """Accounts, QOS and reservations that a person may name, and the largest session that one of them allows.

    ``groups`` tells a person's group names, for ``AllowGroups`` and for reservations of groups; without it
    the first does not restrict and the second are not offered. A cluster without people in its accounting
    does not restrict by accounts.
    """
    index = index_of(snapshot)
    found = index.partitions.get(partition)
    if found is None:
        return PlaceOffer(why_not=f"The cluster has no partition {partition} at present.")
    if not found.is_up:
        return PlaceOffer(why_not=f"Partition {partition} is closed at present.")
    rights = rights_of(index, found, account, groups)
    if rights.closed:
        return PlaceOffer(why_not=rights.closed)
    shapes = shapes_of(index, found)
    if not shapes or found.max_nodes == 0:
        return PlaceOffer(why_not=f"Partition {partition} has no nodes at present.")
    choices = list(_choices(index, found, rights))
    accounts = tuple(a.account for a in rights.associations or ())
    max_cpus = _least(max(s.cpus for s in shapes), _most(_of(c.caps.cpus) for c in choices))
    memory_mib = max(s.memory_mib for s in shapes)
    max_memory = _least(
        memory_mib if memory_mib > 1 else None,
        _most(_of(c.caps.memory_mib) for c in choices),
        per_cpu * max_cpus if (per_cpu := found.max_memory_per_cpu_mib) and max_cpus else None,
    )
    max_gpus = _least(
        max(sum(s.gpus.values()) for s in shapes),
        _most(_of(c.caps.gpus.get("")) for c in choices),
    )
    wall = _most(_of(c.caps.walltime_s) for c in choices)
    default = rights.association(None)
    qos = tuple(dict.fromkeys(c.qos for c in choices if c.qos))
    return PlaceOffer(
        max_cpus=max_cpus,
        max_memory_mib=max_memory,
        max_gpus=max_gpus,
        max_walltime=timedelta(seconds=wall) if wall is not None else None,
        shapes=shapes,
        accounts=accounts,
        qos=qos,
        reservations=tuple(
            ReservationOffer(r.name, r.starts_at, r.ends_at)
            for r in reservations_of(index, found, account, accounts, groups, now)
        ),
        default_account=default.account if default else None,
        default_qos=_default_qos(default, qos),
    )


def _choices(index: Index, partition: Partition, rights: Rights) -> Iterator[_Choice]:
    if rights.associations is None:
        for name in (None, *(name for name in index.qos if takes_qos(partition, name))):
            yield _Choice(None, name, caps_of(index, partition, None, name))
        return
    for association in rights.associations:
        for name in qos_of(index, partition, association) or (None,):
            yield _Choice(association, name, caps_of(index, partition, association, name))


def _default_qos(association: Association | None, usable: tuple[str, ...]) -> str | None:
    default = default_qos_of(association) if association else None
    return default if default in usable else next(iter(usable), None) if association else None


def _of(cap: Cap | None) -> int | None:
    return cap.most if cap is not None else None


def _most(limits: Iterable[int | None]) -> int | None:
    """The largest of several limits of which one may be chosen; None: one of them is none."""
    found = list(limits)
    known = [limit for limit in found if limit is not None]
    return max(known) if found and len(known) == len(found) else None


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def check_plan(
    snapshot: Snapshot,
    partition: str,
    plan: LaunchPlan,
    now: datetime,
    groups: GroupNames | None = None,
) -> None:
    """Refuse what Slurm would refuse, or would let wait for ever.

    What others use at the moment is no reason: that is a queue.

    Raises
    ------
    NotAdmittedError
        With what is limited, the limit, what was asked and the next step. An account, QOS or reservation
        that does not exist and one of somebody else have the same text.
    """
    index = index_of(snapshot)
    found = index.partitions.get(partition)
    if found is None or not found.is_up:
        what = "is closed" if found else "is not there"
        raise NotAdmittedError(
            "place_closed", f"Partition {partition} {what} at present.", "Choose another place, or try later."
        )
    rights = rights_of(index, found, plan.account, groups)
    if rights.closed:
        raise NotAdmittedError(
            "place_not_allowed", rights.closed, "Choose another place, or ask the operators for access."
        )
    association = check_account(index, found, rights, plan)
    qos = check_qos(index, found, rights, association, plan)
    reservation = check_reservation(index, found, rights, association, plan, groups, now)
    caps = caps_of(index, found, association, qos)

    def elsewhere(passes: Callable[[Caps], bool]) -> str:
        """Other choices of the person that would allow it."""
        names = [
            f"QOS {c.qos}"
            for c in _choices(index, found, rights)
            if c.association == association and c.qos and c.qos != qos and passes(c.caps)
        ] or [
            f"account {c.association.account}"
            for c in _choices(index, found, rights)
            if c.association and c.association != association and passes(c.caps)
        ]
        return f", or {' or '.join(dict.fromkeys(names))}" if names else ""

    check_sizes(found, shapes_of(index, found, reservation), caps, plan, elsewhere)
