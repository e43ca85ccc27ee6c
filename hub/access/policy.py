"""What a site may set in the access table; the defaults are the documented table.

One model per row. Whatever is set, raw data is never writable: its type has no such value.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hub.access.rights import Right, Visibility
from hub.catalogue.models import Role

Read = Literal[Right.NONE, Right.READ]
Seen = Literal[Visibility.PUBLIC, Visibility.FULL]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rights(_Closed):
    """Right per area that a row grants."""

    metadata: Seen = Field(default=Visibility.FULL, description="What may be seen of the proposal.")
    raw: Read = Field(default=Right.READ, description="Raw data; never writable.")
    processed: Right = Field(default=Right.READ, description="Processed data.")
    scripts: Right = Field(default=Right.READ, description="Scripts and notes.")


class ReadOnlyRights(Rights):
    """Rights of a row that never writes."""

    processed: Read = Right.READ
    scripts: Read = Right.READ


class IdentityRow(_Closed):
    """Row 1: blocked people, and people without a facility account."""

    unbound_reads_released: bool = Field(
        default=False, description="Whether a person without a facility account may read public data."
    )


class ProprietaryRow(_Closed):
    """Row 2: proprietary research hides that it exists."""

    open_to_break_glass: bool = Field(
        default=False, description="Whether a data steward's emergency access reaches proprietary data."
    )


class TeamRow(_Closed):
    """Row 3: the team."""

    roles: frozenset[Role] = Field(
        default=frozenset({Role.PI, Role.CO_PROPOSER, Role.PARTICIPANT, Role.LOCAL_CONTACT}),
        description="Roles that count as full members; the others are row 4.",
    )
    rights: Rights = Rights(processed=Right.WRITE, scripts=Right.WRITE)


class OtherMembersRow(_Closed):
    """Row 4: collaborators and roles that the site's map does not know; they never write."""

    rights: ReadOnlyRights = ReadOnlyRights()


class InstrumentScientistRow(_Closed):
    """Row 5: scientists of the instrument that the visit was on (never proprietary visits)."""

    is_on: bool = True
    rights: Rights = Rights()


class ExplicitGrantRow(_Closed):
    """Row 6: access given by the principal investigator or an administrator, until a day."""

    is_on: bool = True
    rights: Rights = Rights()
    writable: Rights = Field(
        default=Rights(processed=Right.WRITE), description="Rights where the grant says that it may write."
    )


class BreakGlassRow(_Closed):
    """Row 7: a data steward's emergency access, with a reason, recorded."""

    is_on: bool = True
    max_hours: Annotated[int, Field(ge=1, le=8)] = 8
    rights: ReadOnlyRights = ReadOnlyRights()


class ReleasedRow(_Closed):
    """Row 8: data whose release date has passed."""

    is_on: bool = True
    needs_doi_or_published: bool = Field(
        default=True, description="Whether a passed date alone does not open data."
    )
    rights: ReadOnlyRights = ReadOnlyRights(processed=Right.NONE, scripts=Right.NONE)


class OtherwiseRow(_Closed):
    """Row 9: everybody else."""

    metadata: Literal[Visibility.HIDDEN, Visibility.PUBLIC] = Field(
        default=Visibility.PUBLIC,
        description="Whether title, team, abstract, instrument and dates are public.",
    )


class AccessPolicy(_Closed):
    """The access table of a site, row by row (row 0 is `stale_answers_s`)."""

    stale_answers_s: Annotated[int, Field(ge=0, le=24 * 3600)] = Field(
        default=300,
        description="While the catalogue cannot answer, answers younger than this still hold [s].",
    )
    identity: IdentityRow = IdentityRow()
    proprietary: ProprietaryRow = ProprietaryRow()
    team: TeamRow = TeamRow()
    other_members: OtherMembersRow = OtherMembersRow()
    instrument_scientist: InstrumentScientistRow = InstrumentScientistRow()
    explicit_grant: ExplicitGrantRow = ExplicitGrantRow()
    break_glass: BreakGlassRow = BreakGlassRow()
    released: ReleasedRow = ReleasedRow()
    otherwise: OtherwiseRow = OtherwiseRow()
