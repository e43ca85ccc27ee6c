"""Where sessions run, as a site's profiles file says it: one kind of entry a backend."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from profiles.base import Closed, Text

Architecture = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{1,19}$")]
"""CPU architecture as ``uname -m`` names it."""

SchedulerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Name of a cluster, partition or queue, as its scheduler has it."""


def _is_plain(value: str) -> str:
    if ".." in PurePosixPath(value).parts:
        raise ValueError("write the folder without `..`")
    return value


StoragePath = Annotated[
    str, StringConstraints(pattern=r"^/[^\x00-\x1f]*$", max_length=500), AfterValidator(_is_plain)
]
"""Folder as the engine names it; absolute."""

Payer = Annotated[
    str, StringConstraints(pattern=r"^(?:proposal|person|facility:[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)$")
]
"""Whose allocation pays: the data's proposal, the person, or an account of the facility's own."""

EITHER: tuple[Payer, ...] = ("proposal", "person")
"""Who pays where a place says nothing of it."""


class _Place(Closed):
    title: Text = Field(description="Name that people read.", examples=["This machine"])
    description: str = Field(default="", max_length=500, description="What it is good for, in a sentence.")
    storage: tuple[StoragePath, ...] | None = Field(
        default=None,
        description="Folders of the site's storage that its sessions see; null: all. A launch whose data "
        "or home is not there is refused with the places that have it.",
        examples=[["/data/visitor", "/home"]],
    )
    payers: tuple[Payer, ...] = Field(
        default=EITHER,
        min_length=1,
        description="Whose allocations pay here, the preferred first: `proposal` (of the first input), "
        "`person`, `facility:<name>` (an account of the facility's own, filled by `quota.facility` or by "
        "operators). The first that was given any CPU time pays; where none was, the last.",
        examples=[["proposal", "facility:cloud"]],
    )

    @field_validator("payers")
    @classmethod
    def _names_each_payer_once(cls, value: tuple[Payer, ...]) -> tuple[Payer, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names a payer twice")
        return value


class LocalPlace(_Place):
    """Sessions as processes on the machine of the service."""

    backend: Literal["local"] = Field(description="Kind of backend that starts the sessions.")

    @property
    def architecture(self) -> None:
        """That of the machine: an environment that is there is built for it."""
        return None


class _ScheduledPlace(_Place):
    architecture: Architecture = Field(
        default="x86_64",
        description="CPU architecture of its nodes, as `uname -m` names it. A profile offers the place only "
        "if its environment is built for it.",
        examples=["ppc64le"],
    )


class SlurmPlace(_ScheduledPlace):
    """Sessions as jobs in one partition of a Slurm cluster."""

    backend: Literal["slurm"] = Field(description="Kind of backend that starts the sessions.")
    cluster: SchedulerName = Field(description="Name of a cluster in the settings.", examples=["pan"])
    partition: SchedulerName = Field(description="Partition of the cluster.", examples=["gpu"])


class BatchspawnerPlace(_ScheduledPlace):
    """Sessions as jobs that batchspawner submits, for schedulers without an engine of their own here."""

    backend: Literal["batchspawner"] = Field(description="Kind of backend that starts the sessions.")
    cluster: SchedulerName = Field(
        description="Name of a cluster in the settings of batchspawner.", examples=["torque"]
    )
    queue: SchedulerName | None = Field(
        default=None, description="Queue (partition) that jobs go to; null takes the scheduler's default."
    )


class KubernetesPlace(_ScheduledPlace):
    """Sessions as pods in one pool of a Kubernetes cluster."""

    backend: Literal["kubernetes"] = Field(description="Kind of backend that starts the sessions.")
    cluster: SchedulerName = Field(
        description="Name of a cluster in the settings of Kubernetes.", examples=["pan"]
    )
    pool: SchedulerName = Field(
        default="default", description="Pool of the cluster, as its settings name it.", examples=["gpu"]
    )


PlaceEntry = Annotated[
    LocalPlace | SlurmPlace | BatchspawnerPlace | KubernetesPlace, Field(discriminator="backend")
]
"""Any place of the file."""
