"""Which accounts, QOS and reservations a person may use with a partition, as Slurm decides it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawners.plan import Account
from spawners.slurm.index import Index
from spawners.slurm.models import Association, Partition, Reservation

GroupNames = Callable[[Account], Collection[str] | None]
"""Names of a person's POSIX groups; None where they are not known. No I/O: it is called in the loop."""

AHEAD = timedelta(hours=24)
"""How long before its beginning a reservation may be chosen."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a person may use of one partition.

    ``associations`` are the usable ones, one for each account; None: the cluster does not restrict by
    them. ``closed`` says why nothing is usable, or is empty.
    """

    associations: tuple[Association, ...] | None
    closed: str = ""

    def association(self, account: str | None) -> Association | None:
        """That of an account, or the one that Slurm takes where none is named."""
        found = self.associations or ()
        if account is not None:
            return next((a for a in found if a.account == account), None)
        return next((a for a in found if a.is_default), found[0] if found else None)


def rights_of(index: Index, partition: Partition, person: Account, groups: GroupNames | None) -> Rights:
    """What a person may use. Groups that are not known do not restrict: Slurm has the last word."""
    names = groups(person) if groups is not None else None
    if partition.allowed_groups and names is not None and not set(names) & set(partition.allowed_groups):
        return Rights((), f"Partition {partition.name} is for members of {_or(partition.allowed_groups)}.")
    if not index.knows_people:
        return Rights(None)
    every = index.associations_of(person.name)
    if not every:
        return Rights((), f"{person.name} has no account on this cluster.")
    here = _one_each([a for a in every if a.partition in ("", partition.name)])
    usable = tuple(a for a in here if _takes_account(index, partition, a))
    if not usable:
        return Rights((), f"Partition {partition.name} takes none of the accounts of {person.name}.")
    if not any(qos_of(index, partition, a) for a in usable) and any(a.qos for a in usable):
        return Rights((), f"Partition {partition.name} takes none of the QOS of {person.name}.")
    return Rights(usable)


def _one_each(associations: list[Association]) -> list[Association]:
    """One for each account: that of the partition before the general one, as Slurm takes it."""
    found: dict[str, Association] = {}
    for association in associations:
        if association.account not in found or association.partition:
            found[association.account] = association
    return list(found.values())


def _takes_account(index: Index, partition: Partition, association: Association) -> bool:
    # Since 23.11 AllowAccounts means sub-accounts, too; an older Slurm refuses those at the submit.
    names = {a.account for a in index.lineage(association)}
    if partition.allowed_accounts:
        return bool(names & set(partition.allowed_accounts))
    return association.account not in partition.denied_accounts


def takes_qos(partition: Partition, qos: str) -> bool:
    """Whether a partition takes a QOS (slurm.conf(5): DenyQos does not count beside AllowQos)."""
    if partition.allowed_qos:
        return qos in partition.allowed_qos
    return qos not in partition.denied_qos


def qos_of(index: Index, partition: Partition, association: Association) -> tuple[str, ...]:
    """QOS of an association that the partition takes."""
    return tuple(
        name
        for name in association.qos
        if takes_qos(partition, name) and (not index.qos or name in index.qos)
    )


def default_qos_of(association: Association) -> str | None:
    """QOS that Slurm takes where none is named; None: its ``normal``, or none."""
    if association.default_qos:
        return association.default_qos
    return "normal" if "normal" in association.qos else None


def reservations_of(
    index: Index,
    partition: Partition,
    person: Account,
    accounts: Collection[str],
    groups: GroupNames | None,
    now: datetime,
) -> tuple[Reservation, ...]:
    """Reservations that are on or begin within a day, by their beginning."""
    names = groups(person) if groups is not None else None
    own_nodes = {node.name for node in index.nodes_of[partition.name]}
    found = [
        reservation
        for reservation in index.reservations.values()
        if now < reservation.ends_at
        and reservation.starts_at <= now + AHEAD
        and reservation.partition in ("", partition.name)
        and (not reservation.nodes or own_nodes.intersection(reservation.nodes))
        and may_use(reservation, person.name, accounts, names or ())
    ]
    return tuple(sorted(found, key=lambda r: (r.starts_at, r.name)))


def may_use(reservation: Reservation, user: str, accounts: Collection[str], groups: Collection[str]) -> bool:
    """scontrol(1): where users (or groups) and accounts are named, both must match; ``-`` denies."""
    if not (reservation.users or reservation.accounts or reservation.groups):
        return False
    if reservation.groups and not set(groups) & set(reservation.groups):
        return False
    return _listed(reservation.users, {user}) and _listed(reservation.accounts, set(accounts))


def _listed(names: tuple[str, ...], own: set[str]) -> bool:
    """Whether a list of names, or of names denied, lets one of ``own`` through; an empty list does."""
    denied = {name.removeprefix("-") for name in names if name.startswith("-")}
    if denied:
        return not own or bool(own - denied)
    return not names or bool(own & set(names))


def _or(names: Collection[str]) -> str:
    return " or ".join(sorted(names))
