"""From a problem to a refusal on a page: with its meter, and the next steps as buttons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hub.pages.views import Action, Amount, Meter, Refusal
from hub.problems import Problem
from quota.models import AccountKind, Enforcement, Resource
from quota.models import Meter as LedgerMeter


def with_actions(problem: Problem, actions: tuple[Action, ...] = ()) -> Refusal:
    """The refusal of a problem; where quota is the cause, with how much of what."""
    quota = problem.extra.get("quota")
    if not isinstance(quota, dict):
        return Refusal(problem, actions=actions)
    resource = Resource(quota["resource"])
    return Refusal(
        problem,
        meter=_stored_meter(quota, resource),
        asked=Amount(resource, int(quota["asked"])),
        actions=actions,
    )


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


def account_title(kind: str, key: str, *, own: str | None = None) -> str:
    """Whose account, in words: one's own, a proposal's, or another person's."""
    if kind == AccountKind.PROPOSAL.value:
        return f"Proposal {key}"
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
        window="at once" if is_count else _WINDOWS.get(meter.window, meter.window),
        resets_at=meter.resets_at or meter.until,
        forecast=forecast,
    )
