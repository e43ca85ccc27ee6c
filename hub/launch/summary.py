"""What will start, on which grants, and what it holds: said before the click.

The summary is made by the launch path itself (`dry_run` and the real start run the same code)
and is kept with the launch, so that its card shows what was decided and why.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Named(_Part):
    """Something with an id and a title."""

    id: str
    title: str


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


class Summary(_Part):
    """What will start."""

    interface: Named
    profile: Named
    environment: Named
    place: Named
    place_note: str = ""
    size: Named
    cpus: int
    memory_mib: int
    gpus: int
    walltime_s: int
    max_walltime_s: int
    template: TemplateSummary | None
    data: tuple[DataSummary, ...]
    mounts: tuple[MountSummary, ...]
    holds: tuple[HoldSummary, ...]
    payer: Named
    workdir: str
