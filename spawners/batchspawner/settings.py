"""What an operator sets for batch systems that batchspawner's classes talk to."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


def _plain(path: PurePosixPath) -> PurePosixPath:
    if not re.fullmatch(r"/[A-Za-z0-9_./+@-]*", str(path)):
        raise ValueError("must be absolute, of letters, digits and _ . / + @ -")
    return path


NodePath = Annotated[PurePosixPath, AfterValidator(_plain)]
"""A path on the nodes that stands in a script: nothing that a shell would read as more."""

RequestName = Annotated[str, StringConstraints(pattern=r"^req_[a-z0-9_]{1,40}$")]


class BatchSystemSettings(BaseModel):
    """One batch system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_name: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$",
        description="`module:Class` of batchspawner or of the site.",
        examples=["batchspawner:TorqueSpawner"],
    )
    requests: dict[RequestName, str] = Field(
        default_factory=dict,
        description=(
            "Values of the class's traits `req_…` for every job (`req_host`, `req_options`, `req_prologue` "
            "…). What a plan says (CPUs, memory, GPUs, time, queue, account) is not set here."
        ),
        examples=[{"req_host": "torque.example.org"}],
    )
    exec_prefix: str = Field(
        default="sudo -n {% if keepvars %}--preserve-env={{keepvars}} {% endif %}-u {{username}} --",
        description=(
            "Words before a command that runs as a person; `{username}` and, at the submit, `{keepvars}` "
            "(the name of the one variable that is passed on) are replaced. No shell reads it."
        ),
    )
    batch_submit_cmd: str | None = Field(default=None, description="As in batchspawner; null: the class's.")
    batch_query_cmd: str | None = Field(default=None, description="As in batchspawner; null: the class's.")
    batch_cancel_cmd: str | None = Field(default=None, description="As in batchspawner; null: the class's.")
    batch_list_cmd: str | None = Field(
        default=None,
        description=(
            "Lists a person's jobs, for those submitted just before a crash; null: a known one for Slurm, "
            "Torque and PBS, none for others."
        ),
    )
    batch_list_re: str | None = Field(
        default=None,
        description="Regular expression with the groups `id` and `name` for each job of that list.",
    )
    batch_extend_cmd: str | None = Field(
        default=None,
        description=(
            "Sets a running job's time limit (`{job_id}`, `{seconds}` or `{runtime}` as hh:mm:ss); null: "
            "sessions cannot be extended."
        ),
        examples=["qalter -l walltime={seconds} {job_id}"],
    )
    batch_script: str | None = Field(
        default=None,
        description=(
            "Template of the batch script, as in batchspawner; `{cmd}` starts the session. Null: ours for "
            "Slurm, Torque and PBS, else the class's."
        ),
    )
    state_gone_re: str | None = Field(
        default=None,
        description=(
            "Regular expression for answers that say a job is over or unknown to the scheduler; null: a "
            "known one. What it does not match never ends a session."
        ),
    )
    node_addresses: dict[str, str] = Field(
        default_factory=dict,
        description="Addresses of nodes by the scheduler's names, where these cannot be resolved here.",
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables for the scheduler's commands (PATH, PBS_DEFAULT, SLURM_CONF …); not secret.",
    )
    poll_s: Annotated[float, Field(ge=0.2, le=60)] = Field(
        default=2, description="Shortest time between two questions for one job, while it starts."
    )
    poll_idle_s: Annotated[float, Field(ge=0.2, le=600)] = Field(
        default=30, description="Longest time between two questions for one job."
    )
    timeout_s: float = Field(default=15, ge=1, le=120, description="Longest wait for one command.")
    queries_at_once: int = Field(default=4, ge=1, le=64, description="Commands that run at the same time.")
    accounts: tuple[Name, ...] = Field(default=(), description="Accounts that people may name.")
    qos: tuple[Name, ...] = Field(default=(), description="QOS that people may name (Slurm).")
    max_cpus: int | None = Field(default=None, ge=1, description="Most CPUs of a session; null: no limit.")
    max_memory_mib: int | None = Field(default=None, ge=1, description="Most memory [MiB] of a session.")
    max_gpus: int | None = Field(default=None, ge=0, description="Most GPUs of a session.")
    max_walltime_s: int | None = Field(default=None, ge=60, description="Longest session.")
    session_code: NodePath = Field(
        description="Folder on the nodes with the start-up code of sessions (a copy of spawners/session)."
    )
    python: NodePath = Field(
        default=PurePosixPath("/usr/bin/python3"),
        description="Python (3.9 or newer) on the nodes that prepares a session.",
    )
    view: Literal["bubblewrap", "apptainer", "links", "auto"] = Field(
        default="bubblewrap", description="How a session on a node sees its data, as for a Slurm cluster."
    )
    modules_init: PurePosixPath | None = Field(
        default=None, description="Shell file on the nodes that defines `module`; needed for module lists."
    )
    read_only_paths: tuple[PurePosixPath, ...] = Field(
        default=(), description="Further folders (software, not data) that sessions see read-only."
    )
    listen: str = Field(
        default="route", description="Address on which sessions listen, as for a Slurm cluster."
    )
    node_report_url: str | None = Field(
        default=None,
        description="Base URL at which nodes reach the service; null takes the service's session_report_url.",
    )


class BatchspawnerSettings(BaseModel):
    """All batch systems that batchspawner's classes talk to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clusters: dict[Name, BatchSystemSettings] = Field(
        default_factory=dict, description="Batch systems by the name that places give."
    )
    state: Path = Field(
        default=Path("batchspawner"),
        description="Folder of the records of jobs; relative to the service's state folder.",
    )
