"""A launch goes where its data is, where it starts soon enough, and is paid as that place is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quota.models import AccountKind, AccountRef
from spawners.backend import BackendError, BackendUnavailableError, Forecast, NotAdmittedError
from tests.support.backends import BackendWithQueue, Place
from tests.support.planning import Planning, data_set

Make = Callable[..., Planning]

NO_DATA = {"storage": ["/home"]}
HERE = {"storage": ["data/ma5501", "/home"]}
CLOUD = {"payers": ["facility:cloud"]}


def backend(minutes: float | None = 0, refusal: BackendError | None = None) -> BackendWithQueue:
    """A place where a session starts in some minutes, or that refuses it."""
    made = BackendWithQueue(Place())
    made.refusal = refusal
    if minutes is not None:
        made.expected = Forecast(datetime.now(UTC) + timedelta(minutes=minutes), "scheduler")
    return made


@pytest.fixture
def planning(tmp_path: Path) -> Iterator[Make]:
    made: list[Planning] = []

    def make(*args: Any, **kwargs: Any) -> Planning:
        made.append(Planning(tmp_path, *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


# --- data ---------------------------------------------------------------------------------------------


async def test_a_place_without_the_data_is_refused_with_those_that_have_it(planning: Make) -> None:
    facility = planning(
        {"pods": backend(), "cpu": backend(), "far": backend(), "gpu": backend()},
        {"pods": NO_DATA, "cpu": HERE, "far": NO_DATA},
        {"lab": ("pods", "cpu", "far"), "tomo": ("gpu", "cpu")},
    )
    problem = await facility.refused(place="pods", **data_set())
    assert (problem.code, problem.status) == ("data_not_here", 409)
    assert problem.detail == (
        "“LaB6 raw” is not on the storage of PODS. It is there for CPU and GPU (profile “Tomo”)."
    )
    assert [one["id"] for one in problem.extra["places"]] == ["cpu", "gpu"]
    assert (await facility.plan(place="cpu", **data_set())).plan.place == "cpu"
    assert (await facility.plan(place="pods")).plan.place == "pods", "its home is there"


@pytest.mark.parametrize("request_of", [{}, {"place": "soonest"}, {"place": "pods", "overflow": True}])
async def test_a_place_without_the_data_is_left_out_where_others_may_be_taken(
    planning: Make, request_of: dict[str, Any]
) -> None:
    facility = planning({"pods": backend(), "cpu": backend(90)}, {"pods": NO_DATA, "cpu": HERE})
    prepared = await facility.plan(**request_of, **data_set())
    assert prepared.plan.place == "cpu"
    if request_of:
        [other] = prepared.summary.alternatives
        assert (other.place.id, other.why_not) == ("pods", "“LaB6 raw” is not on the storage of PODS.")
    assert (await facility.plan(**request_of)).plan.place == "pods"


async def test_what_a_backend_knows_of_its_storage_counts_alike(planning: Make) -> None:
    blind = NotAdmittedError("data_not_here", "No volume holds /data.", "Choose another place.")
    places = {"pods": backend(refusal=blind), "cpu": backend(), "sees": backend(refusal=blind)}
    facility = planning(places)
    problem = await facility.refused(place="pods", **data_set())
    assert (problem.status, problem.detail) == (409, "No volume holds /data. It is there for CPU.")
    assert (await facility.plan(**data_set())).plan.place == "cpu", "the first that has the data"
    places["cpu"].refusal = blind
    nowhere = await facility.refused(**data_set())
    assert nowhere.detail == "No volume holds /data. No place that is open to you has it."


async def test_the_first_place_that_has_the_data_is_not_passed_over_for_another_reason(
    planning: Make,
) -> None:
    facility = planning({"pods": backend(refusal=BackendUnavailableError("no answer")), "cpu": backend()})
    assert (await facility.refused(**data_set())).code == "backend_unavailable"


# --- overflow -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "other", "taken"),
    [
        (0, 0, "cpu"),
        (14, 0, "cpu"),  # within the profile's patience
        (40, 0, "pods"),
        (40, 60, "cpu"),  # later elsewhere
        (40, None, "cpu"),
        (None, 5, "pods"),  # nobody can say when
        (None, None, "cpu"),
    ],
)
async def test_a_launch_that_allows_it_goes_where_it_starts_sooner(
    planning: Make, asked: float | None, other: float | None, taken: str
) -> None:
    facility = planning({"pods": backend(other), "cpu": backend(asked)})
    summary = (await facility.plan(place="cpu", overflow=True)).summary
    assert summary.place.id == taken
    assert summary.is_soonest is False
    assert (summary.instead_of.id if summary.instead_of else None) == ("cpu" if taken == "pods" else None)
    assert [one.place.id for one in summary.alternatives] == ["cpu" if taken == "pods" else "pods"]
    assert (await facility.plan(place="cpu")).plan.place == "cpu", "it did not allow it"


async def test_overflow_goes_round_a_place_that_refuses(planning: Make) -> None:
    full = NotAdmittedError("place_closed", "Closed for maintenance.", "Wait.")
    facility = planning({"cpu": backend(0, full), "pods": backend(30)})
    summary = (await facility.plan(place="cpu", overflow=True)).summary
    assert summary.place.id == "pods"
    assert summary.alternatives[0].why_not == "Closed for maintenance."
    assert (await facility.refused(place="cpu")).code == "place_closed"


# --- payer --------------------------------------------------------------------------------------------


async def test_a_launch_is_paid_as_the_place_that_is_taken(planning: Make) -> None:
    facility = planning(
        {"cpu": backend(60), "pods": backend()},
        {"pods": CLOUD},
        proposals=[{"proposal": "ma5501", "resource": "cpu_hours", "limit": 100}],
        facility=[{"account": "cloud", "resource": "cpu_hours", "limit": 50}],
    )
    prepared = await facility.plan(place="cpu", overflow=True, **data_set())
    assert (prepared.summary.payer.id, prepared.summary.payer.title) == ("facility", "cloud")
    cloud = AccountRef(AccountKind.FACILITY, "cloud")
    assert [line.amount for line in prepared.holds if line.account == cloud] == [4 * 3600]
    [asked] = prepared.summary.alternatives
    assert asked.payer is not None
    assert (asked.payer.id, asked.payer.title) == ("proposal", "ma5501")
    stays = await facility.plan(place="cpu", **data_set())
    assert stays.holds[0].account == AccountRef(AccountKind.PROPOSAL, "ma5501")


async def test_a_payer_without_enough_leaves_the_other_places(planning: Make) -> None:
    facility = planning(
        {"pods": backend(), "cpu": backend(60)},
        {"pods": CLOUD},
        facility=[{"account": "cloud", "resource": "cpu_hours", "limit": 1}],
        persons=[{"person": "maja", "resource": "cpu_hours", "limit": 10}],
    )
    summary = (await facility.plan(place="soonest")).summary
    assert (summary.place.id, summary.payer.id) == ("cpu", "person")
    [pods] = summary.alternatives
    assert pods.why_not == (
        "This session would hold 4 CPU-hours, and the facility's account cloud has 1 of 1 left."
    )
    # Where nobody has enough, it is still said what it would hold; the hold refuses.
    long = await facility.plan(place="soonest", walltime_s=8 * 3600)
    assert long.plan.place == "pods"


@pytest.mark.parametrize(
    ("payers", "request_of", "paid_by"),
    [
        (None, {}, "person"),
        (None, data_set(), "proposal"),
        (None, data_set("ma5502"), "person"),  # a proposal that was given nothing
        (None, {**data_set("ma5502"), "payer": "proposal"}, "proposal"),
        (None, {**data_set(), "payer": "person"}, "person"),
        (None, {"payer": "proposal"}, "person"),
        (["proposal", "facility:cloud"], data_set(), "proposal"),
        (["proposal", "facility:cloud"], data_set("ma5502"), "facility"),
        (["proposal", "facility:cloud"], {}, "facility"),
        (["facility:none", "person"], {}, "person"),
        (["person", "facility:cloud"], data_set(), "facility"),  # this person was given nothing
        (["facility:cloud"], {"payer": "proposal"}, "facility"),
        (["proposal"], data_set("ma5502"), "proposal"),
        (["proposal"], {}, None),
        (["proposal"], {"payer": "proposal"}, None),
        (["facility:cloud"], {**data_set(), "payer": "proposal"}, None),
        (["facility:cloud"], {"payer": "person"}, None),
    ],
)
async def test_who_pays_at_a_place(
    planning: Make, payers: list[str] | None, request_of: dict[str, Any], paid_by: str | None
) -> None:
    facility = planning(
        {"pods": backend()},
        {"pods": {} if payers is None else {"payers": payers}},
        proposals=[{"proposal": "ma5501", "resource": "cpu_hours", "limit": 100}],
        facility=[{"account": "cloud", "resource": "cpu_hours", "limit": 50}],
    )
    if paid_by is None:
        problem = await facility.refused(**request_of)
        assert (problem.code, problem.status) == ("payer_not_here", 409)
        assert problem.detail.startswith("Sessions at PODS are paid by ")
    else:
        assert (await facility.plan(**request_of)).summary.payer.id == paid_by
