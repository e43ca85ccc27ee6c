"""What does the site give to whom? The ``quota`` section of its configuration.

Four lists: to every member of a group or role, to named proposals, to named persons, and to accounts
of the facility's own, which places may name as their payer. What an
operator gives on the page comes before all of them (`quota.ledger.Ledger.give`); then a person's
own line counts before those of roles, and of several roles the most generous one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from quota.models import (
    METERED,
    AccountKind,
    AccountRef,
    Enforcement,
    Holder,
    Limit,
    Resource,
    Source,
    Window,
)
from quota.windows import midnight

ResourceName = Literal["cpu_hours", "gpu_hours", "sessions"]

_RESOURCES: dict[ResourceName, tuple[Resource, int]] = {
    "cpu_hours": (Resource.CPU_SECONDS, 3600),
    "gpu_hours": (Resource.GPU_SECONDS, 3600),
    "sessions": (Resource.SESSIONS, 1),
}
"""The site's units in those of the ledger."""

_WINDOWS_PER_YEAR = {Window.NONE: 1.0, Window.DAY: 365.25, Window.WEEK: 365.25 / 7, Window.MONTH: 12.0}

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AllocationSettings(_Closed):
    """An amount of one resource, for ever or per window."""

    resource: ResourceName = Field(description="What is given.", examples=["cpu_hours"])
    limit: float = Field(
        ge=0, le=1e9, description="How much of it per window; sessions: how many at once.", examples=[100]
    )
    window: Window = Field(
        default=Window.NONE,
        description="When used amounts count from zero again: at the end of the calendar day, week "
        "(from Monday) or month, or never.",
        examples=["week"],
    )
    enforcement: Enforcement | None = Field(
        default=None,
        description="`enforced` refuses what goes over it, `observed` only counts; null takes the site's.",
        examples=["enforced"],
    )

    @model_validator(mode="after")
    def _counts_whole_sessions(self) -> AllocationSettings:
        if self.resource == "sessions" and (self.limit % 1 or self.window is not Window.NONE):
            raise ValueError("sessions are a whole number at once: they have no window")
        return self


class RoleAllocation(AllocationSettings):
    """Given to each member of a group, or to each person with a role, as their own account."""

    group: Name | None = Field(default=None, description="Normalised group.", examples=["panhub:users"])
    role: Name | None = Field(default=None, description="Coarse role of a person.", examples=["operator"])

    @model_validator(mode="after")
    def _names_one(self) -> RoleAllocation:
        if (self.group is None) == (self.role is None):
            raise ValueError("name either a group or a role")
        return self

    @field_validator("group", "role")
    @classmethod
    def _is_normalised(cls, value: str | None) -> str | None:
        # Groups arrive in lower case; a capital here would never match, without a word.
        if value is not None and value != value.lower():
            raise ValueError("groups and roles are written in lower case")
        return value


class _UntilSettings(AllocationSettings):
    until: date | None = Field(
        default=None, description="Last day it counts, in the site's time zone.", examples=["2027-06-30"]
    )


class ProposalAllocation(_UntilSettings):
    """Given to a proposal, for all of its team."""

    proposal: Name = Field(description="Proposal name as in the catalogue.", examples=["MX-2431"])


class PersonAllocation(_UntilSettings):
    """Given to one person in place of what their roles give."""

    person: Name = Field(description="Hub username.", examples=["ada"])


class FacilityAllocation(_UntilSettings):
    """Given to an account of the facility's own, from which sessions at some places are paid."""

    account: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")] = Field(
        description="Its name; places name it as payer `facility:<name>`.", examples=["cloud"]
    )


class QuotaSettings(_Closed):
    """The ``quota`` section of the configuration."""

    enforcement: Enforcement = Field(
        default=Enforcement.OBSERVED, description="What allocations do that do not say so themselves."
    )
    unlisted: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="What happens to CPU and GPU time of an account that nothing was given to, where the "
        "site enforces: `refuse`, or `allow` and count.",
    )
    time_zone: str = Field(
        default="UTC",
        description="IANA name of the zone whose days, weeks and months count.",
        examples=["UTC"],
    )
    roles: tuple[RoleAllocation, ...] = Field(default=(), description="What groups and roles are given.")
    proposals: tuple[ProposalAllocation, ...] = Field(default=(), description="What proposals are given.")
    persons: tuple[PersonAllocation, ...] = Field(default=(), description="What single persons are given.")
    facility: tuple[FacilityAllocation, ...] = Field(
        default=(), description="What accounts of the facility's own are given."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError) as error:
            raise ValueError(f"no such time zone: {value}") from error
        return value

    @model_validator(mode="after")
    def _names_each_once(self) -> QuotaSettings:
        given = [(item.proposal, item.resource) for item in self.proposals]
        own = [(item.person, item.resource) for item in self.persons]
        shared = [(item.account, item.resource) for item in self.facility]
        for keys in (given, own, shared):
            if twice := [
                f"{name}: {resource}" for name, resource in set(keys) if keys.count((name, resource)) > 1
            ]:
                raise ValueError(f"given twice: {', '.join(sorted(twice))}")
        return self


class Policy:
    """Answers what the site gives, in the ledger's units."""

    def __init__(self, settings: QuotaSettings) -> None:
        self.zone = ZoneInfo(settings.time_zone)
        self.enforcement = settings.enforcement
        self._refuses_unlisted = (
            settings.unlisted == "refuse" and settings.enforcement is Enforcement.ENFORCED
        )
        self._own = {
            (AccountRef(kind, name), _RESOURCES[item.resource][0]): self._limit(item, Source.SITE, item.until)
            for kind, name, item in _named(settings)
        }
        self._roles = [(item, self._limit(item, Source.ROLE, None)) for item in settings.roles]

    def limits_for(self, holder: Holder, now: datetime) -> dict[Resource, Limit]:
        """What a person has of their own: their line, or else the most generous of their roles."""
        account = AccountRef(AccountKind.PERSON, holder.username)
        limits = {resource: self.limit(account, resource, holder, now) for resource in Resource}
        return {resource: limit for resource, limit in limits.items() if limit is not None}

    def limit(
        self, account: AccountRef, resource: Resource, holder: Holder | None, now: datetime
    ) -> Limit | None:
        """What the site gives to one account; None where it gives nothing.

        ``holder`` tells a person's groups and roles; without it role defaults do not count.
        """
        own = self._own.get((account, resource))
        if own is not None and (own.until is None or now < own.until):
            return own
        if holder is None or account != AccountRef(AccountKind.PERSON, holder.username):
            return None
        given = [
            limit
            for item, limit in self._roles
            if _RESOURCES[item.resource][0] is resource and _has(holder, item)
        ]
        return max(given, key=_generosity, default=None)

    def named_accounts(self) -> list[AccountRef]:
        """Accounts that the site's file names."""
        return sorted({account for account, _ in self._own})

    def refuses_unlisted(self, resource: Resource) -> bool:
        """Whether an account that has no allocation of this resource may not use it."""
        return self._refuses_unlisted and resource not in {Resource.SESSIONS, *METERED}

    def _limit(self, item: AllocationSettings, source: Source, until: date | None) -> Limit:
        _, unit = _RESOURCES[item.resource]
        end = None if until is None else midnight(until + timedelta(days=1), self.zone)
        who = f"{item.group or item.role}" if isinstance(item, RoleAllocation) else "site's configuration"
        return Limit(
            amount=round(item.limit * unit),
            window=item.window,
            enforcement=item.enforcement or self.enforcement,
            source=source,
            until=end,
            reason=who,
        )


def _named(
    settings: QuotaSettings,
) -> Iterable[tuple[AccountKind, str, ProposalAllocation | PersonAllocation | FacilityAllocation]]:
    for proposal in settings.proposals:
        yield AccountKind.PROPOSAL, proposal.proposal, proposal
    for person in settings.persons:
        yield AccountKind.PERSON, person.person, person
    for shared in settings.facility:
        yield AccountKind.FACILITY, shared.account, shared


def _has(holder: Holder, item: RoleAllocation) -> bool:
    return item.group in holder.groups if item.group is not None else item.role in holder.roles


def _generosity(limit: Limit) -> tuple[bool, float]:
    """Order of allocations: one that only counts before one that refuses, then the yield of a year."""
    return limit.enforcement is Enforcement.OBSERVED, limit.amount * _WINDOWS_PER_YEAR[limit.window]
