"""The launch request: what every way in becomes before anything is decided.

Form, launch link, spawn API, plain hub REST and relaunch all build a `LaunchRequest`; it is
validated here, closed, and nowhere else. Limits on sizes are those of a reasonable request and
keep hostile ones small. Patterns end in ``$``, which pydantic's engine (as JSON Schema's) takes as
the very end, unlike Python's ``re``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from profiles.base import SOONEST as SOONEST
from spawners.plan import Interface

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
"""Id of a profile, size, template: lower case, no path, no white space."""

Reference = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
"""DOI, pid, investigation id or proposal name: printable ASCII without white space."""

TemplateRef = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}(?:@[0-9]{1,4}(?:\.[0-9]{1,4}){0,2})?$")
]
"""``id`` or ``id@version``; a version may be shortened to its major part."""

ParameterValue = bool | int | float | Annotated[str, StringConstraints(max_length=500)] | None

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=100)]


class InputKind(StrEnum):
    """What an input's ``ref`` names."""

    DATASET = "dataset"
    INVESTIGATION = "investigation"
    DOI = "doi"


class Input(BaseModel):
    """Data that a session is to see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: InputKind = Field(description="What `ref` names.", examples=["dataset"])
    ref: Reference = Field(description="Identifier of the data.", examples=["10.15151/ESRF-ES-101"])


SchedulerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Name of an account, QOS or reservation of a batch scheduler."""


class ResourcesRequest(BaseModel):
    """A size of one's own, where the profile allows one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: Annotated[int, Field(ge=1, le=4096, strict=True)] = Field(description="CPU cores.")
    memory_mib: Annotated[int, Field(ge=256, le=64 * 1024 * 1024, strict=True)] = Field(
        description="Memory in MiB."
    )
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = Field(default=0, description="GPU devices.")
    gpu_type: Identifier | None = Field(default=None, description="Type of the GPUs; null takes any.")


class SchedulingRequest(BaseModel):
    """What a batch scheduler is told; null leaves it to the scheduler's default for the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: SchedulerName | None = Field(default=None, description="Scheduler account that the job runs in.")
    qos: SchedulerName | None = Field(default=None, description="Quality of service.")
    reservation: SchedulerName | None = Field(default=None, description="Reservation, of a beamtime say.")


class LaunchRequest(BaseModel):
    """What a person (or a portal for them) asks for. Everything has a default: ``{}`` is valid."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    inputs: tuple[Input, ...] = Field(
        default=(), max_length=16, description="Data to show in the session; the first fills the template."
    )
    template: TemplateRef | None = Field(
        default=None,
        description="Template to start from, as `id` or `id@version`; `auto` takes the best fit, null none.",
        examples=["saxs-azimuthal-integration@1"],
    )
    parameters: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")], ParameterValue] = (
        Field(default_factory=dict, max_length=64, description="Values for parameters of the template.")
    )
    interface: Interface = Field(default=Interface.LAB, description="What to work in.")
    profile: Identifier | None = Field(default=None, description="Profile; null takes the site's default.")
    size: Identifier | None = Field(default=None, description="Size of the profile; null takes its default.")
    resources: ResourcesRequest | None = Field(
        default=None, description="A size of one's own in place of `size`, where the profile allows one."
    )
    place: Identifier | None = Field(
        default=None,
        description="Place of the profile; `soonest` is the one that starts first, null the first one that "
        "has the data.",
    )
    overflow: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Whether the place that starts first may be taken instead, with its payer, if the one "
        "that was asked for starts later than the profile's `overflow_after`.",
    )
    scheduling: SchedulingRequest = Field(
        default=SchedulingRequest(), description="Account, QOS and reservation of a batch scheduler."
    )
    walltime_s: Annotated[int, Field(ge=60, le=60 * 60 * 24 * 30, strict=True)] | None = Field(
        default=None, description="How long it may run, in seconds; null takes the profile's default."
    )
    payer: Literal["auto", "person", "proposal"] = Field(
        default="auto", description="Whose allocation pays: the proposal of the first input, or one's own."
    )
    display_name: Text | None = Field(default=None, description="Name on the session's card.")
