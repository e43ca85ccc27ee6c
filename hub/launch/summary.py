"""What will start, on which grants, and what it holds: said before the click.

The summary is made by the launch path itself (`dry_run` and the real start run the same code)
and is kept with the launch, so that its card shows what was decided and why.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from quota.models import AccountRef


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(_Part):
    """Something with an id and a title."""

    id: str
    title: str


def payer_named(payer: AccountRef) -> Named:
    """Who pays: the kind of account (``person``, ``proposal``, ``facility``) and its name."""
    return Named(id=payer.kind.value, title=payer.key)


class TemplateSummary(_Part):
    """The template that the session starts from, and why it fits."""

    id: str
    version: str
    title: str
    notebook: str
    why: tuple[str, ...] = ()


class DataSummary(_Part):
    """One input, where the session sees it, and why the person may read it."""

    ref: str
    title: str
    proposal: str
    investigation: str
    instrument: str
    path: str
    reason: str
    is_open: bool = False


class MountSummary(_Part):
    """One path of the session."""

    path: str
    mode: str
    reason: str


class HoldSummary(_Part):
    """What the launch holds of one allocation. Amounts as in the ledger (CPU-seconds, sessions)."""

    account_kind: str
    account: str
    resource: str
    amount: int
    limit: int | None
    used: int
    held: int
    left: int | None = Field(description="Left before this launch; null where nothing limits.")
    resets_at: datetime | None
    is_enforced: bool


class SchedulingSummary(_Part):
    """What the place's scheduler is told; null: left to its default for the person."""

    account: str | None = None
    qos: str | None = None
    reservation: str | None = None


StartBasis = Literal["scheduler", "estimate", "unknown"]


class PlaceForecast(_Part):
    """A place that the profile has for this launch, and when it would start there."""

    place: Named
    expected_start: datetime | None = Field(default=None, description="Null: nobody can say.")
    expected_start_basis: StartBasis = Field(
        default="unknown", description="Who says so: the scheduler itself, or our estimate."
    )
    payer: Named | None = Field(
        default=None, description="Who would pay there: kind of account and its name; null: nobody can."
    )
    why_not: str = Field(default="", description="Why the place does not take this launch; empty: it does.")


class Summary(_Part):
    """What will start."""

    interface: Named
    profile: Named
    environment: Named
    place: Named
    place_note: str = ""
    is_soonest: bool = Field(default=False, description="Whether the place was taken as the soonest.")
    instead_of: Named | None = Field(
        default=None, description="The place that was asked for, where overflow took one that starts sooner."
    )
    size: Named
    cpus: int
    memory_mib: int
    gpus: int
    gpu_type: str = Field(default="", description="Type of the GPUs; empty: any.")
    expected_start: datetime | None = Field(
        default=None, description="When it would start, asked when the plan was made; null: nobody can say."
    )
    expected_start_basis: StartBasis = Field(default="unknown", description="Who says so.")
    scheduling: SchedulingSummary = SchedulingSummary()
    alternatives: tuple[PlaceForecast, ...] = Field(
        default=(), description="Of `soonest` and overflow: the other places, in the profile's order."
    )
    walltime_s: int
    max_walltime_s: int
    template: TemplateSummary | None
    data: tuple[DataSummary, ...]
    mounts: tuple[MountSummary, ...]
    holds: tuple[HoldSummary, ...]
    payer: Named
    workdir: str
