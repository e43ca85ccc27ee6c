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
    walltime_s: Annotated[int, Field(ge=60, le=60 * 60 * 24 * 30, strict=True)] | None = Field(
        default=None, description="How long it may run, in seconds; null takes the profile's default."
    )
    payer: Literal["auto", "person", "proposal"] = Field(
        default="auto", description="Whose allocation pays: the proposal of the first input, or one's own."
    )
    display_name: Text | None = Field(default=None, description="Name on the session's card.")
