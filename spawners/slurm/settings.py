"""What an operator sets for Slurm clusters."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SlurmName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Closed(BaseModel):
    """Base of these settings: frozen, unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RestSettings(Closed):
    """Talk to slurmrestd."""

    kind: Literal["rest"]
    url: str = Field(
        pattern=r"^(https?://[^\s/?#@]+|unix:/[^\s]+)$",
        description="Address of slurmrestd: http(s)://host:port, or unix:/path of its socket.",
    )
    version: Literal["auto", "v0.0.38", "v0.0.40", "v0.0.41", "v0.0.42", "v0.0.43", "v0.0.44", "v0.0.45"] = (
        Field(default="auto", description="API version; `auto` takes the newest that both sides know.")
    )
    timeout_s: float = Field(default=15, ge=1, le=120, description="Longest wait for one answer.")


class CliSettings(Closed):
    """Run Slurm's own programs."""

    kind: Literal["cli"]
    bin: Path | None = Field(default=None, description="Folder of the programs; null searches PATH.")
    conf: Path | None = Field(default=None, description="slurm.conf; null takes Slurm's own default.")
    run_as: tuple[str, ...] = Field(
        default=("sudo", "-n", "-u", "{user}"),
        description="Words before a program that runs as a person; `{user}` is replaced by the account.",
    )
    helper: Path | None = Field(
        default=None,
        description=(
            "Copy of spawners/slurm/cli/as_user.py that `run_as` starts, as sudoers names it; "
            "null takes the package's own."
        ),
    )
    timeout_s: float = Field(default=15, ge=1, le=120, description="Longest wait for one program.")


class CustomSettings(Closed):
    """A transport of the site's own."""

    kind: Literal["custom"]
    class_name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description="`module:Class` of a `spawners.slurm.transport.Transport`.",
    )
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Handed to the class as keyword arguments."
    )


class ClusterSettings(Closed):
    """One Slurm cluster."""

    transport: RestSettings | CliSettings | CustomSettings = Field(
        discriminator="kind", description="How to talk to it."
    )
    gateway_socket: Path | None = Field(
        default=None, description="Socket of the token gateway; needed for slurmrestd."
    )
    service_account: SlurmName = Field(
        default="panhub",
        description="Slurm user of the service's own queries; an Operator in Slurm's accounting.",
    )
    poll_s: Annotated[float, Field(ge=0.2, le=60)] = Field(
        default=2, description="Shortest time between two questions for all jobs while something changes."
    )
    poll_idle_s: Annotated[float, Field(ge=0.2, le=600)] = Field(
        default=15, description="Longest time between two questions while nothing changes."
    )
    session_code: PurePosixPath = Field(
        description="Folder on the nodes with the start-up code of sessions (a copy of spawners/session)."
    )
    python: PurePosixPath = Field(
        default=PurePosixPath("/usr/bin/python3"),
        description="Python (3.9 or newer) on the nodes that prepares a session.",
    )
    view: Literal["bubblewrap", "apptainer", "links", "auto"] = Field(
        default="bubblewrap",
        description=(
            "How a session on a node sees its data: a namespace by bubblewrap, binds of apptainer, a folder "
            "of links (nothing kept apart but by file permissions), or the first of these that works."
        ),
    )
    apptainer: PurePosixPath | None = Field(
        default=None,
        description=(
            "Program apptainer (1.1 or newer) on the nodes, for environments in an image; null takes the one "
            "in the path of the job, which modules of the environment may set."
        ),
        examples=["/software/apptainer/bin/apptainer"],
    )
    modules_init: PurePosixPath | None = Field(
        default=None, description="Shell file on the nodes that defines `module`; needed for module lists."
    )
    read_only_paths: tuple[PurePosixPath, ...] = Field(
        default=(), description="Further folders (software, not data) that sessions see read-only."
    )
    listen: str = Field(
        default="route",
        pattern=r"^(route|any|[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2})$",
        description=(
            "Address of a node on which its sessions listen: the one by which it reaches the service "
            "(`route`), the one in an IPv4 network (`10.1.0.0/16`), or all of them (`any`). The proxy comes "
            "to the address that Slurm has of the node (NodeAddr), so it must lead there."
        ),
    )
    node_report_url: str | None = Field(
        default=None,
        description="Base URL at which nodes reach the service; null takes the service's session_report_url.",
    )
    constraint: SlurmName | None = Field(default=None, description="Node feature that every session asks.")


class SlurmSettings(Closed):
    """All Slurm clusters."""

    clusters: dict[SlurmName, ClusterSettings] = Field(
        default_factory=dict, description="Clusters by the name that places give."
    )
