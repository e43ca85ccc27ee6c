"""Which data may a person choose, by proposal and investigation?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.access.service import AccessService, GrantedDataset, Visible
from hub.catalogue.models import Dataset
from hub.identity.models import Person
from hub.pages.startviews import DataChoices, DatasetChoice, InvestigationGroup, ProposalGroup
from hub.problems import RequestError
from templates.techniques import panet

_SETS_SHOWN = 8
_VISITS_SHOWN = 12


async def data_choices(access: AccessService, person: Person, query: str) -> DataChoices:
    """What the person may read, by proposal and investigation."""
    try:
        visible, more = await _visible(access, person, query)
        groups = await _groups(access, person, visible, query)
    except RequestError as error:
        return DataChoices((), query=query, problem=error.problem.detail)
    return DataChoices(groups, query=query, more=more)


def dataset_of(granted: GrantedDataset | None) -> DatasetChoice | None:
    """The data set that was chosen, if any may be read."""
    if granted is None:
        return None
    return _dataset_choice(granted.dataset, Visible(granted.investigation, granted.decision))


async def _visible(access: AccessService, person: Person, query: str) -> tuple[Sequence[Visible], int]:
    if query:
        return await access.find(person, query, limit=_VISITS_SHOWN), 0
    page = await access.visible_investigations(person, limit=_VISITS_SHOWN)
    return page.items, max(0, page.total - len(page.items))


async def _groups(
    access: AccessService, person: Person, visible: Sequence[Visible], query: str
) -> tuple[ProposalGroup, ...]:
    visits: dict[str, list[InvestigationGroup]] = {}
    whys: dict[str, Visible] = {}
    for one in _by_investigation(visible):
        investigation = one[0].investigation
        named = [hit.dataset for hit in one if hit.dataset is not None]
        if named:
            sets, total = named, len(named)
        else:
            page = await access.visible_datasets(person, investigation.id, limit=_SETS_SHOWN)
            sets, total = list(page.items), page.total
        if not sets:
            continue
        group = InvestigationGroup(
            id=investigation.id,
            title=investigation.title,
            instrument=investigation.instrument.upper(),
            start=investigation.start,
            datasets=tuple(_dataset_choice(found, one[0]) for found in sets),
            total=total,
            released=investigation.release_date if one[0].is_open else None,
        )
        visits.setdefault(investigation.proposal, []).append(group)
        whys.setdefault(investigation.proposal, one[0])
    return tuple(
        ProposalGroup(name, whys[name].decision.reasons_text, tuple(groups), whys[name].is_open)
        for name, groups in visits.items()
    )


def _by_investigation(visible: Iterable[Visible]) -> Iterable[list[Visible]]:
    groups: dict[str, list[Visible]] = {}
    for one in visible:
        groups.setdefault(one.investigation.id, []).append(one)
    return groups.values()


def _technique(dataset: Dataset) -> str:
    return panet().label(dataset.techniques[0]) if dataset.techniques else ""


def _dataset_choice(dataset: Dataset, visible: Visible) -> DatasetChoice:
    return DatasetChoice(
        value=f"dataset:{dataset.pid}",
        name=dataset.name,
        why=visible.decision.reasons_text,
        technique=_technique(dataset),
        frames=dataset.frames,
        size_bytes=dataset.size_bytes,
        created=dataset.created,
        is_open=visible.is_open,
        proposal=visible.investigation.proposal,
        description=dataset.description,
        doi=dataset.doi or "",
    )
