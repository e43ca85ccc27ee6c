"""What holds while the catalogue cannot answer? Its last answers, for a short while, then nothing.

The catalogue is asked every time; a kept answer is used only when it fails. Row 0 of the access
table: without an answer young enough, everything is refused.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar, cast

from hub.catalogue.base import Catalogue, CatalogueError, Page
from hub.catalogue.models import (
    Dataset,
    DatasetPid,
    Instrument,
    Investigation,
    InvestigationId,
    ProposalName,
)
from hub.problems import Problem, RequestError

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST = 10_000
"""Answers kept; some kilobytes each."""


class RememberingCatalogue:
    """A `Catalogue` that gives its last answers while the one behind it fails.

    Every method raises `hub.problems.RequestError` (``catalogue_unavailable``) where there is no
    answer that is young enough.

    Parameters
    ----------
    max_age_s
        How old a kept answer may be [s].
    """

    def __init__(
        self, catalogue: Catalogue, max_age_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._catalogue = catalogue
        self._max_age_s = max_age_s
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, object]] = OrderedDict()

    async def investigations_for(self, user_id: str) -> Sequence[Investigation]:
        """As `Catalogue`."""
        key = ("investigations_for", user_id)
        return await self._ask(key, self._catalogue.investigations_for(user_id))

    async def investigations_on(self, instrument: str) -> Sequence[Investigation]:
        """As `Catalogue`."""
        key = ("investigations_on", instrument)
        return await self._ask(key, self._catalogue.investigations_on(instrument))

    async def released(self, *, text: str = "", limit: int = 50, offset: int = 0) -> Page[Investigation]:
        """As `Catalogue`."""
        key = ("released", text, limit, offset)
        return await self._ask(key, self._catalogue.released(text=text, limit=limit, offset=offset))

    async def investigation(self, ref: InvestigationId) -> Investigation | None:
        """As `Catalogue`."""
        return await self._ask(("investigation", ref), self._catalogue.investigation(ref))

    async def proposal(self, name: ProposalName) -> Sequence[Investigation]:
        """As `Catalogue`."""
        return await self._ask(("proposal", name), self._catalogue.proposal(name))

    async def instrument(self, ref: str) -> Instrument | None:
        """As `Catalogue`."""
        return await self._ask(("instrument", ref), self._catalogue.instrument(ref))

    async def instruments_of(self, user_id: str) -> Sequence[Instrument]:
        """As `Catalogue`."""
        return await self._ask(("instruments_of", user_id), self._catalogue.instruments_of(user_id))

    async def datasets(
        self, ref: InvestigationId, *, text: str = "", limit: int = 50, offset: int = 0
    ) -> Page[Dataset]:
        """As `Catalogue`."""
        key = ("datasets", ref, text, limit, offset)
        return await self._ask(key, self._catalogue.datasets(ref, text=text, limit=limit, offset=offset))

    async def dataset(self, pid: DatasetPid) -> Dataset | None:
        """As `Catalogue`."""
        return await self._ask(("dataset", pid), self._catalogue.dataset(pid))

    async def resolve(self, identifier: str) -> Dataset | Investigation | None:
        """As `Catalogue`."""
        return await self._ask(("resolve", identifier), self._catalogue.resolve(identifier))

    async def _ask(self, key: Hashable, question: Awaitable[T]) -> T:
        try:
            answer = await question
        except CatalogueError as error:
            return cast("T", self._last(key, error))
        self._kept[key] = (self._clock(), answer)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return answer

    def _last(self, key: Hashable, error: CatalogueError) -> object:
        at, answer = self._kept.get(key, (None, None))
        if at is None or self._clock() - at > self._max_age_s:
            log.warning("The catalogue cannot answer: %s", error)
            raise catalogue_unavailable() from error
        return answer


def catalogue_unavailable() -> RequestError:
    """The refusal while nobody can say what a person may read."""
    return RequestError(
        Problem(
            code="catalogue_unavailable",
            status=503,
            title="The data catalogue does not answer",
            detail="Which data you may read cannot be checked now, so nothing was started.",
            hint="Try again in a few minutes; sessions that run are not affected.",
        )
    )
