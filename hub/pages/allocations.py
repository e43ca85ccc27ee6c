"""Editing allocations: in place, with a reason, a preview, and a record of who did it."""

from __future__ import annotations

import math
import secrets
from datetime import datetime

from sqlalchemy.orm import Session

from hub.launch.news import utcnow
from hub.pages.base import PageHandler
from hub.pages.format import number
from hub.pages.refusing import account_title, meter_view
from hub.pages.usageviews import AllocationEdit, AllocationRow, AuditRow
from hub.problems import Problem, RequestError
from quota.ledger import Ledger
from quota.listing import known_accounts, newest_entries
from quota.models import AccountKind, AccountRef, EntryKind, Meter, Resource, Window
from quota.standing import SITE

_SHORT = {Resource.CPU_SECONDS: "cpu", Resource.GPU_SECONDS: "gpu", Resource.SESSIONS: "sessions"}
_RESOURCES = {short: resource for resource, short in _SHORT.items()}
_UNITS = {
    Resource.CPU_SECONDS: ("CPU-hours", 3600),
    Resource.GPU_SECONDS: ("GPU-hours", 3600),
    Resource.SESSIONS: ("sessions", 1),
}
_MOST = 1e7


def allocation_key(meter: Meter) -> str:
    """Name of an allocation in addresses."""
    return f"{meter.account.kind.value}:{meter.account.key}:{_SHORT[meter.resource]}"


def parse_key(key: str) -> tuple[AccountRef, Resource]:
    """Account and resource of a name.

    Raises
    ------
    RequestError
        ``allocation_unknown`` (404).
    """
    kind, _, rest = key.partition(":")
    name, _, short = rest.rpartition(":")
    if kind not in {k.value for k in AccountKind} or short not in _RESOURCES or not name:
        raise _unknown()
    return AccountRef(AccountKind(kind), name), _RESOURCES[short]


def _unknown() -> RequestError:
    return RequestError(
        Problem(
            "allocation_unknown",
            404,
            "No such allocation",
            "There is no such account.",
            "Go back to Operate.",
        )
    )


def allocation_rows(session: Session, ledger: Ledger, now: datetime) -> tuple[AllocationRow, ...]:
    """All accounts that were given or have used something."""
    accounts = known_accounts(session, ledger.policy)
    return tuple(_row(meter) for meter in ledger.meters(session, accounts, now=now))


def _row(meter: Meter) -> AllocationRow:
    return AllocationRow(
        key=allocation_key(meter),
        account=meter.account.key,
        kind=meter.account.kind.value,
        meter=meter_view(meter, own=""),
    )


def audit_rows(session: Session) -> tuple[AuditRow, ...]:
    """The newest changes by operators."""
    kinds = (EntryKind.ALLOCATION, EntryKind.ADJUSTMENT)
    rows = []
    for entry in newest_entries(session, kinds, not_by=SITE):
        unit, factor = _UNITS[entry.resource]
        what = f"{account_title(entry.account.kind.value, entry.account.key, own='')}: "
        change = entry.given if entry.kind is EntryKind.ALLOCATION else -entry.used
        rows.append(AuditRow(entry.at, entry.actor, f"{what}{change / factor:+g} {unit}", entry.reason))
    return tuple(rows)


class AllocationHandler(PageHandler):
    """What form, preview and change share."""

    async def form(self, key: str) -> AllocationEdit:
        """The form as it opens, with the limit as it is."""
        account, resource = parse_key(key)
        meter = await self.app.db.run(lambda s: _meter(s, self.app.books.ledger, account, resource))
        _, factor = _UNITS[resource]
        text = "" if meter.limit is None else f"{meter.limit / factor:g}"
        return AllocationEdit(_row(meter), limit_text=text)

    async def edit(self, key: str, *, limit: str, reason: str, is_preview: bool = False) -> AllocationEdit:
        """The form after something was typed, with its preview or with what is wrong in it.

        A preview may lack its reason yet.
        """
        account, resource = parse_key(key)
        meter = await self.app.db.run(lambda s: _meter(s, self.app.books.ledger, account, resource))
        row = _row(meter)
        unit, factor = _UNITS[resource]
        edit = AllocationEdit(row, limit_text=limit, reason=reason)
        error = _error(limit, resource) or ("" if is_preview else _lack_of_reason(reason))
        if error:
            return AllocationEdit(row, limit_text=limit, reason=reason, error=error)
        if limit == "":
            effect = ("What operators gave is withdrawn; the site's own rule counts again.",)
            return AllocationEdit(row, limit_text=limit, reason=reason, effects=effect)
        amount = round(float(limit) * factor)
        effects = _effects(meter, amount, unit, factor)
        return AllocationEdit(edit.row, limit, reason, new_limit=amount, effects=effects)


def _meter(session: Session, ledger: Ledger, account: AccountRef, resource: Resource) -> Meter:
    found = [m for m in ledger.meters(session, [account], now=utcnow()) if m.resource is resource]
    if not found:
        raise _unknown()
    return found[0]


def _error(limit: str, resource: Resource) -> str:
    if limit:
        try:
            value = float(limit)
        except ValueError:
            return "A limit is a number."
        if not math.isfinite(value) or not 0 <= value <= _MOST:
            return "A limit is between 0 and ten million."
        if resource is Resource.SESSIONS and value % 1:
            return "Sessions are whole."
    return ""


def _lack_of_reason(reason: str) -> str:
    return "Say why: the reason is kept with the change." if len(reason.strip()) < 3 else ""


def _effects(meter: Meter, amount: int, unit: str, factor: int) -> tuple[str, ...]:
    taken = meter.used + meter.held
    before = "nothing" if meter.limit is None else number(meter.limit / factor)
    effects = [
        f"The limit changes from {before} to {number(amount / factor)} {unit}.",
        f"{number(max(0, amount - taken) / factor)} {unit} are left then.",
    ]
    if taken > amount:
        effects.append("More than that is used or held already: running sessions go on, new ones wait.")
    else:
        effects.append("No running session is affected.")
    return tuple(effects)


class AllocationPart(AllocationHandler):
    """``/parts/allocations/{key}``"""

    async def get(self, key: str) -> None:
        """The form."""
        self.require_operator()
        self.show("parts/allocation.html", edit=await self.form(key))

    async def post(self, key: str) -> None:
        """The preview; nothing is changed."""
        self.require_operator()
        limit, reason = self.get_body_argument("limit", ""), self.get_body_argument("reason", "")[:500]
        edit = await self.edit(key, limit=limit, reason=reason, is_preview=True)
        self.show("parts/allocation.html", edit=edit)


class ChangeAllocation(AllocationHandler):
    """``/operate/allocations/{key}``"""

    async def post(self, key: str) -> None:
        """Change it, and keep who did and why."""
        self.require_operator()
        limit = self.get_body_argument("limit", "")
        reason = self.get_body_argument("reason", "")[:500].strip()
        edit = await self.edit(key, limit=limit, reason=reason)
        if edit.error:
            raise RequestError(
                Problem("allocation_invalid", 400, "Not changed", edit.error, "Go back and correct it.")
            )
        account, resource = parse_key(key)
        amount = edit.new_limit

        def give(session: Session) -> None:
            meter = _meter(session, self.app.books.ledger, account, resource)
            window = Window(meter.window) if meter.window in {w.value for w in Window} else Window.NONE
            self.app.books.ledger.give(
                session,
                account,
                resource,
                amount,
                actor=self.person.username,
                reason=reason,
                key=secrets.token_hex(8),
                now=utcnow(),
                window=window,
                enforcement=meter.enforcement,
                until=meter.until,
            )

        await self.app.db.run(give)
        self.to("operate")
