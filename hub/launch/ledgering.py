"""The launch path's book-keeping: from a launch to lines of the ledger and back.

The ledger knows accounts and amounts, not sessions of a hub; this is where one is told in words
of the other, and where a refusal of the ledger becomes one that a person can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hub.launch.store import Launch
from hub.problems import Problem, RequestError
from quota.ledger import Ledger
from quota.models import AccountKind, AccountRef, HoldLine, Meter, QuotaExceededError, Resource
from spawners.backend import Usage
from spawners.plan import LaunchId, Size

_WORDS = {
    Resource.CPU_SECONDS: "CPU-hours",
    Resource.GPU_SECONDS: "GPU-hours",
    Resource.SESSIONS: "sessions",
}


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
