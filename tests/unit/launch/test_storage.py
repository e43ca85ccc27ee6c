"""Places that do not see a launch's data or home refuse it, and say which ones do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from hub.access.service import AccessResult
from hub.launch.storage import DATA_NOT_HERE, Elsewhere, data_not_here, missing_at, with_places
from profiles.choose import OfferedPlace
from tests.support.grants import granted

HOME = PurePosixPath("/home/maja")


def place(*storage: str) -> OfferedPlace:
    return OfferedPlace("pods", "Pods", "kubernetes", storage=tuple(map(PurePosixPath, storage)))


@pytest.mark.parametrize(
    ("storage", "data", "missing"),
    [
        (("/data", "/home"), granted("ma1"), ()),
        (("/data/visitor/ma1", "/home/maja"), granted("ma1"), ()),
        (("/",), granted("ma1", "hc2"), ()),
        (("/home",), AccessResult(), ()),
        (("/home",), granted("ma1", sets=("ma1",)), ("“LaB6 series”",)),
        (("/home",), granted("ma1"), ("“Visit of ma1”",)),
        (("/data/visitor/ma1", "/home"), granted("ma1", "hc2", sets=("ma1",)), ("“Visit of hc2”",)),
        (("/data/visitor/ma",), granted("ma1"), ("“Visit of ma1”", "Your home folder")),
        (("/data",), granted("ma1"), ("Your home folder",)),
        (("/data", "/home/maja2"), AccessResult(), ("Your home folder",)),
        ((), granted("ma1", sets=("ma1",)), ("“LaB6 series”", "Your home folder")),
    ],
)
def test_what_a_place_does_not_see_is_named(
    storage: tuple[str, ...], data: AccessResult, missing: tuple[str, ...]
) -> None:
    assert missing_at(place(*storage), data, HOME) == missing


def test_a_place_that_says_nothing_sees_all_and_no_home_is_not_asked_about() -> None:
    assert missing_at(replace(place(), storage=None), granted("ma1"), HOME) == ()
    assert missing_at(place("/data"), granted("ma1"), None) == ()


@pytest.mark.parametrize(
    ("names", "detail"),
    [
        (("“LaB6”",), "“LaB6” is not on the storage of Pods."),
        (("“LaB6”", "Your home folder"), "“LaB6” and your home folder are not on the storage of Pods."),
        (("Your home folder",), "Your home folder is not on the storage of Pods."),
    ],
)
def test_the_refusal_is_a_sentence(names: tuple[str, ...], detail: str) -> None:
    problem = data_not_here(names, "Pods").problem
    assert (problem.code, problem.status, problem.detail) == (DATA_NOT_HERE, 409, detail)


def test_the_places_that_have_it_are_told_in_words_and_for_programs() -> None:
    refused = data_not_here(("“LaB6”",), "Pods").problem
    cpu, gpu = OfferedPlace("cpu", "CPU nodes"), OfferedPlace("gpu", "GPU nodes")
    told = with_places(refused, [Elsewhere(cpu), Elsewhere(gpu, "tomo", "Tomography")])
    assert told.detail.endswith(" It is there for CPU nodes and GPU nodes (profile “Tomography”).")
    assert told.to_json()["places"] == [
        {"id": "cpu", "title": "CPU nodes", "profile": None, "profile_title": None},
        {"id": "gpu", "title": "GPU nodes", "profile": "tomo", "profile_title": "Tomography"},
    ]
    nowhere = with_places(refused, [])
    assert nowhere.detail.endswith(" No place that is open to you has it.")
    assert "operators" in nowhere.hint
