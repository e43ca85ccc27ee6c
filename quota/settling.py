"""How a hold ends: what ran is charged, the rest is released, and the reports learn of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from quota.holding import is_open
from quota.models import (
    METERED,
    AccountKind,
    EntryKind,
    Resource,
    SettledLine,
    Settlement,
    UnknownHoldError,
)
from quota.standing import Standing
from quota.store import Balance, HoldRecord, NewEntry, Store
from quota.windows import split_by_day


@dataclass(frozen=True, slots=True)
class Measured:
    """What ran, by the backend's own account, and what the entries say of it."""

    charges: Mapping[Resource, int]
    started_at: datetime
    ended_at: datetime
    reason: str


def settle(standing: Standing, store: Store, launch_id: str, measured: Measured, now: datetime) -> Settlement:
    """Close a launch's hold, or tell how it was closed before."""
    holds = store.holds(launch_id)
    if not holds:
        raise UnknownHoldError(launch_id)
    if is_open(holds):
        balances = [standing.take(store, hold.account, hold.resource, now=now) for hold in holds]
        # Read again under the locks: another call may have settled or extended it meanwhile.
        holds = store.holds(launch_id)
        if is_open(holds):
            _check(holds, measured.charges)
            holds = [
                _close(store, hold, balance, measured, now)
                for hold, balance in zip(holds, balances, strict=True)
            ]
            store.add_use(_use_rows(holds, measured, standing.policy.zone))
    return _settlement(holds)


def _check(holds: Sequence[HoldRecord], charges: Mapping[Resource, int]) -> None:
    held = {hold.resource for hold in holds} - {Resource.SESSIONS} | METERED
    for resource, amount in charges.items():
        if amount < 0:
            raise ValueError(f"a charge cannot be negative: {amount} {resource.value}")
        if amount and resource not in held:
            raise ValueError(f"the launch holds no {resource.value} that a charge could be for")


def _close(store: Store, hold: HoldRecord, balance: Balance, measured: Measured, now: datetime) -> HoldRecord:
    charge = measured.charges.get(hold.resource, 0)
    covered = min(charge, hold.amount)
    parts = [
        (EntryKind.CHARGE, -covered, charge),
        (EntryKind.RELEASE, covered - hold.amount, 0),
    ]
    entries = [
        NewEntry(
            account_id=hold.account_id,
            kind=kind,
            held=held,
            used=used,
            launch_id=hold.launch_id,
            actor=hold.username,
            reason=measured.reason,
            at=max(now, balance.span.start),
            key=f"{hold.launch_id}:{kind.value}:{hold.account_id}",
        )
        for kind, held, used in parts
        if held or used
    ]
    store.add_entries(entries)
    store.save(replace(balance, held=balance.held - hold.amount, used=balance.used + charge))
    store.settle_hold(hold, charge, now)
    return replace(hold, charged=charge, settled_at=now)


def _use_rows(holds: Sequence[HoldRecord], measured: Measured, zone: tzinfo) -> list[dict[str, Any]]:
    payers: dict[Resource, HoldRecord] = {}
    for hold in holds:
        # Where a proposal and a person both hold a resource, it was used once: the proposal pays.
        if hold.resource not in payers or hold.account.kind is AccountKind.PROPOSAL:
            payers[hold.resource] = hold
    amounts = {resource: hold.charged or 0 for resource, hold in payers.items()}
    if payer := payers.get(Resource.CPU_SECONDS):
        # Who pays the CPU time is who used the rest of the machine beside it.
        for resource in METERED & measured.charges.keys():
            payers[resource], amounts[resource] = payer, measured.charges[resource]
    return [
        {
            "launch_id": hold.launch_id,
            "resource": resource,
            "day": day,
            "account_id": hold.account_id,
            "username": hold.username,
            "proposal": hold.proposal,
            "amount": amount,
        }
        for resource, hold in payers.items()
        for day, amount in split_by_day(amounts[resource], measured.started_at, measured.ended_at, zone)
    ]


def _settlement(holds: Sequence[HoldRecord]) -> Settlement:
    settled_at = holds[0].settled_at
    assert settled_at is not None
    lines = tuple(SettledLine(hold.account, hold.resource, hold.amount, hold.charged or 0) for hold in holds)
    return Settlement(holds[0].launch_id, settled_at, lines)
