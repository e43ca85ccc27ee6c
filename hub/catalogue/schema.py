"""What may stand in the files of a `files` catalogue: closed models, one per kind of file.

A catalogue is a folder with ``facility.yaml``, ``instruments.yaml`` and any number of files in
``proposals/`` (``.yaml``, or ``.json`` where a program exports them: a hundred times faster to
read). An unknown key is an error, so that a misspelt ``release_date`` cannot open data.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from hub.catalogue.models import DataKind, Role

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""Proposal, instrument, investigation: one path segment, never ``..``."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
"""A pid: printable ASCII without white space."""

Doi = Annotated[str, StringConstraints(pattern=r"^10\.[0-9]{4,9}/[\x21-\x7e]{1,180}$", to_lower=True)]

Technique = Annotated[str, StringConstraints(pattern=r"^(?:PaNET[0-9]{5}|ESRFET:[A-Z0-9-]{1,30})$")]
"""``PaNET01191`` or ``ESRFET:WAXS``."""

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=300)]

_MAX_PATH = 4096
"""PATH_MAX of Linux; a longer one cannot be opened."""


def _relative(path: PurePosixPath) -> PurePosixPath:
    text = str(path)
    if path.is_absolute() or ".." in path.parts or len(text) > _MAX_PATH:
        raise ValueError("must be relative, without '..', and no longer than 4096 characters")
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return path


RelativePath = Annotated[PurePosixPath, AfterValidator(_relative)]


def _as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_as_utc)]


class Closed(BaseModel):
    """Base of all entries: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FacilityFile(Closed):
    """``facility.yaml``: what holds for the whole site."""

    name: Line
    layout: Name = Field(default="esrf-v3", description="Id of the site's data layout.")
    release_years: int = Field(default=3, ge=0, le=50, description="Default embargo, counted from the start.")
    roles: dict[str, Role] = Field(
        default_factory=dict, description="The site's words for roles in a team, in any case."
    )
    industrial: tuple[str, ...] = Field(
        default=(),
        description="Patterns (as of a shell) of proposals that are proprietary unless said otherwise.",
    )


class InstrumentEntry(Closed):
    """One instrument."""

    id: Name
    title: Line
    scientists: frozenset[Identifier] = frozenset()


class InstrumentsFile(Closed):
    """``instruments.yaml``."""

    instruments: tuple[InstrumentEntry, ...]


class MemberEntry(Closed):
    """One member of a team. ``role`` is the site's word."""

    user_id: Identifier
    role: Line
    name: Line = ""


class GrantEntry(Closed):
    """Access given to one person, up to and with the day ``expires``."""

    user_id: Identifier
    expires: date
    may_write_processed: bool = False
    given_by: Line
    reason: Line


class DatasetEntry(Closed):
    """One data set."""

    pid: Identifier
    name: Line
    kind: DataKind = DataKind.RAW
    path: RelativePath
    created: Moment
    techniques: tuple[Technique, ...] = ()
    definition: Line | None = None
    doi: Doi | None = None
    sample: Line = ""
    frames: int | None = Field(default=None, ge=0)
    size_bytes: int | None = Field(default=None, ge=0)
    description: str = ""


class InvestigationEntry(Closed):
    """One visit. ``release_date`` may be a date, ``never`` (null) or left out: then the site's default."""

    id: Name
    instrument: Name
    start: Moment
    end: Moment
    root: RelativePath
    title: Line | None = None
    release_date: date | None = None
    doi: Doi | None = None
    is_published: bool = False
    datasets: tuple[DatasetEntry, ...] = ()

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end < self.start:
            raise ValueError("'end' is before 'start'")
        return self


class ProposalEntry(Closed):
    """One proposal with its team; ``team`` and ``grants`` hold for each of its visits."""

    name: Name
    title: Line
    abstract: str = ""
    is_proprietary: bool | None = Field(
        default=None,
        description="Null: proprietary if the name matches one of the site's industrial patterns.",
    )
    team: tuple[MemberEntry, ...] = ()
    grants: tuple[GrantEntry, ...] = ()
    investigations: tuple[InvestigationEntry, ...] = ()


class ProposalsFile(Closed):
    """A file in ``proposals/``."""

    proposals: tuple[ProposalEntry, ...]
