"""The PaNET hierarchy, its equivalent columns included."""

import pytest

from templates.techniques import ESRFET, normalise, normalise_all, panet


@pytest.mark.parametrize(
    ("technique", "ancestor", "expected"),
    [
        ("PaNET01198", "PaNET01196", True),  # EXAFS is XAS, by way of XAFS
        ("PaNET01199", "PaNET01196", True),  # XANES
        ("PaNET01188", "PaNET01124", True),  # SAXS is SAS, referred to by id
        ("PaNET01241", "PaNET01124", True),  # USAXS
        ("PaNET01241", "PaNET01188", True),  # … is also SAXS: small angle scattering with x-rays
        ("PaNET01162", "PaNET01188", True),  # and so is GISAXS
        ("PaNET01189", "PaNET01188", False),  # but not SANS
        ("PaNET01101", "PaNET01022", True),  # powder diffraction is diffraction
        ("PaNET01188", "PaNET01188", True),
        ("PaNET01124", "PaNET01188", False),  # not the other way round
        ("PaNET01188", "PaNET01196", False),
        ("PaNET01207", "PaNET01188", False),
    ],
)
def test_kinds_are_found_through_parents_and_equivalents(technique, ancestor, expected):
    assert panet().is_a(technique, ancestor) is expected


def test_a_leaf_term_without_parent_column_still_has_parents():
    tree = panet()
    lonely = [t for t in ("PaNET01188", "PaNET01198", "PaNET01207", "PaNET01101") if not tree.parents(t)]
    assert lonely == []


def test_no_term_is_its_own_ancestor():
    tree = panet()
    assert [t for t in tree.labels if t in tree.ancestors(t)] == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://purl.org/pan-science/PaNET/PaNET01188", "PaNET01188"),
        ("https://purl.org/pan-science/PaNET/PaNET01188", "PaNET01188"),
        ("PaNET:PaNET01188", "PaNET01188"),
        ("panet01188", "PaNET01188"),
        ("https://w3id.org/PaN/ESRFET#SAXS", "PaNET01188"),
        ("https://w3id.org/PaN/ESRFET/v0.1.0/#SAXS", "PaNET01188"),
        ("https://w3id.org/PaN/ESRFET#S\u2011XRF", "PaNET01288"),
        ("saxs", "PaNET01188"),
        ("small angle x-ray scattering", "PaNET01188"),
        ("  ＳＡＸＳ ", "PaNET01188"),
        ("a technique of tomorrow", "a technique of tomorrow"),
    ],
)
def test_names_are_brought_to_one_id(written, expected):
    assert normalise(written) == expected


def test_each_technique_is_kept_once_and_empty_ones_dropped():
    assert normalise_all(["SAXS", "", "PaNET01188", "WAXS"]) == ("PaNET01188", "PaNET01191")


def test_short_names_stand_for_terms_that_exist():
    assert [name for name, term in ESRFET.items() if term not in panet()] == []
