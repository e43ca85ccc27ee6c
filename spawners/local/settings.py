"""What an operator sets for sessions on the service's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LocalSettings(BaseModel):
    """The local backend.

    Meant for trying the platform and for small machines: every session runs under the account of
    the service, shown inside its view as the person's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Path = Field(
        description="Folder for what is known of running sessions and for their logs; made with mode 0700."
    )
    isolation: Literal["auto", "required", "off"] = Field(
        default="auto",
        description=(
            "`auto`: a view of its own for each session where bubblewrap works, links otherwise; "
            "`required`: refuse to start without bubblewrap; `off`: always links."
        ),
    )
    grace_s: int = Field(
        default=10,
        ge=1,
        le=300,
        description="Seconds from asking a session to end until it is killed.",
    )
    read_only_paths: tuple[Path, ...] = Field(
        default=(),
        description="Further folders (software, not data) that sessions see read-only, at the same path.",
    )
    cpus: int | None = Field(
        default=None, ge=1, description="CPUs offered to sessions; null offers all of the machine."
    )
    memory_mib: int | None = Field(
        default=None, ge=256, description="Memory offered to sessions [MiB]; null offers all of the machine."
    )
    cgroup: Path | None = Field(
        default=None,
        description=(
            "Folder of a cgroup v2 delegated to the service, with memory and cpu controllers (systemd: "
            "Delegate=yes with DelegateSubgroup). Null: memory is watched, CPUs are bound, without a cgroup."
        ),
    )
    keep_logs_days: int = Field(default=14, ge=1, description="Days that logs of ended sessions are kept.")
