"""May a person name this account, this QOS, this reservation here?

What does not exist and what belongs to somebody else get the same answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spawners.backend import NotAdmittedError
from spawners.plan import LaunchPlan
from spawners.slurm.index import Index
from spawners.slurm.models import Association, Partition, Reservation
from spawners.slurm.rights import (
    AHEAD,
    GroupNames,
    Rights,
    default_qos_of,
    may_use,
    qos_of,
    takes_qos,
)
from spawners.slurm.words import one_of, span


def check_account(index: Index, partition: Partition, rights: Rights, plan: LaunchPlan) -> Association | None:
    """Association of the account that Slurm will take; None: the cluster does not restrict by them."""
    if rights.associations is None:
        return None
    names = [a.account for a in rights.associations]
    named = plan.scheduling.account
    if named is not None and named not in names:
        raise NotAdmittedError(
            "account_unknown",
            f"There is no account {named} that {plan.account.name} may use with partition {partition.name}.",
            f"Choose {one_of(names)}, or leave the account out.",
        )
    if named is None:
        every = index.associations_of(plan.account.name)
        default = next((a.account for a in every if a.is_default), None)
        if default is not None and default not in names:
            raise NotAdmittedError(
                "place_not_allowed",
                f"Partition {partition.name} does not take {plan.account.name}'s default account {default}.",
                f"Name an account: {one_of(names)}.",
            )
    return rights.association(named)


def check_qos(
    index: Index, partition: Partition, rights: Rights, association: Association | None, plan: LaunchPlan
) -> str | None:
    """QOS that Slurm will take; None: none that is known here."""
    named = plan.scheduling.qos
    if association is None:
        usable = tuple(name for name in index.qos if takes_qos(partition, name))
        if named is not None and index.qos and named not in usable:
            raise _qos_unknown(partition, plan, named, usable)
        return named
    usable = qos_of(index, partition, association)
    if named is None:
        default = default_qos_of(association)
        if default is not None and not takes_qos(partition, default):
            raise NotAdmittedError(
                "place_not_allowed",
                f"Partition {partition.name} does not take {plan.account.name}'s default QOS {default}.",
                f"Name a QOS: {one_of(usable)}." if usable else "Choose another place.",
            )
        return default
    if named not in usable:
        others = [
            a.account
            for a in rights.associations or ()
            if a != association and named in qos_of(index, partition, a)
        ]
        if others:
            raise NotAdmittedError(
                "qos_unknown",
                f"QOS {named} does not go with account {association.account}.",
                f"Choose account {one_of(others)} with it.",
            )
        raise _qos_unknown(partition, plan, named, usable)
    return named


def _qos_unknown(
    partition: Partition, plan: LaunchPlan, named: str, usable: tuple[str, ...]
) -> NotAdmittedError:
    return NotAdmittedError(
        "qos_unknown",
        f"There is no QOS {named} that {plan.account.name} may use with partition {partition.name}.",
        f"Choose {one_of(usable)}, or leave the QOS out." if usable else "Leave the QOS out.",
    )


def check_reservation(
    index: Index,
    partition: Partition,
    rights: Rights,
    association: Association | None,
    plan: LaunchPlan,
    groups: GroupNames | None,
    now: datetime,
) -> Reservation | None:
    """Reservation that the plan names, if the session fits into its time."""
    named = plan.scheduling.reservation
    if named is None:
        return None
    found = index.reservations.get(named)
    accounts = [a.account for a in rights.associations or ()]
    names = (groups(plan.account) if groups is not None else None) or ()
    if found is None or not may_use(found, plan.account.name, accounts, names):
        raise NotAdmittedError(
            "reservation_unknown",
            f"There is no reservation {named} that {plan.account.name} may use.",
            "Leave the reservation out, or ask your local contact for its name.",
        )
    _check_place(index, partition, found)
    if association is not None and not may_use(found, plan.account.name, [association.account], names):
        raise NotAdmittedError(
            "place_not_allowed",
            f"Reservation {named} is not for account {association.account}.",
            f"Choose {one_of([a for a in accounts if may_use(found, plan.account.name, [a], names)])}.",
        )
    _check_time(found, plan.walltime, now)
    return found


def _check_place(index: Index, partition: Partition, reservation: Reservation) -> None:
    nodes = {node.name for node in index.nodes_of[partition.name]}
    is_here = reservation.partition in ("", partition.name)
    if not is_here or (reservation.nodes and not nodes.intersection(reservation.nodes)):
        raise NotAdmittedError(
            "place_not_allowed",
            f"Reservation {reservation.name} has no nodes of partition {partition.name}.",
            "Choose the place that it was made for.",
        )


def _check_time(reservation: Reservation, walltime: timedelta, now: datetime) -> None:
    if now >= reservation.ends_at:
        raise NotAdmittedError(
            "place_limit",
            f"Reservation {reservation.name} ended at {_at(reservation.ends_at)}.",
            "Leave the reservation out.",
        )
    if reservation.starts_at > now + AHEAD:
        raise NotAdmittedError(
            "place_limit",
            f"Reservation {reservation.name} begins only at {_at(reservation.starts_at)}.",
            f"Start from {_at(reservation.starts_at - AHEAD)} on, or leave the reservation out.",
        )
    left = reservation.ends_at - max(now, reservation.starts_at)
    if walltime > left:
        # Slurm ends jobs with their reservation (ResvOverRun is 0 by default).
        raise NotAdmittedError(
            "place_limit",
            f"Reservation {reservation.name} ends at {_at(reservation.ends_at)}, which leaves {span(left)}; "
            f"asked were {span(walltime)}.",
            f"Choose at most {span(left)}, or leave the reservation out.",
        )


def _at(moment: datetime) -> str:
    return f"{moment:%d %b %Y %H:%M} UTC"
