"""The launch path's book-keeping: from a launch to lines of the ledger and back.

The ledger knows accounts and amounts, not sessions of a hub; this is where one is told in words
of the other, and where a refusal of the ledger becomes one that a person can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.identity import persons
from hub.identity.models import Person
from hub.launch import refusals
from hub.launch.store import Launch
from hub.problems import Problem, RequestError
from quota.ledger import Ledger
from quota.models import (
    AccountKind,
    AccountRef,
    ExtensionUndoneError,
    HoldConflictError,
    Holder,
    HoldLine,
    Meter,
    Preview,
    QuotaExceededError,
    Resource,
)
from spawners.backend import Usage
from spawners.plan import LaunchId, Size

_UNITS = {
    Resource.CPU_SECONDS: ("CPU-hours", 3600),
    Resource.GPU_SECONDS: ("GPU-hours", 3600),
    Resource.SESSIONS: ("sessions at once", 1),
}


_HAS = {
    AccountKind.PERSON: "You have",
    AccountKind.PROPOSAL: "Proposal {} has",
    AccountKind.FACILITY: "The facility's account {} has",
}


def holder_of(person: Person) -> Holder:
    """The person as the ledger's role defaults see them."""
    return Holder(person.username, person.groups, frozenset(role.value for role in person.roles))


def hold_lines(payer: AccountRef, username: str, size: Size, walltime: timedelta) -> tuple[HoldLine, ...]:
    """What a launch holds: the worst case of time from the payer, one session from the person."""
    seconds = int(walltime.total_seconds())
    lines = [HoldLine(payer, Resource.CPU_SECONDS, size.cpus * seconds)]
    if size.gpus:
        lines.append(HoldLine(payer, Resource.GPU_SECONDS, size.gpus * seconds))
    lines.append(HoldLine(AccountRef(AccountKind.PERSON, username), Resource.SESSIONS, 1))
    return tuple(lines)


def stored_lines(launch: Launch) -> tuple[HoldLine, ...]:
    """Hold lines of a planned launch."""
    return tuple(
        HoldLine(AccountRef(AccountKind(raw["kind"]), raw["key"]), Resource(raw["resource"]), raw["amount"])
        for raw in launch.holds or ()
    )


class Books:
    """Holds, charges and releases of launches. Every method runs inside the caller's transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def has_allocation(self, session: Session, account: AccountRef, now: datetime) -> bool:
        """Whether CPU time was given to an account, so that it can pay."""
        return self.ledger.has_allocation(session, account, Resource.CPU_SECONDS, now=now)

    def preview(
        self, session: Session, lines: Sequence[HoldLine], person: Person, now: datetime
    ) -> list[Preview]:
        """What a hold would meet."""
        return self.ledger.preview(session, lines, now=now, holder=holder_of(person))

    def check(self, session: Session, lines: Sequence[HoldLine], person: Person, now: datetime) -> None:
        """Refuse what a hold would be refused for now; nothing is written.

        Raises
        ------
        RequestError
            ``quota_exceeded``.
        """
        for preview in self.preview(session, lines, person, now):
            if preview.is_refused:
                raise quota_refusal(preview.meter, preview.asked)

    def hold(self, session: Session, launch: Launch, now: datetime) -> None:
        """Hold all lines of a planned launch.

        Raises
        ------
        RequestError
            ``quota_exceeded``; nothing is held.
        """
        person = persons.by_id(session, launch.person_id)
        assert person is not None, "a launch belongs to a person"
        try:
            self.ledger.hold(
                session,
                launch.id,
                stored_lines(launch),
                holder=holder_of(person),
                now=now,
                proposal=launch.proposal,
            )
        except QuotaExceededError as error:
            raise quota_refusal(error.meter, error.asked) from error

    def extend(self, session: Session, launch: Launch, seconds: int, key: str, now: datetime) -> bool:
        """Hold ``seconds`` more of what is used up; False if this key did so before.

        Raises
        ------
        RequestError
            ``quota_exceeded``; the hold stays as it was. ``extend_refused`` where its key was undone.
        """
        assert launch.plan is not None
        size = launch.launch_plan().size
        factors = {Resource.CPU_SECONDS: size.cpus, Resource.GPU_SECONDS: size.gpus}
        lines = [
            HoldLine(line.account, line.resource, factors[line.resource] * seconds)
            for line in stored_lines(launch)
            if line.resource in factors
        ]
        before = self.ledger.holding(session, launch.id)
        try:
            after = self.ledger.extend(session, launch.id, key, lines, now=now)
        except QuotaExceededError as error:
            raise quota_refusal(error.meter, error.asked) from error
        except ExtensionUndoneError as error:
            raise refusals.extend_refused("the place refused this extension before.") from error
        except HoldConflictError as error:
            # It was settled meanwhile: the session is over.
            raise refusals.not_running() from error
        return before is None or after.lines != before.lines

    def was_extended(self, session: Session, launch_id: LaunchId, key: str) -> bool:
        """Whether this key has extended the launch before, or tried to."""
        return self.ledger.has_extension(session, launch_id, key)

    def undo_extension(self, session: Session, launch_id: LaunchId, key: str, now: datetime) -> None:
        """Give back what an extension holds that its place has refused."""
        self.ledger.undo_extension(session, launch_id, key, now=now)

    def settle(self, session: Session, launch: Launch, usage: Usage, now: datetime) -> None:
        """Charge what ran and release the rest; a second call changes nothing."""
        charges = {
            Resource.CPU_SECONDS: usage.elapsed_seconds * usage.cpus,
            Resource.MIB_SECONDS: usage.elapsed_seconds * usage.memory_mib,
        }
        if usage.gpus:
            charges[Resource.GPU_SECONDS] = usage.elapsed_seconds * usage.gpus
        self.ledger.settle(
            session,
            launch.id,
            charges,
            now=now,
            started_at=usage.started_at,
            ended_at=usage.ended_at,
            reason="measured by the backend",
        )

    def release(self, session: Session, launch: Launch, now: datetime) -> None:
        """Give back what a launch of which nothing ran holds, if anything."""
        self.release_id(session, launch.id, now)

    def release_id(self, session: Session, launch_id: LaunchId, now: datetime) -> None:
        """Give back what a launch holds, if anything."""
        self.ledger.release(session, launch_id, now=now, reason="nothing ran")

    def open_launches(self, session: Session) -> list[LaunchId]:
        """Launches that hold something."""
        return [LaunchId(holding.launch_id) for holding in self.ledger.open_holds(session)]


def quota_refusal(meter: Meter, asked: int) -> RequestError:
    """Refusal that says what, how much, and when it frees."""
    unit, factor = _UNITS[meter.resource]
    whose = _HAS[meter.account.kind].format(meter.account.key)
    left = max(0, meter.left or 0)
    if meter.limit is None or meter.limit == 0:
        detail = f"{whose} no allocation of {unit}; this session would hold {_number(asked / factor)}."
    elif meter.resource is Resource.SESSIONS:
        one = meter.limit == 1
        said = "1 session at once, and it is" if one else f"{meter.limit} {unit}, and they are all"
        detail = f"{whose} {said} in use."
    else:
        detail = (
            f"This session would hold {_number(asked / factor)} {unit}, and {whose[0].lower()}{whose[1:]} "
            f"{_number(left / factor)} of {_number(meter.limit / factor)} left."
        )
    hint = "Stop a session that you no longer need, or wait until one ends."
    if meter.resource is not Resource.SESSIONS:
        hint = "Take a smaller size or a shorter time, or ask the operators for more."
        if meter.resets_at is not None:
            hint = f"It counts from zero again on {meter.resets_at:%d %b %Y at %H:%M} UTC. {hint}"
    quota = {
        "account_kind": meter.account.kind.value,
        "account": meter.account.key,
        "resource": meter.resource.value,
        "asked": asked,
        "limit": meter.limit,
        "used": meter.used,
        "held": meter.held,
        "left": meter.left,
        "window": meter.window,
        "resets_at": meter.resets_at.isoformat() if meter.resets_at else None,
    }
    return RequestError(
        Problem("quota_exceeded", 429, "Not enough quota left", detail, hint, extra={"quota": quota})
    )


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
