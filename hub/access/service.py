"""What may this person read, and as which mounts? Catalogue, decision and storage put together.

Every way into a session asks `AccessService.grants_for`; pages ask `visible_investigations`,
`visible_datasets` and `find`. An identifier that is unknown is decided on like any other, by a
stand-in that nobody may read: the same work and the same words as for what is not yours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

from hub.access.cache import RememberingCatalogue
from hub.access.decision import decide
from hub.access.mounts import area_of, plan_mounts, present
from hub.access.paths import MissingPathError, UnsafePathError, resolve_beneath
from hub.access.policy import AccessPolicy
from hub.access.problems import offline, refusal, storage_unavailable, unsafe_path
from hub.access.rights import BreakGlass, Decision, Right, Subject
from hub.catalogue.base import Catalogue, Page
from hub.catalogue.index import searchable
from hub.catalogue.layout import Layout
from hub.catalogue.models import (
    Dataset,
    DatasetPid,
    Investigation,
    InvestigationId,
    ProposalName,
)
from hub.catalogue.words import matches, words_of
from hub.identity.models import Person
from hub.launch.models import Input, InputKind
from spawners.ownthreads import OwnThreads
from spawners.plan import Mount

log = logging.getLogger(__name__)
audit = logging.getLogger("panhub.audit")


@dataclass(frozen=True, slots=True)
class GrantedDataset:
    """A data set that may be read, with its path on the storage and in the session."""

    dataset: Dataset
    investigation: Investigation
    decision: Decision
    source: PurePosixPath
    target: PurePosixPath


@dataclass(frozen=True, slots=True)
class AccessResult:
    """What a session gets to see, and why. Investigations, decisions and data sets in order of the inputs."""

    mounts: tuple[Mount, ...] = ()
    decisions: tuple[Decision, ...] = ()
    datasets: tuple[GrantedDataset, ...] = ()
    investigations: tuple[Investigation, ...] = ()


@dataclass(frozen=True, slots=True)
class Visible:
    """An investigation whose data the person may read; ``dataset`` where a search found one."""

    investigation: Investigation
    decision: Decision
    dataset: Dataset | None = None

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it."""
        return self.decision.is_open


@dataclass(frozen=True, slots=True)
class _Found:
    """What an input stands for. ``is_public_name``: a stranger may know that it exists."""

    investigations: tuple[Investigation, ...]
    dataset: Dataset | None
    is_public_name: bool


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_NOBODYS = Investigation(
    id=InvestigationId(""),
    proposal=ProposalName(""),
    title="",
    instrument="",
    start=_LONG_AGO,
    end=_LONG_AGO,
    root=PurePosixPath("nobody"),
)
"""Stand-in for what does not exist: proprietary, without a team."""

_STORAGE_S = 10.0
"""A file system of the network that has gone keeps whoever looks at it waiting without end."""

_SEARCHED = 50
"""Investigations whose data sets a search looks into, newest first."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AccessService:
    """Decisions, mounts and listings for one site.

    Parameters
    ----------
    data_root
        Folder on the storage that the roots of investigations are relative to.
    now
        Gives the current time (aware UTC).
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policy: AccessPolicy,
        layout: Layout,
        data_root: Path,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._catalogue = RememberingCatalogue(catalogue, policy.stale_answers_s)
        self._policy = policy
        self._layout = layout
        self._data_root = data_root
        self._now = now
        self._threads = OwnThreads("storage")

    async def decide(
        self, person: Person, ref: InvestigationId, *, break_glass: BreakGlass | None = None
    ) -> Decision:
        """Decision on one investigation; of one that does not exist, a refusal like any other."""
        subject = await self._subject(person, break_glass)
        investigation = await self._catalogue.investigation(ref)
        decision = self._decide(subject, investigation or _NOBODYS)
        if any(grant.row == _BREAK_GLASS_ROW for grant in decision.grants):
            reason = break_glass.reason if break_glass else ""
            audit.warning(
                "emergency access person=%s investigation=%s reason=%r", person.username, ref, reason[:200]
            )
        return decision

    async def grants_for(self, person: Person, inputs: Sequence[Input]) -> AccessResult:
        """Everything that these inputs show in a session, or a refusal of all.

        Raises
        ------
        RequestError
            ``not_found_or_not_entitled``, ``embargoed_until``, ``account_not_usable``,
            ``offline_staging``, ``storage_unavailable``, ``data_path_refused`` or ``catalogue_unavailable``.
        """
        if not inputs:
            return AccessResult()
        granted, datasets = await self._decided(person, inputs)
        look = partial(self._result, granted, datasets.values())
        try:
            return await self._threads.run(look, timeout_s=_STORAGE_S)
        except TimeoutError as error:
            raise storage_unavailable() from error

    async def mounts_now(self, person: Person, inputs: Sequence[Input]) -> tuple[Mount, ...]:
        """Mounts that these inputs are granted now, whether the storage has them or not.

        Raises
        ------
        RequestError
            As `grants_for`, but for what is wrong with the storage.
        """
        granted, _ = await self._decided(person, inputs)
        try:
            return tuple(mount for one in granted.values() for mount in self._planned(*one))
        except UnsafePathError as error:
            raise unsafe_path() from error

    async def _decided(
        self, person: Person, inputs: Sequence[Input]
    ) -> tuple[dict[InvestigationId, tuple[Investigation, Decision]], dict[DatasetPid, Dataset]]:
        """The readable investigations and the data sets that inputs name, or a refusal of all."""
        subject = await self._subject(person, None)
        granted: dict[InvestigationId, tuple[Investigation, Decision]] = {}
        datasets: dict[DatasetPid, Dataset] = {}
        for wanted in inputs:
            found = await self._found(wanted)
            for investigation, decision in self._granted(subject, found):
                granted[investigation.id] = (investigation, decision)
            if found.dataset is not None:
                datasets[found.dataset.pid] = found.dataset
        return granted, datasets

    def _planned(self, investigation: Investigation, decision: Decision) -> tuple[Mount, ...]:
        root = PurePosixPath(self._data_root)
        return plan_mounts(decision, investigation, layout=self._layout, data_root=root)

    async def visible_investigations(
        self, person: Person, text: str = "", *, limit: int = 50, offset: int = 0
    ) -> Page[Visible]:
        """Investigations whose data the person may read: own ones first, then public ones.

        ``total`` may count some twice (own and public); a page may be shorter than ``limit``.
        """
        subject = await self._subject(person, None)
        own = await self._own(subject, text)
        items = list(own[offset : offset + limit])
        # Asked for even where the page is full: it gives the total.
        released = await self._catalogue.released(
            text=text, limit=limit - len(items), offset=max(offset - len(own), 0)
        )
        known = {visible.investigation.id for visible in own}
        fresh = [one for one in released.items if one.id not in known]
        items += await asyncio.to_thread(self._readable, subject, fresh)
        return Page(tuple(items), len(own) + released.total, offset)

    async def visible_datasets(
        self, person: Person, ref: InvestigationId, text: str = "", *, limit: int = 50, offset: int = 0
    ) -> Page[Dataset]:
        """Data sets of one investigation in the areas that the person may read.

        Raises
        ------
        RequestError
            As `grants_for`.
        """
        subject = await self._subject(person, None)
        wanted = Input(kind=InputKind.INVESTIGATION, ref=ref)
        [(_, decision), *_] = self._granted(subject, await self._found(wanted))
        return await self._datasets(decision, text, limit, offset)

    async def find(self, person: Person, text: str, *, limit: int = 20) -> tuple[Visible, ...]:
        """What the person may read and the text names: an exact identifier, or words.

        Looks at proposals, titles, teams, instruments and DOIs, and at the data sets of the
        newest investigations that the person may read.
        """
        subject = await self._subject(person, None)
        found = await self._named(subject, text)
        if found:
            return found
        page = await self.visible_investigations(person, text, limit=limit)
        hits = list(page.items)
        if len(hits) < limit:
            recent = await self.visible_investigations(person, limit=_SEARCHED)
            for visible in recent.items:
                sets = await self._datasets(visible.decision, text, limit, 0)
                hits += [Visible(visible.investigation, visible.decision, one) for one in sets.items]
        return tuple(hits[:limit])

    def _decide(self, subject: Subject, investigation: Investigation) -> Decision:
        return decide(subject, investigation, now=self._now(), policy=self._policy)

    async def _subject(self, person: Person, break_glass: BreakGlass | None) -> Subject:
        user_id = person.user_id
        scientist_of: frozenset[str] = frozenset()
        if user_id is not None:
            instruments = await self._catalogue.instruments_of(user_id)
            scientist_of = frozenset(instrument.id for instrument in instruments)
        return Subject.from_person(person, scientist_of, break_glass)

    async def _found(self, wanted: Input) -> _Found:
        match wanted.kind:
            case InputKind.DATASET:
                return await self._named_by(await self._catalogue.dataset(DatasetPid(wanted.ref)))
            case InputKind.DOI:
                return await self._named_by(await self._catalogue.resolve(wanted.ref))
            case InputKind.INVESTIGATION:
                visits = await self._visits(wanted.ref)
                return _Found(tuple(visits) or (_NOBODYS,), None, is_public_name=True)

    async def _named_by(self, named: Dataset | Investigation | None) -> _Found:
        dataset = named if isinstance(named, Dataset) else None
        # Asked for in any case: what is unknown costs as much as what is not yours.
        investigation = await self._catalogue.investigation(_investigation_id(named))
        is_public = dataset is None or dataset.doi is not None
        return _Found((investigation or _NOBODYS,), dataset, is_public_name=is_public)

    async def _visits(self, ref: str) -> Sequence[Investigation]:
        """The investigation of that id, or all of the proposal of that name."""
        one = await self._catalogue.investigation(InvestigationId(ref))
        several = await self._catalogue.proposal(ProposalName(ref))
        return (one,) if one is not None else several

    def _granted(self, subject: Subject, found: _Found) -> Sequence[tuple[Investigation, Decision]]:
        """The readable ones of what was found, or a refusal if there are none."""
        decided = [(one, self._decide(subject, one)) for one in found.investigations]
        readable = [(one, decision) for one, decision in decided if decision.reads_data]
        if not readable:
            raise refusal(decided[0][1], tells_embargo=found.is_public_name)
        if found.dataset is not None:
            self._check_area(found.dataset, readable[0][1])
        return readable

    def _check_area(self, dataset: Dataset, decision: Decision) -> None:
        """Refuse a data set that lies in an area which is not granted."""
        if not self._is_granted(dataset, decision):
            raise refusal(decision, tells_embargo=False)

    def _is_granted(self, dataset: Dataset, decision: Decision) -> bool:
        try:
            area = area_of(dataset, self._layout)
        except UnsafePathError:
            log.warning("Data set %s has a path that is refused", dataset.pid)
            return False
        return area is not None and decision.right(area.kind) is not Right.NONE

    def _result(
        self,
        granted: dict[InvestigationId, tuple[Investigation, Decision]],
        datasets: Iterable[Dataset],
    ) -> AccessResult:
        """Look at the storage (blocking)."""
        mounts: list[Mount] = []
        try:
            for one in granted.values():
                mounts += present(self._planned(*one), self._data_root)
            located = tuple(self._located(one, *granted[one.investigation]) for one in datasets)
        except UnsafePathError as error:
            log.warning("A path of the catalogue is refused: %s", error)
            raise unsafe_path() from error
        except MissingPathError as error:
            raise offline() from error
        if not mounts:
            raise offline()
        return AccessResult(
            mounts=tuple(mounts),
            decisions=tuple(decision for _, decision in granted.values()),
            datasets=located,
            investigations=tuple(investigation for investigation, _ in granted.values()),
        )

    def _located(self, dataset: Dataset, investigation: Investigation, decision: Decision) -> GrantedDataset:
        relative = investigation.root / dataset.path
        source = resolve_beneath(self._data_root, relative)
        target = self._layout.shown_under / relative
        return GrantedDataset(dataset, investigation, decision, source, target)

    async def _own(self, subject: Subject, text: str) -> Sequence[Visible]:
        """Readable investigations by team, grant or instrument, newest first."""
        user_id = subject.user_id
        if user_id is None:
            return ()
        found = {one.id: one for one in await self._catalogue.investigations_for(user_id)}
        for instrument in sorted(subject.scientist_of):
            found.update((one.id, one) for one in await self._catalogue.investigations_on(instrument))
        # An instrument has thousands of visits: not for the event loop.
        return await asyncio.to_thread(self._matching, subject, list(found.values()), text)

    def _matching(self, subject: Subject, found: list[Investigation], text: str) -> Sequence[Visible]:
        query = words_of(text)
        if text.strip() and not query:
            return ()
        found.sort(key=lambda one: (one.start, one.id), reverse=True)
        return self._readable(subject, (one for one in found if matches(query, searchable(one))))

    def _readable(self, subject: Subject, found: Iterable[Investigation]) -> Sequence[Visible]:
        decided = (Visible(one, self._decide(subject, one)) for one in found)
        return [visible for visible in decided if visible.decision.reads_data]

    async def _datasets(self, decision: Decision, text: str, limit: int, offset: int) -> Page[Dataset]:
        page = await self._catalogue.datasets(decision.investigation, text=text, limit=limit, offset=offset)
        items = tuple(one for one in page.items if self._is_granted(one, decision))
        return Page(items, page.total, page.offset)

    async def _named(self, subject: Subject, text: str) -> tuple[Visible, ...]:
        """What an exact identifier stands for, if the person may read it."""
        named = await self._catalogue.resolve(text.strip())
        dataset = named if isinstance(named, Dataset) else None
        investigation = await self._catalogue.investigation(_investigation_id(named))
        decision = self._decide(subject, investigation or _NOBODYS)
        if investigation is None or not decision.reads_data:
            return ()
        if dataset is not None and not self._is_granted(dataset, decision):
            return ()
        return (Visible(investigation, decision, dataset),)


def _investigation_id(named: Dataset | Investigation | None) -> InvestigationId:
    match named:
        case Dataset():
            return named.investigation
        case Investigation():
            return named.id
        case None:
            return _NOBODYS.id


_BREAK_GLASS_ROW = 7
"""Row of the table whose use is recorded."""
