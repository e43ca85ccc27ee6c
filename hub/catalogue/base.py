"""The interface of every catalogue (files, SciCat, ICAT+)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hub.catalogue.models import (
    Dataset,
    DatasetPid,
    Instrument,
    Investigation,
    InvestigationId,
    ProposalName,
)

T = TypeVar("T")


class CatalogueError(Exception):
    """The catalogue cannot answer; whoever asked fails closed."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of an answer. ``total`` counts all matches."""

    items: tuple[T, ...]
    total: int
    offset: int = 0


class Catalogue(Protocol):
    """Read access to proposals, investigations and data sets. It decides nothing.

    All methods raise `CatalogueError` when the catalogue cannot answer. What is not there is
    None or empty, never an error.
    """

    async def investigations_for(self, user_id: str) -> Sequence[Investigation]:
        """Investigations this facility user id is on the team of, or was granted, newest first."""
        ...

    async def investigations_on(self, instrument: str) -> Sequence[Investigation]:
        """Investigations on one instrument, newest first."""
        ...

    async def released(self, *, text: str = "", limit: int = 50, offset: int = 0) -> Page[Investigation]:
        """Investigations with a release date in the past, newest first, matching ``text``."""
        ...

    async def investigation(self, ref: InvestigationId) -> Investigation | None:
        """One investigation by id."""
        ...

    async def proposal(self, name: ProposalName) -> Sequence[Investigation]:
        """All investigations of one proposal."""
        ...

    async def instrument(self, ref: str) -> Instrument | None:
        """One instrument."""
        ...

    async def instruments_of(self, user_id: str) -> Sequence[Instrument]:
        """Instruments this facility user id is a scientist of."""
        ...

    async def datasets(
        self, ref: InvestigationId, *, text: str = "", limit: int = 50, offset: int = 0
    ) -> Page[Dataset]:
        """Data sets of an investigation, newest first, matching ``text``."""
        ...

    async def dataset(self, pid: DatasetPid) -> Dataset | None:
        """One data set by its pid."""
        ...

    async def resolve(self, identifier: str) -> Dataset | Investigation | None:
        """What a DOI, pid, investigation id or proposal name stands for."""
        ...
