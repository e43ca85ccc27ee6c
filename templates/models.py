"""What may `template.yaml` say? The closed model of a template, published as `schema.json`.

The sidecar is the source of truth; the notebook carries only the template's id, version and hash.
Every key is known here or the template is refused, so that a slip of the pen is found when the
template is loaded and not when a person starts it.
"""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$")]

ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,40}$")]

FileName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}\.(?:py|ipynb)$")]

Limit = Annotated[str, StringConstraints(pattern=r"^(?:<|>|<=|>=) ?-?[0-9.]+(?:e-?[0-9]+)?$")]

Scalar = bool | int | float | str | None


class Closed(BaseModel):
    """Base of all parts: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Person(Closed):
    """Somebody who wrote or looks after a template."""

    name: str
    email: str | None = None
    orcid: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")] | None = None
    affiliation: str | None = None


class Citation(Closed):
    """A work to cite when results are published."""

    doi: Annotated[str, StringConstraints(pattern=r"^10\.\d{4,9}/\S+$")]
    reason: str = Field(alias="for", description="What it is to be cited for.", examples=["pyFAI"])


class Scope(Closed):
    """Where a template is offered; ``*`` is everywhere."""

    facilities: tuple[str, ...] = ("*",)
    instruments: tuple[str, ...] = ("*",)


class ReviewStatus(StrEnum):
    """How far a template can be relied on."""

    DRAFT = "draft"
    REVIEWED = "reviewed"
    ENDORSED = "endorsed"
    DEPRECATED = "deprecated"


class Review(Closed):
    """Who looked at a template, and when it last passed its acceptance check."""

    status: ReviewStatus
    by: str | None = None
    date: dt.date | None = None
    last_verified: dt.date | None = None
    superseded_by: Slug | None = None


class EnvironmentNeeds(Closed):
    """Software a template needs: the environment's id and the packages it imports."""

    kernel: Slug = Field(description="Id of the environment it was made for.", examples=["pan-core"])
    lock_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    imports: tuple[str, ...] = ()


class ResourceProfile(Closed):
    """A size that a template runs well in."""

    cores: int = Field(default=1, ge=1)
    memory_gb: float = Field(default=2, gt=0)
    gpus: int = Field(default=0, ge=0)
    optional: bool = False


class Scaling(Closed):
    """How run time and memory grow with the data."""

    seconds_per_gpixel: float | None = Field(default=None, gt=0)
    memory_per_frame: str | None = None


class Resources(Closed):
    """What a run takes."""

    profiles: dict[Slug, ResourceProfile] = Field(default_factory=dict)
    scaling: Scaling = Scaling()
    max_runtime_s: int = Field(default=3600, ge=1)


class Pattern(Closed):
    """One way to recognise an item of a data file. All that is given must hold."""

    nxclass: str | None = Field(default=None, description="NX_class of the group that holds the item.")
    field: str | None = Field(default=None, description="Name of the item.")
    regex: str | None = Field(default=None, description="Searched in the item's path.")
    units: Literal["length", "energy"] | None = Field(default=None, description="Kind of its unit.")
    min_rank: int | None = Field(default=None, ge=0, le=8)
    min_last2: int | None = Field(
        default=None, ge=1, description="Least length of each of the last two axes."
    )

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("an empty pattern would match everything")
        return self


class Requirement(Closed):
    """A part that the data must have; any of its patterns will do."""

    role: ParameterName
    title: str = Field(description="What it is, for people.", examples=["a stack of detector images"])
    any_of: tuple[Pattern, ...] = Field(alias="any", min_length=1)


class InputMatch(Closed):
    """Which data sets fit."""

    definitions: tuple[str, ...] = ()
    require: tuple[Requirement, ...] = ()
    refuse: tuple[Pattern, ...] = ()


class InputSpec(Closed):
    """A data set that a template works on."""

    name: ParameterName
    match: InputMatch = InputMatch()


class ParameterType(StrEnum):
    """JSON type of a parameter."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"


class Parameter(Closed):
    """A subset of JSON Schema, with how it is shown and what fills it."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    type: ParameterType
    title: str | None = None
    description: str = ""
    nullable: bool = Field(default=False, description="May be left empty (null).")
    default: Scalar = None
    enum: tuple[Scalar, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    pattern: str | None = None
    max_length: int = Field(default=500, ge=1, le=500)
    format: Literal["path", "slice"] | None = None
    unit: str | None = None
    bind: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^(?:dataset\.path|output\.[a-z][a-z0-9_]*|nexus:[a-z][a-z0-9_]*(?:\|convert\([A-Za-zµ]+\))?)$"
            ),
        ]
        | None
    ) = Field(default=None, description="`dataset.path`, `output.NAME` or `nexus:ROLE|convert(UNIT)`.")
    read_only: bool = Field(default=False, description="Filled in by the platform, never by a person.")
    group: str = "Analysis"
    level: Literal["basic", "expert"] = "basic"

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        if self.read_only and self.bind is None:
            raise ValueError("a read-only parameter needs `bind`")
        if self.default is None and self.bind is None and not self.nullable:
            raise ValueError("needs a default, `bind`, or `nullable: true`")
        return self


class Output(Closed):
    """A file that a run leaves."""

    name: ParameterName
    path: str = Field(
        pattern=r"^\{output_dir\}/[A-Za-z0-9._{}-]+$", examples=["{output_dir}/{dataset}_azint.nxs"]
    )
    definition: str | None = None


class QualityIndicator(Closed):
    """A number that says how good a result is, with the limits of its verdict."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    name: ParameterName
    title: str
    unit: str = ""
    pass_if: Limit = Field(alias="pass")
    warn_if: Limit = Field(alias="warn")


class Check(Closed):
    """A limit that a number of the output must keep on the acceptance data."""

    metric: ParameterName
    max: float | None = None
    min: float | None = None


class Acceptance(Closed):
    """Data and limits of the acceptance check."""

    fixture: str
    checks: tuple[Check, ...] = ()


class Notebook(Closed):
    """Files that a session gets: the notebook's name, and modules put beside it."""

    file: FileName
    modules: tuple[FileName, ...] = ()


class TemplateSpec(Closed):
    """The whole of `template.yaml`."""

    schema_version: Literal[1]
    id: Slug = Field(description="Never changes; the name of the folder.")
    version: Version = Field(description="Semantic version; a new major number breaks parameters or output.")
    title: str = Field(max_length=80)
    summary: str = Field(max_length=160)
    techniques: tuple[Annotated[str, StringConstraints(pattern=r"^PaNET[0-9]{5,7}$")], ...] = ()
    keywords: tuple[str, ...] = ()
    probe: tuple[Literal["x-ray", "neutron", "electron", "muon"], ...] = ()
    scope: Scope = Scope()
    authors: tuple[Person, ...] = Field(min_length=1)
    maintainers: tuple[Person, ...] = ()
    licence: str = "BSD-3-Clause"
    doi: str | None = None
    citations: tuple[Citation, ...] = ()
    review: Review
    environment: EnvironmentNeeds
    resources: Resources = Resources()
    modes: tuple[Literal["interactive", "batch"], ...] = ("interactive",)
    notebook: Notebook
    inputs: tuple[InputSpec, ...] = Field(default=(), max_length=1)
    parameters: dict[ParameterName, Parameter] = Field(default_factory=dict, max_length=64)
    outputs: tuple[Output, ...] = ()
    quality: tuple[QualityIndicator, ...] = ()
    acceptance: Acceptance | None = None

    @model_validator(mode="after")
    def _bindings_exist(self) -> Self:
        roles = {need.role for spec in self.inputs for need in spec.match.require}
        outputs = {output.name for output in self.outputs}
        for name, parameter in self.parameters.items():
            kind, _, rest = (parameter.bind or "").replace(":", ".", 1).partition(".")
            target = rest.split("|")[0]
            if (kind == "nexus" and target not in roles) or (kind == "output" and target not in outputs):
                raise ValueError(f"parameters.{name}.bind: nothing is named {target!r}")
        return self
