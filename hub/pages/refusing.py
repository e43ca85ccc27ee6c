"""From a problem to a refusal on a page: with its meter, what uses it up, and next steps as buttons."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from hub.launch.ledgering import stored_lines
from hub.launch.store import Launch
from hub.pages.views import Action, Amount, Meter, Refusal, SessionUse
from hub.problems import Problem
from quota.models import AccountKind, AccountRef, Enforcement, Resource
from quota.models import Meter as LedgerMeter


def with_actions(problem: Problem, actions: tuple[Action, ...] = (), live: Iterable[Launch] = ()) -> Refusal:
    """The refusal of a problem; where quota is the cause, with how much of what.

    ``live`` are the sessions of whoever looks: those that use up what is refused are named.
    """
    quota = problem.extra.get("quota")
    if not isinstance(quota, dict):
        return Refusal(problem, actions=actions)
    resource = Resource(quota["resource"])
    return Refusal(
        problem,
        meter=_stored_meter(quota, resource),
        asked=Amount(resource, int(quota["asked"])),
        using=_using(AccountRef(AccountKind(quota["account_kind"]), quota["account"]), resource, live),
        actions=actions,
    )


def _using(account: AccountRef, resource: Resource, live: Iterable[Launch]) -> tuple[SessionUse, ...]:
    """Sessions that hold some of an account's resource."""
    held = [(launch, _held(launch, account, resource)) for launch in live]
    return tuple(
        SessionUse(launch.id, title_of(launch), Amount(resource, amount), launch.deadline)
        for launch, amount in held
        if amount
    )


def _held(launch: Launch, account: AccountRef, resource: Resource) -> int:
    """What a launch holds of an account, extensions included (the stored lines are of its start)."""
    amount = sum(x.amount for x in stored_lines(launch) if (x.account, x.resource) == (account, resource))
    if not amount or resource is Resource.SESSIONS:
        return amount
    plan = launch.launch_plan()
    share = plan.size.gpus if resource is Resource.GPU_SECONDS else plan.size.cpus
    return share * int(plan.walltime.total_seconds())


def _stored_meter(quota: dict[str, Any], resource: Resource) -> Meter:
    resets = quota.get("resets_at")
    return Meter(
        title=account_title(quota["account_kind"], quota["account"]),
        resource=resource,
        limit=quota["limit"],
        used=quota["used"],
        held=quota["held"],
        window=quota.get("window", ""),
        resets_at=datetime.fromisoformat(resets) if resets else None,
    )


def title_of(launch: Launch) -> str:
    """Name of a session as people know it; the server's name only where they chose it themselves."""
    return launch.display_name or (launch.server_name if launch.origin == "hub" else "A session")


_ACCOUNTS = {AccountKind.PROPOSAL.value: "Proposal", AccountKind.FACILITY.value: "Facility account"}


def account_title(kind: str, key: str, *, own: str | None = None) -> str:
    """Whose account, in words: one's own, a proposal's, the facility's, or another person's."""
    if kind in _ACCOUNTS:
        return f"{_ACCOUNTS[kind]} {key}"
    return "Yours" if own in (None, key) else key


_WINDOWS = {"none": "", "day": "per day", "week": "per week", "month": "per month"}


def meter_view(meter: LedgerMeter, *, own: str | None = None, forecast: datetime | None = None) -> Meter:
    """A meter of the ledger as pages show it."""
    is_count = meter.resource is Resource.SESSIONS
    return Meter(
        title=account_title(meter.account.kind.value, meter.account.key, own=own),
        resource=meter.resource,
        limit=meter.limit,
        used=meter.used,
        held=meter.held,
        enforcement=Enforcement(meter.enforcement),
        window="at the same time" if is_count else _WINDOWS.get(meter.window, meter.window),
        resets_at=meter.resets_at or meter.until,
        forecast=forecast,
    )
