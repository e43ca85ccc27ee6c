"""Which template fits which data."""

from dataclasses import replace

import pytest

from templates.catalogue import Library
from templates.facts import FileFacts, Item
from templates.matching import Verdict, match, rank

LIBRARY = Library.load()
SAXS = LIBRARY.get("saxs-azimuthal-integration")
DETECTOR = "/entry/instrument/detector"
FITTING = FileFacts(
    items=(
        Item(f"{DETECTOR}/data", "NXdetector", (10, 619, 487), "<i4"),
        Item(f"{DETECTOR}/distance", "NXdetector", (), "<f8", "m", 0.15),
        Item("/entry/instrument/monochromator/energy", "NXmonochromator", (), "<f8", "keV", 12.4),
    )
)


def without(path: str) -> FileFacts:
    return replace(FITTING, items=tuple(item for item in FITTING.items if not item.path.endswith(path)))


def unit_of(path: str, units: str | None) -> FileFacts:
    changed = (replace(i, units=units) if i.path.endswith(path) else i for i in FITTING.items)
    return replace(FITTING, items=tuple(changed))


TOMOGRAPHY = replace(
    FITTING, items=(*FITTING.items, Item(f"{DETECTOR}/image_key", "NXdetector", (10,), "<i4"))
)


@pytest.mark.parametrize(
    ("facts", "techniques", "definition", "verdict", "score"),
    [
        (FITTING, ["SAXS"], "NXsas", Verdict.RECOMMENDED, 100),
        (FITTING, ["SAXS"], None, Verdict.RECOMMENDED, 50),
        (FITTING, ["PaNET01241"], None, Verdict.RECOMMENDED, 50),  # USAXS is a kind of SAXS
        (FITTING, [], "NXsas", Verdict.RECOMMENDED, 60),
        (FITTING, [], None, Verdict.POSSIBLE, 10),  # untagged
        (FITTING, ["PaNET01124"], None, Verdict.POSSIBLE, 10),  # the broader term says nothing against
        (FITTING, ["XAS"], None, Verdict.NO, -20),
        (FITTING, ["SAXS"], "NXmx", Verdict.POSSIBLE, 30),
        (FITTING, ["SAXS", "XAS"], None, Verdict.RECOMMENDED, 50),
        (replace(FITTING, definitions=("NXsas",)), [], None, Verdict.RECOMMENDED, 60),
        (None, ["SAXS"], "NXsas", Verdict.POSSIBLE, 80),
        (None, [], None, Verdict.NO, -10),
        (TOMOGRAPHY, ["SAXS"], "NXsas", Verdict.NO, 0),
        (without("/data"), ["SAXS"], "NXsas", Verdict.NO, 0),
        (without("/distance"), ["SAXS"], "NXsas", Verdict.NO, 0),
        (without("/energy"), ["SAXS"], "NXsas", Verdict.NO, 0),
        (unit_of("/energy", None), ["SAXS"], "NXsas", Verdict.NO, 0),
        (unit_of("/distance", "keV"), ["SAXS"], "NXsas", Verdict.NO, 0),
    ],
)
def test_fit(facts, techniques, definition, verdict, score):
    found = match(SAXS, facts, techniques, definition)
    assert (found.verdict, found.score) == (verdict, score)
    assert found.why


def test_each_reason_is_said_in_words():
    assert match(SAXS, FITTING, ["SAXS"], "NXmx").why == (
        "The file has a series of detector images, a detector distance and a wavelength or energy",
        "The data set declares NXmx",
        "Made for small angle x-ray scattering",
    )
    assert match(SAXS, without("/energy")).why == ("The file has no wavelength or energy",)


def test_the_best_fit_comes_first_and_some_template_always_fits():
    assert [m.template.id for m in rank(LIBRARY, FITTING, ["SAXS"])] == [
        "saxs-azimuthal-integration",
        "nexus-inspect",
    ]
    assert rank(LIBRARY, FileFacts())[0].template.id == "nexus-inspect"
    assert rank(LIBRARY, FileFacts())[0].verdict is Verdict.POSSIBLE
