"""What a catalogue says of proposals, their investigations and data sets.

A *proposal* is an accepted request for beam time. An *investigation* is one visit under it, on
one instrument; it is the unit of access. A *data set* is files measured together, with one
``pid``. Team membership is by the facility's own user id, never by name or e-mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NewType

ProposalName = NewType("ProposalName", str)
InvestigationId = NewType("InvestigationId", str)
DatasetPid = NewType("DatasetPid", str)


class Role(StrEnum):
    """Role of a person in a team, normalised; an unknown role never writes."""

    PI = "pi"
    CO_PROPOSER = "co_proposer"
    PARTICIPANT = "participant"
    LOCAL_CONTACT = "local_contact"
    COLLABORATOR = "collaborator"
    UNKNOWN = "unknown"


class DataKind(StrEnum):
    """Area of an investigation that a data set lies in."""

    RAW = "raw"
    PROCESSED = "processed"


@dataclass(frozen=True, slots=True)
class TeamMember:
    """Membership of one facility user id."""

    user_id: str
    role: Role
    name: str = ""


@dataclass(frozen=True, slots=True)
class ExplicitGrant:
    """Access given to one person by the PI or an administrator, until a date."""

    user_id: str
    expires: date
    may_write_processed: bool
    given_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument (beamline) and its scientists by facility user id."""

    id: str
    title: str
    scientists: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Investigation:
    """One visit under a proposal.

    ``release_date`` None means never public. ``root`` is the visit's folder relative to the
    data root of its place, in the site's layout.
    """

    id: InvestigationId
    proposal: ProposalName
    title: str
    instrument: str
    start: datetime
    end: datetime
    root: PurePosixPath
    team: tuple[TeamMember, ...] = ()
    grants: tuple[ExplicitGrant, ...] = ()
    release_date: date | None = None
    doi: str | None = None
    is_published: bool = False
    is_proprietary: bool = True
    abstract: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Files measured together. ``path`` is relative to the investigation's root."""

    pid: DatasetPid
    investigation: InvestigationId
    name: str
    kind: DataKind
    path: PurePosixPath
    created: datetime
    techniques: tuple[str, ...] = ()
    definition: str | None = None
    doi: str | None = None
    sample: str = ""
    frames: int | None = None
    size_bytes: int | None = None
    description: str = ""
