"""Which templates fit a data set, and why?

Hard predicates first: everything required is in the file and nothing refused is. They, more than the
declared definition, keep people from useless launches, since many files declare none. Then a score,
each part of it said in plain words. Pure: facts of the file come from `templates.inspector`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from templates.catalogue import Library, Template
from templates.facts import FileFacts, Item
from templates.models import InputMatch, Pattern, Requirement
from templates.techniques import normalise_all, panet
from templates.units import dimension

RECOMMENDED_FROM = 50
"""Least score of a recommendation: the same definition, or a fitting file of the technique."""

_FITS, _SAME_DEFINITION, _OTHER_DEFINITION = 10, 50, -20

_SAME_TECHNIQUE, _OTHER_TECHNIQUE, _INSTRUMENT, _NO_FILE = 40, -30, 20, -10


class Verdict(StrEnum):
    """What to tell a person; ``no`` is shown only under *show all*."""

    RECOMMENDED = "recommended"
    POSSIBLE = "possible"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Match:
    """How well one template fits. ``why`` are sentences without a full stop."""

    template: Template
    score: int
    verdict: Verdict
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    points: int
    why: str


def match(
    template: Template,
    facts: FileFacts | None,
    dataset_techniques: Iterable[str] = (),
    dataset_definition: str | None = None,
    instrument: str | None = None,
) -> Match:
    """Say how well a template fits a data set.

    Parameters
    ----------
    template
        The template.
    facts
        What is in the file; None if it could not be looked into, then nothing is recommended.
    dataset_techniques
        Techniques by the catalogue, in any spelling `templates.techniques.normalise` knows.
    dataset_definition
        NeXus definition by the catalogue.
    instrument
        Instrument's id by the catalogue; the file's own name for it counts too.
    """
    rules = template.spec.inputs[0].match if template.spec.inputs else InputMatch()
    if facts is not None and (obstacles := tuple(_obstacles(rules, facts))):
        return Match(template, 0, Verdict.NO, obstacles)
    in_file = facts or FileFacts()
    definitions = {d for d in (dataset_definition, *in_file.definitions) if d}
    techniques = normalise_all(chain(dataset_techniques, in_file.techniques))
    parts = [
        _file_part(rules, facts),
        *_definition_part(rules, definitions),
        *_technique_part(template, techniques),
        *_instrument_part(template, {i for i in (instrument, in_file.instrument) if i}),
    ]
    score = sum(part.points for part in parts)
    return Match(template, score, _verdict(score, facts), tuple(part.why for part in parts))


def rank(
    library: Library,
    facts: FileFacts | None,
    dataset_techniques: Iterable[str] = (),
    dataset_definition: str | None = None,
    instrument: str | None = None,
) -> list[Match]:
    """All templates, the best fit first; equal ones by title."""
    techniques = tuple(dataset_techniques)
    found = [match(t, facts, techniques, dataset_definition, instrument) for t in library.all()]
    order = list(Verdict)
    return sorted(found, key=lambda m: (order.index(m.verdict), -m.score, m.template.spec.title))


def find_role(facts: FileFacts, need: Requirement) -> Item | None:
    """The item that fills a role: the first pattern that finds one decides."""
    return next((item for pattern in need.any_of for item in facts.items if fits(item, pattern)), None)


def fits(item: Item, pattern: Pattern) -> bool:
    """True if all that a pattern says holds for an item."""
    if pattern.nxclass is not None and item.nxclass != pattern.nxclass:
        return False
    if pattern.field is not None and item.name != pattern.field:
        return False
    if pattern.regex is not None and not re.search(pattern.regex, item.path):
        return False
    if pattern.units is not None and dimension(item.units) != pattern.units:
        return False
    if pattern.min_rank is not None and len(item.shape) < pattern.min_rank:
        return False
    last = item.shape[-2:]
    return pattern.min_last2 is None or (len(last) == 2 and min(last) >= pattern.min_last2)


def _obstacles(rules: InputMatch, facts: FileFacts) -> Iterator[str]:
    for need in rules.require:
        if find_role(facts, need) is None:
            yield f"The file has no {need.title.removeprefix('a ').removeprefix('the ')}"
    for pattern in rules.refuse:
        if found := next((item for item in facts.items if fits(item, pattern)), None):
            yield f"The file has {found.path}, so it is of another kind"


def _file_part(rules: InputMatch, facts: FileFacts | None) -> _Part:
    if facts is None:
        return _Part(_NO_FILE, "The file could not be looked into")
    if not rules.require:
        return _Part(_FITS, "Works with any HDF5 file")
    return _Part(_FITS, f"The file has {_listed([need.title for need in rules.require])}")


def _definition_part(rules: InputMatch, definitions: set[str]) -> Iterator[_Part]:
    if not rules.definitions or not definitions:
        return
    if same := sorted(definitions & set(rules.definitions)):
        yield _Part(_SAME_DEFINITION, f"Made for {same[0]}, as the data set declares")
    else:
        yield _Part(_OTHER_DEFINITION, f"The data set declares {sorted(definitions)[0]}")


def _technique_part(template: Template, techniques: tuple[str, ...]) -> Iterator[_Part]:
    tree = panet()
    known = [t for t in techniques if t in tree]
    own = template.spec.techniques
    if not known or not own:
        return
    if same := next((t for t in known if any(tree.is_a(t, o) for o in own)), None):
        yield _Part(_SAME_TECHNIQUE, f"Made for {tree.label(same)}")
    elif broader := next((t for t in known if any(tree.is_a(o, t) for o in own)), None):
        yield _Part(0, f"The data set says only {tree.label(broader)}")
    else:
        yield _Part(_OTHER_TECHNIQUE, f"The data set is of another technique: {tree.label(known[0])}")


def _instrument_part(template: Template, instruments: set[str]) -> Iterator[_Part]:
    wanted = {name.lower() for name in template.spec.scope.instruments} - {"*"}
    if found := next((i for i in sorted(instruments) if i.lower() in wanted), None):
        yield _Part(_INSTRUMENT, f"Made for instrument {found}")


def _verdict(score: int, facts: FileFacts | None) -> Verdict:
    if score >= RECOMMENDED_FROM and facts is not None:
        return Verdict.RECOMMENDED
    return Verdict.POSSIBLE if score > 0 else Verdict.NO


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
