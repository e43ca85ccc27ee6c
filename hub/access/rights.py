"""Words of an access decision: rights, grants with their reasons, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from hub.catalogue.layout import AreaKind
from hub.catalogue.models import InvestigationId
from hub.identity.models import Person, StaffRole


class Right(StrEnum):
    """What may be done with an area."""

    NONE = "none"
    READ = "r"
    WRITE = "rw"


class Visibility(StrEnum):
    """What may be seen of a proposal's metadata.

    ``public`` is title, team, abstract, instrument and dates; ``hidden`` is not even that it
    exists.
    """

    HIDDEN = "hidden"
    PUBLIC = "public"
    FULL = "r"


_RIGHTS = (Right.NONE, Right.READ, Right.WRITE)
_VISIBILITIES = (Visibility.HIDDEN, Visibility.PUBLIC, Visibility.FULL)


def widest(rights: tuple[Right, ...]) -> Right:
    """The union of rights."""
    return max(rights, key=_RIGHTS.index, default=Right.NONE)


def most_visible(seen: tuple[Visibility, ...]) -> Visibility:
    """The union of what may be seen."""
    return max(seen, key=_VISIBILITIES.index, default=Visibility.HIDDEN)


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Access that a data steward takes, with a reason, for a short time (aware UTC)."""

    since: datetime
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Who asks: all that a decision needs of a person.

    ``user_id`` is the facility's id, by which teams know them; None: not bound to one.
    """

    user_id: str | None
    is_blocked: bool = False
    is_steward: bool = False
    scientist_of: frozenset[str] = frozenset()
    break_glass: BreakGlass | None = None

    @classmethod
    def from_person(
        cls, person: Person, scientist_of: frozenset[str], break_glass: BreakGlass | None = None
    ) -> Subject:
        """Subject of a person and what the catalogue says of them."""
        return cls(
            user_id=person.user_id,
            is_blocked=person.is_blocked,
            is_steward=bool(person.roles & {StaffRole.OPERATOR, StaffRole.DATA_STEWARD}),
            scientist_of=scientist_of,
            break_glass=break_glass,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights that one row of the table gives, and why in words for the person.

    ``until`` is the last day it holds, None where no end is known.
    """

    row: int
    reason: str
    metadata: Visibility
    raw: Right
    processed: Right
    scripts: Right
    until: date | None = None

    def right(self, kind: AreaKind) -> Right:
        """What this grant allows in areas of a kind."""
        match kind:
            case AreaKind.RAW:
                return self.raw
            case AreaKind.PROCESSED:
                return self.processed
            case AreaKind.SCRIPTS | AreaKind.NOTES:
                return self.scripts


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person may do with one investigation today.

    ``row`` is the row of the table that denied, or the first one that granted. ``denial`` is
    text for the person, empty where something is granted. ``embargoed_until`` is set only where
    the person may know that the investigation exists.
    """

    investigation: InvestigationId
    row: int
    metadata: Visibility
    raw: Right = Right.NONE
    processed: Right = Right.NONE
    scripts: Right = Right.NONE
    grants: tuple[Grant, ...] = ()
    denial: str = ""
    embargoed_until: date | None = None

    @property
    def reads_data(self) -> bool:
        """Whether any data of it may be read."""
        return self.raw is not Right.NONE or self.processed is not Right.NONE

    @property
    def is_open(self) -> bool:
        """Whether it may be read only because it is public."""
        return bool(self.grants) and all(grant.row == RELEASED_ROW for grant in self.grants)

    @property
    def reasons_text(self) -> str:
        """Why anything is granted, each reason once."""
        return "; ".join(dict.fromkeys(grant.reason for grant in self.grants))

    def right(self, kind: AreaKind) -> Right:
        """What is allowed in areas of a kind."""
        match kind:
            case AreaKind.RAW:
                return self.raw
            case AreaKind.PROCESSED:
                return self.processed
            case AreaKind.SCRIPTS | AreaKind.NOTES:
                return self.scripts

    def reason(self, kind: AreaKind) -> str:
        """Why areas of a kind may be read or written, by the first grant that says so."""
        right = self.right(kind)
        return next((grant.reason for grant in self.grants if grant.right(kind) is right), self.denial)


RELEASED_ROW = 8
"""Row of the table for public data."""
