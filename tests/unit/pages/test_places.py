"""What the form says of a place before anything starts there."""

from __future__ import annotations

import pytest

from hub.pages.places import place_warning, place_words
from spawners.backend import Availability
from spawners.plan import Size

SMALL = Size("small", "Small", 1, 2048)
MEDIUM = Size("medium", "Medium", 2, 4096)
GPU = Size("gpu", "One GPU", 1, 2048, 1)


@pytest.mark.parametrize(
    ("free", "size", "words"),
    [
        (Availability(True, 3, 4), SMALL, "3 of 4 CPU free, starts now"),
        (Availability(True, 1, 4), MEDIUM, "1 of 4 CPU free, busy: it may be slow"),
        (Availability(True, 3, 4, gpus_free=1, gpus_total=2), GPU, "3 of 4 CPU, 1 of 2 GPU free, starts now"),
        (
            Availability(True, 3, 4, gpus_free=0, gpus_total=2),
            GPU,
            "3 of 4 CPU, 0 of 2 GPU free, busy: it may be slow",
        ),
        (Availability(True, 3, 4), None, "3 of 4 CPU free"),
        (Availability(True), SMALL, ""),
        (Availability(True, warm_free=3, warm_total=5), None, "3 of 5 rooms kept ready"),
        (Availability(True, 3, 4, warm_total=5), None, "3 of 4 CPU free, 0 of 5 rooms kept ready"),
        (Availability(False), SMALL, "Does not answer at the moment"),
    ],
)
def test_a_place_says_what_is_free_and_whether_it_starts_now(free, size, words):
    assert place_words(free, size) == words


def test_who_takes_a_place_that_keeps_nobody_apart_is_warned():
    assert "not kept apart" in place_warning(Availability(True, is_isolated=False))
    assert place_warning(Availability(True)) == ""
    assert place_warning(Availability(False, is_isolated=False)) == ""
