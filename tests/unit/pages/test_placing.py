"""Cards of places: what is free, who may, when, and which place is the soonest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from hub.pages.placeviews import FreeLine, PlaceState
from hub.pages.placing import Looked, Place, cards, free_lines, look, soonest
from spawners.backend import (
    Ask,
    Availability,
    BackendUnavailableError,
    Forecast,
    GpuCount,
    PlaceOffer,
    Unscheduled,
)
from spawners.plan import Account, Size

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
UP = Availability(True, 10, 64)
UNLIMITED = PlaceOffer()
ASK = Ask(
    Account("maja", 2001, 2001, PurePosixPath("/home/maja")), Size("s", "S", 1, 2048), timedelta(hours=1)
)


def looked(name, *, minutes=0, offer=UNLIMITED, free=UP, why_not=None):
    starts = None if minutes is None else NOW + timedelta(minutes=minutes)
    return Looked(Place(name, name.upper(), why_not=why_not), free, offer, Forecast(starts, "estimate"))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([looked("a", minutes=20), looked("b", minutes=5)], "b"),
        ([looked("a", minutes=None), looked("b", minutes=900)], "b"),
        ([looked("a", minutes=0.2), looked("b", minutes=0)], "a"),
        ([looked("a", offer=None), looked("b", minutes=None)], "b"),
        ([looked("a", offer=PlaceOffer(why_not="Only staff")), looked("b", minutes=90)], "b"),
        ([looked("a", free=Availability(False)), looked("b", minutes=90)], "b"),
        ([looked("a", offer=None)], None),
    ],
)
def test_the_soonest_is_the_open_place_that_starts_first(places, expected):
    found = soonest(places, {}, NOW)
    assert (found.place.id if found else None) == expected


def test_the_soonest_is_none_that_the_size_does_not_fit():
    assert soonest([looked("a"), looked("b", minutes=9)], {"a": "No GPUs here"}, NOW).place.id == "b"


def test_soonest_comes_first_and_what_cannot_be_taken_last_with_why():
    places = [
        looked("closed", offer=PlaceOffer(why_not="Only for the account staff")),
        looked("power", why_not="Not built for ppc64le"),
        looked("down", free=Availability(False, note="The partition is down"), offer=None),
        looked("cpu", minutes=21),
    ]
    made = cards(places, "cpu", NOW, takes=places[3])
    assert [card.value for card in made] == ["soonest", "cpu", "closed", "power", "down"]
    assert [card.state for card in made[2:]] == [PlaceState.CLOSED, PlaceState.UNFIT, PlaceState.DOWN]
    assert [card.why for card in made[2:]] == [
        "Only for the account staff",
        "Not built for ppc64le",
        "The partition is down",
    ]
    assert made[0].takes == "CPU"
    assert made[1].is_chosen
    assert not made[0].is_chosen


def test_one_place_alone_has_no_soonest_before_it():
    assert [card.value for card in cards([looked("cpu")], "cpu", NOW)] == ["cpu"]
    with_unfit = [looked("cpu"), looked("power", why_not="Not built for ppc64le")]
    assert [card.value for card in cards(with_unfit, "cpu", NOW)] == ["cpu", "power"]


def test_where_nothing_takes_the_choices_soonest_says_so():
    made = cards(
        [looked("a"), looked("b")], "soonest", NOW, why_not={"a": "No GPUs here", "b": "No GPUs here"}
    )
    assert made[0].state is PlaceState.UNFIT
    assert "No place" in made[0].why
    assert made[1].why == "No GPUs here"


@pytest.mark.parametrize(
    ("seconds", "is_said", "is_old"),
    [(None, False, False), (3, False, False), (12, True, False), (600, True, True)],
)
def test_the_age_of_a_look_is_said_when_it_is_worth_a_word(seconds, is_said, is_old):
    taken = None if seconds is None else NOW - timedelta(seconds=seconds)
    (card,) = cards([looked("a", free=Availability(True, 1, 2, taken_at=taken))], "a", NOW)
    assert (card.as_of is not None, card.is_old) == (is_said, is_old)


def test_what_is_free_is_listed_by_thing_and_type_of_gpu():
    free = Availability(
        True,
        10,
        64,
        2048,
        4096,
        3,
        6,
        gpus=(GpuCount("a100", 1, 4), GpuCount("", 2, 2)),
    )
    assert free_lines(free) == (
        FreeLine("CPU", 10, 64),
        FreeLine("Memory", 2048, 4096, is_memory=True),
        FreeLine("A100", 1, 4),
        FreeLine("GPU", 2, 2),
    )
    assert free_lines(Availability(True)) == ()


class SilentPlace(Unscheduled):
    """A place whose scheduler has not answered yet."""

    async def availability(self):
        return Availability(True)

    async def offer(self, account):
        raise BackendUnavailableError("no snapshot yet")


class OwnMachine(SilentPlace):
    async def offer(self, account):
        return PlaceOffer()


async def test_a_place_that_does_not_answer_or_is_not_there_is_down():
    places = (Place("silent", "Silent"), Place("missing", "Missing"), Place("local", "Here"))
    found = await look(places, {"silent": SilentPlace(), "local": OwnMachine()}, ASK)
    assert [one.state for one in found] == [PlaceState.DOWN, PlaceState.DOWN, PlaceState.OPEN]
    assert found[2].forecast.is_now(datetime.now(UTC))


async def test_without_an_account_nobody_says_when():
    (found,) = await look((Place("local", "Here"),), {"local": OwnMachine()}, None)
    assert found.forecast.starts_at is None
