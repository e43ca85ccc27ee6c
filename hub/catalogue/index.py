"""Every look-up of a `files` catalogue, in memory: made once from checked entries, never changed.

Look-ups cost O(1) or O(answer). Lists are newest first, by start of the visit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from operator import attrgetter

from hub.catalogue.base import Page
from hub.catalogue.models import (
    Dataset,
    ExplicitGrant,
    Instrument,
    Investigation,
    InvestigationId,
    ProposalName,
    Role,
    TeamMember,
)
from hub.catalogue.models import DatasetPid as Pid
from hub.catalogue.release import years_after
from hub.catalogue.schema import (
    DatasetEntry,
    FacilityFile,
    InstrumentEntry,
    InvestigationEntry,
    MemberEntry,
    ProposalEntry,
)
from hub.catalogue.words import WordIndex, matches, words_of


class DuplicateError(Exception):
    """Two entries have one id; the text says which."""


class Index:
    """All entries of a catalogue with the look-ups of `hub.catalogue.base.Catalogue`."""

    def __init__(
        self,
        facility: FacilityFile,
        instruments: Iterable[InstrumentEntry],
        proposals: Iterable[ProposalEntry],
    ) -> None:
        self.facility = facility
        self.roles = {word.casefold(): role for word, role in facility.roles.items()}
        self.instruments: dict[str, Instrument] = {}
        self.investigations: dict[InvestigationId, Investigation] = {}
        self.datasets: dict[Pid, Dataset] = {}
        self.by_proposal: dict[ProposalName, tuple[Investigation, ...]] = {}
        self._datasets_of: dict[InvestigationId, tuple[Dataset, ...]] = {}
        # People are on many teams: one object each, not one per team.
        self._members: dict[TeamMember, TeamMember] = {}
        for instrument in instruments:
            self._add_instrument(instrument)
        for proposal in proposals:
            self._add_proposal(proposal)
        self._sort()

    def _add_instrument(self, entry: InstrumentEntry) -> None:
        if entry.id in self.instruments:
            raise DuplicateError(f"instrument {entry.id!r} is there twice")
        self.instruments[entry.id] = Instrument(entry.id, entry.title, entry.scientists)

    def _add_proposal(self, entry: ProposalEntry) -> None:
        name = ProposalName(entry.name)
        if name in self.by_proposal:
            raise DuplicateError(f"proposal {name!r} is there twice")
        made = [self._investigation(entry, visit) for visit in entry.investigations]
        for investigation, visit in zip(made, entry.investigations, strict=True):
            self._add_investigation(investigation, visit.datasets)
        self.by_proposal[name] = _newest_first(made)

    def _add_investigation(self, made: Investigation, datasets: Sequence[DatasetEntry]) -> None:
        if made.id in self.investigations:
            raise DuplicateError(f"investigation {made.id!r} is there twice")
        if made.instrument not in self.instruments:
            raise DuplicateError(f"investigation {made.id!r} is on unknown instrument {made.instrument!r}")
        self.investigations[made.id] = made
        own = [_dataset(made.id, entry) for entry in datasets]
        for dataset in own:
            if dataset.pid in self.datasets:
                raise DuplicateError(f"data set {dataset.pid!r} is there twice")
            self.datasets[dataset.pid] = dataset
        self._datasets_of[made.id] = tuple(sorted(own, key=attrgetter("created"), reverse=True))

    def _investigation(self, proposal: ProposalEntry, visit: InvestigationEntry) -> Investigation:
        return Investigation(
            id=InvestigationId(visit.id),
            proposal=ProposalName(proposal.name),
            title=visit.title or proposal.title,
            instrument=visit.instrument,
            start=visit.start,
            end=visit.end,
            root=visit.root,
            team=tuple(self._member(entry) for entry in proposal.team),
            grants=tuple(
                ExplicitGrant(
                    grant.user_id, grant.expires, grant.may_write_processed, grant.given_by, grant.reason
                )
                for grant in proposal.grants
            ),
            release_date=self._release_date(visit),
            doi=visit.doi,
            is_published=visit.is_published,
            is_proprietary=self._is_proprietary(proposal),
            abstract=proposal.abstract,
        )

    def _member(self, entry: MemberEntry) -> TeamMember:
        role = self.roles.get(entry.role.casefold(), Role.UNKNOWN)
        member = TeamMember(entry.user_id, role, entry.name)
        return self._members.setdefault(member, member)

    def _release_date(self, visit: InvestigationEntry) -> date | None:
        if "release_date" in visit.model_fields_set:
            return visit.release_date
        return years_after(visit.start.date(), self.facility.release_years)

    def _is_proprietary(self, proposal: ProposalEntry) -> bool:
        if proposal.is_proprietary is not None:
            return proposal.is_proprietary
        return any(
            fnmatchcase(proposal.name.lower(), pattern.lower()) for pattern in self.facility.industrial
        )

    def _sort(self) -> None:
        self.by_user = _grouped(
            (user_id, investigation)
            for investigation in self.investigations.values()
            for user_id in _people_of(investigation)
        )
        self.by_instrument = _grouped((one.instrument, one) for one in self.investigations.values())
        self.instruments_of = _instruments_by_scientist(self.instruments.values())
        dated = [(one.release_date, one) for one in self.investigations.values() if one.release_date]
        dated.sort(key=lambda pair: pair[0])
        self._release_dates = [day for day, _ in dated]
        self._released = [one for _, one in dated]
        self._released_words = WordIndex(searchable(one) for one in self._released)
        self.by_doi: dict[str, Dataset | Investigation] = {
            dataset.doi: dataset for dataset in self.datasets.values() if dataset.doi
        }
        # Investigations last: the DOI of a whole visit is not taken over by one of its data sets.
        self.by_doi.update((one.doi, one) for one in self.investigations.values() if one.doi)

    def released(self, today: date, *, text: str, limit: int, offset: int) -> Page[Investigation]:
        """Investigations whose release date is before ``today``, latest release first."""
        end = bisect_left(self._release_dates, today)
        query = words_of(text)
        if query:
            numbers = sorted((n for n in self._released_words.search(query) if n < end), reverse=True)
        elif text.strip():
            numbers = []
        else:
            first = max(end - offset, 0)
            items = tuple(self._released[n] for n in range(first - 1, max(first - limit, 0) - 1, -1))
            return Page(items, end, offset)
        wanted = numbers[offset : offset + limit]
        return Page(tuple(self._released[n] for n in wanted), len(numbers), offset)

    def datasets_of(self, ref: InvestigationId, *, text: str, limit: int, offset: int) -> Page[Dataset]:
        """Data sets of one investigation that match ``text``."""
        query = words_of(text)
        found = [one for one in self._datasets_of.get(ref, ()) if matches(query, _dataset_text(one))]
        return Page(tuple(found[offset : offset + limit]), len(found), offset)

    def resolve(self, identifier: str) -> Dataset | Investigation | None:
        """What a DOI, pid, investigation id or proposal name (its newest visit) stands for."""
        if dataset := self.datasets.get(Pid(identifier)):
            return dataset
        if investigation := self.investigations.get(InvestigationId(identifier)):
            return investigation
        if visits := self.by_proposal.get(ProposalName(identifier)):
            return visits[0]
        return self.by_doi.get(bare_doi(identifier))


def bare_doi(identifier: str) -> str:
    """A DOI without its resolver or scheme, in lower case (DOIs do not tell case apart)."""
    folded = identifier.strip().lower()
    for prefix in (
        "https://doi.org/",
        "http://doi.org/",
        "https://dx.doi.org/",
        "http://dx.doi.org/",
        "doi:",
    ):
        if folded.startswith(prefix):
            return folded[len(prefix) :]
    return folded


def searchable(investigation: Investigation) -> str:
    """Text that a search for an investigation looks in."""
    team = " ".join(member.name for member in investigation.team)
    parts = (investigation.proposal, investigation.title, investigation.instrument, investigation.doi, team)
    return " ".join(part for part in parts if part)


def _people_of(investigation: Investigation) -> set[str]:
    team = {member.user_id for member in investigation.team}
    return team | {grant.user_id for grant in investigation.grants}


def _dataset_text(dataset: Dataset) -> str:
    parts = (dataset.name, dataset.sample, dataset.description, dataset.doi, *dataset.techniques)
    return " ".join(part for part in parts if part)


def _dataset(ref: InvestigationId, entry: DatasetEntry) -> Dataset:
    return Dataset(
        pid=Pid(entry.pid),
        investigation=ref,
        name=entry.name,
        kind=entry.kind,
        path=entry.path,
        created=entry.created,
        techniques=entry.techniques,
        definition=entry.definition,
        doi=entry.doi,
        sample=entry.sample,
        frames=entry.frames,
        size_bytes=entry.size_bytes,
        description=entry.description,
    )


def _newest_first(found: Iterable[Investigation]) -> tuple[Investigation, ...]:
    return tuple(sorted(found, key=attrgetter("start", "id"), reverse=True))


def _grouped(pairs: Iterable[tuple[str, Investigation]]) -> Mapping[str, tuple[Investigation, ...]]:
    groups: defaultdict[str, list[Investigation]] = defaultdict(list)
    for key, investigation in pairs:
        groups[key].append(investigation)
    return {key: _newest_first(found) for key, found in groups.items()}


def _instruments_by_scientist(instruments: Iterable[Instrument]) -> Mapping[str, tuple[Instrument, ...]]:
    groups: defaultdict[str, list[Instrument]] = defaultdict(list)
    for instrument in instruments:
        for user_id in instrument.scientists:
            groups[user_id].append(instrument)
    return {key: tuple(found) for key, found in groups.items()}
