"""Layouts give the paths of their sites; words are found by their beginnings."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.layout import ESRF_V3, ILL, LAYOUTS, AreaKind, Layout
from hub.catalogue.words import WordIndex, matches, words_of

DAY = date(2026, 3, 10)


@pytest.mark.parametrize(
    ("layout", "instrument", "expected"),
    [
        (ESRF_V3, "id22", "ma5501/id22/20260310"),
        (ESRF_V3, "id23-1", "ma5501/id23eh1/20260310"),
        (ILL, "d22", "data/d22/exp_ma5501"),
    ],
)
def test_folder_of_a_visit(layout: Layout, instrument: str, expected: str) -> None:
    assert str(layout.visit_root("ma5501", instrument, DAY)) == expected


def test_the_cycle_is_part_of_the_path_at_ill() -> None:
    assert str(ILL.visit_root("9-10-1", "d22", DAY, cycle="261")) == "261/d22/exp_9-10-1"


@pytest.mark.parametrize("layout", LAYOUTS.values())
def test_every_layout_has_one_raw_area_and_its_names_are_single_folders(layout: Layout) -> None:
    assert [area.kind for area in layout.areas].count(AreaKind.RAW) == 1
    assert len({area.name for area in layout.areas}) == len(layout.areas)
    assert all("/" not in area.name for area in layout.areas)
    assert layout.shown_under.is_absolute()
    assert layout.area(AreaKind.RAW).kind is AreaKind.RAW


def test_an_area_that_a_layout_lacks_is_an_error() -> None:
    with pytest.raises(KeyError):
        ILL.area(AreaKind.NOTES)


TEXTS = st.lists(st.text(alphabet="abcé1 -", max_size=12), max_size=8)


@given(TEXTS, st.text(alphabet="abcé1 -", max_size=4))
def test_the_index_finds_what_a_look_at_every_text_finds(texts: list[str], query: str) -> None:
    words = words_of(query)
    if not words:
        return
    expected = {number for number, text in enumerate(texts) if matches(words, text)}
    assert WordIndex(texts).search(words) == expected


def test_case_and_accents_do_not_count() -> None:
    assert words_of("Größe LaB6, ÉTUDE") == ("grosse", "lab6", "etude")
