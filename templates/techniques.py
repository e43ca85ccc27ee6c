"""Which technique is a kind of which? The PaNET hierarchy, and names seen in files and catalogues.

PaNET writes most leaf terms (SAXS, EXAFS, …) as *equivalent to* a conjunction of other terms and
gives them no parent. Here each term of such a conjunction counts as a parent, so EXAFS is found to be
an x-ray absorption spectroscopy by way of XAFS; and what is a kind of every term of it is a kind of the
whole, so USAXS (ultra small angle scattering with x-rays) is found to be SAXS. Terms are
referred to by label and by id (``PaNET:PaNET01124``); both are read.

Source: PaNET 1.3.0 (CC BY 4.0), see `templates/panet/README.md`; ESRFET names are those of
https://w3id.org/PaN/ESRFET#.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

_PANET_CSV = Path(__file__).with_name("panet") / "PaNET-1.3.0.csv"

_HEADER_ROWS = 2

_REFERENCE = re.compile(r"PaNET:(PaNET\d+)|'([^']+)'")

_PANET_IRI = re.compile(r"https?://purl\.org/pan-science/PaNET/(?:v?[\d.]+/)?#?(PaNET\d+)", re.IGNORECASE)

_ESRFET_IRI = re.compile(r"https?://w3id\.org/PaN/ESRFET(?:/v?[\d.]+/?)?[#/]([^#/]+)", re.IGNORECASE)

_PANET_ID = re.compile(r"(?:PaNET:)?PaNET(\d{5,7})", re.IGNORECASE)

ESRFET: Mapping[str, str] = {
    "SAXS": "PaNET01188",
    "GISAXS": "PaNET01162",
    "USAXS": "PaNET01241",
    "WAXS": "PaNET01191",
    "XRPD": "PaNET01101",
    "XRCT": "PaNET01207",
    "XPCT": "PaNET01332",
    "XRF": "PaNET01177",
    "S-XRF": "PaNET01288",
    "XAS": "PaNET01196",
    "EXAFS": "PaNET01198",
    "XANES": "PaNET01199",
    "PTYCHO": "PaNET01212",
    "CDI": "PaNET01174",
    "MX": "PaNET01164",
    "SSX": "PaNET01169",
    "XPCS": "PaNET01205",
}
"""ESRFET short names with a PaNET term of the same meaning."""


class TechniqueTree:
    """Terms with their labels, direct parents and, where they are defined so, their conjunctions."""

    def __init__(
        self,
        labels: Mapping[str, str],
        parents: Mapping[str, frozenset[str]],
        conjunctions: Mapping[str, frozenset[str]],
    ) -> None:
        self.labels: Mapping[str, str] = dict(labels)
        self._parents = dict(parents)
        self._conjunctions = dict(conjunctions)
        self._ancestors: dict[str, frozenset[str]] = {}

    def __contains__(self, technique: str) -> bool:
        return technique in self.labels

    def __len__(self) -> int:
        return len(self.labels)

    def label(self, technique: str) -> str:
        """Label of a term; the term itself where it is not known."""
        return self.labels.get(technique, technique)

    def parents(self, technique: str) -> frozenset[str]:
        """Direct parents, those of its equivalent terms included."""
        return self._parents.get(technique, frozenset())

    def is_a(self, technique: str, ancestor: str) -> bool:
        """True for the same term and for every kind of it."""
        return technique == ancestor or ancestor in self.ancestors(technique)

    def ancestors(self, technique: str) -> frozenset[str]:
        """All terms above one term."""
        if technique not in self._ancestors:
            self._ancestors[technique] = self._find_ancestors(technique)
        return self._ancestors[technique]

    def _find_ancestors(self, technique: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = set(self.parents(technique))
        while waiting:
            found |= waiting
            above = {parent for term in waiting for parent in self.parents(term)}
            whole = {term for term, parts in self._conjunctions.items() if parts <= found}
            waiting = (above | whole) - found - {technique}
        return frozenset(found)


@cache
def panet() -> TechniqueTree:
    """The hierarchy of PaNET, read once."""
    return read_panet(_PANET_CSV)


def read_panet(path: Path) -> TechniqueTree:
    """Read a PaNET table (ROBOT template) and join parents and equivalents.

    Raises
    ------
    ValueError
        If the table has no label, parent or equivalent column.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    header = rows[0]
    columns = [i for i, name in enumerate(header) if name in ("Parent IRI", "Equivalent")]
    if header[1:3] != ["ID", "Label"] or not columns:
        raise ValueError(f"{path}: not a PaNET table (columns ID, Label, Parent IRI, Equivalent)")
    terms = [row for row in rows[_HEADER_ROWS:] if len(row) > max(columns) and "PaNET" in row[1]]
    labels = {_tail(row[1]): row[2].strip() for row in terms}
    by_label = {label: term for term, label in labels.items()}
    parents: dict[str, set[str]] = {term: set() for term in labels}
    conjunctions = {}
    for row in terms:
        term = _tail(row[1])
        parents[term].update(t for i in columns for t in _references(row[i], by_label) if t in labels)
        parents[term].discard(term)
        cells = [row[i] for i in columns if header[i] == "Equivalent" and row[i].strip()]
        parts = frozenset(t for cell in cells for t in _references(cell, by_label))
        if len(parts) > 1 and parts <= labels.keys() and not any(" some " in cell for cell in cells):
            conjunctions[term] = parts
    return TechniqueTree(labels, {t: frozenset(above) for t, above in parents.items()}, conjunctions)


def normalise(name: str) -> str:
    """Bring an IRI, short name or label to its PaNET id; what is not known is returned cleaned.

    Versions in IRIs are dropped. Text is compared in Unicode form NFKC with plain hyphens, as three
    ESRFET names hold U+2011 or a Greek letter.
    """
    text = unicodedata.normalize("NFKC", name).strip().replace("‐", "-")
    if match := _PANET_IRI.fullmatch(text) or _PANET_ID.fullmatch(text):
        return f"PaNET{match[1].upper().removeprefix('PANET')}"
    if match := _ESRFET_IRI.fullmatch(text):
        text = match[1]
    if text.upper() in ESRFET:
        return ESRFET[text.upper()]
    return _by_label().get(text.lower(), text)


def normalise_all(names: Iterable[str]) -> tuple[str, ...]:
    """Normalise several names; each term once, in the order given."""
    return tuple(dict.fromkeys(normalise(name) for name in names if name.strip()))


@cache
def _by_label() -> Mapping[str, str]:
    tree = panet()
    return {label.lower(): term for term, label in tree.labels.items()}


def _tail(iri: str) -> str:
    return iri.rsplit("/", 1)[-1]


def _references(cell: str, by_label: Mapping[str, str]) -> list[str]:
    """Terms a cell refers to. ``p some X`` restricts a property and names no technique."""
    text = cell.strip()
    if not text or " some " in text:
        return []
    if text in by_label:
        return [by_label[text]]
    return [by_id or by_label.get(label, "") for by_id, label in _REFERENCE.findall(text)]
