"""The form's detail: what a profile offers, met with what the places say for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from hub.launch.models import LaunchRequest, ResourcesRequest, SchedulingRequest
from hub.pages.formchoices import overflow_choice, payer_choices
from hub.pages.formplaces import placed, places_of, wanted_place, wanted_size
from hub.pages.placing import Looked
from profiles.choose import Custom, Offer, OfferedPlace
from spawners.backend import Availability, Forecast, GpuCount, NodeShape, PlaceOffer, ReservationOffer
from spawners.plan import Environment, Interface, Size
from tests.support.grants import granted

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CPU = OfferedPlace("cpu", "CPU nodes", "slurm", architecture="x86_64")
GPU = OfferedPlace("gpu", "GPU nodes", "slurm", architecture="x86_64")
LOCAL = OfferedPlace("local", "This machine")
SMALL, PAIR = Size("small", "Small", 1, 2048), Size("pair", "Pair", 8, 16_384, 2, "a100")
SHIFT = ReservationOffer("shift", NOW - HOUR, NOW + HOUR)
NIGHT = ReservationOffer("night", NOW + 9 * HOUR, NOW + 17 * HOUR)
PAST = ReservationOffer("past", NOW - 9 * HOUR, NOW - HOUR)


def offer_of(*places, custom=None, scheduling=False):
    return Offer(
        profile="lab",
        title="JupyterLab",
        description="",
        interfaces=(Interface.LAB,),
        environment=Environment("core", "Core", PurePosixPath("/opt/core"), "0" * 64),
        places=places,
        sizes=(SMALL, PAIR),
        default_size="small",
        walltime_default=2 * HOUR,
        walltime_max=8 * HOUR,
        is_default=True,
        why_not=None,
        custom=custom,
        scheduling=scheduling,
    )


def at(offer, **said):
    """The places of an offer as they were looked at: by id, what each offers."""
    free = {
        "gpu": Availability(True, 4, 32, gpus=(GpuCount("a100", 1, 3), GpuCount("v100", 1, 1))),
        "cpu": Availability(True, 4, 64),
    }
    return [
        Looked(place, free.get(place.id, Availability(True)), said.get(place.id, PlaceOffer()), Forecast(NOW))
        for place in places_of(offer)
    ]


CPU_SAYS = PlaceOffer(
    max_walltime=4 * HOUR,
    shapes=(NodeShape(64, 256_000, {}),),
    accounts=("ma5501", "staff"),
    default_account="staff",
    qos=("normal",),
    reservations=(NIGHT, PAST, SHIFT),
)
GPU_SAYS = PlaceOffer(shapes=(NodeShape(32, 128_000, {"a100": 3, "v100": 1}),), accounts=("ma5501",))


def form(offer, request=None, **said):
    return placed(offer, LaunchRequest(**(request or {})), at(offer, **said), None, NOW)


def test_a_place_without_a_scheduler_has_no_detail_but_the_time():
    found = form(offer_of(LOCAL))
    assert found.detail.parts == ("exact time",)
    assert [card.value for card in found.cards] == ["local"]
    assert found.max_walltime == 8 * HOUR


def test_the_place_limits_the_time_too():
    assert form(offer_of(CPU), cpu=CPU_SAYS).max_walltime == 4 * HOUR


def test_each_field_lists_only_what_this_person_may_use():
    detail = form(offer_of(CPU, custom=Custom(64, 256_000), scheduling=True), cpu=CPU_SAYS).detail
    assert [option.value for option in detail.accounts] == ["", "ma5501", "staff"]
    assert detail.accounts[0].title == "Default (staff)"
    assert detail.qos == ()  # one is no choice
    assert [(o.value, o.is_open) for o in detail.reservations] == [
        ("", False),
        ("shift", True),
        ("night", False),
    ]
    assert detail.gpu_counts == ()


def test_a_profile_that_does_not_let_people_name_accounts_shows_none():
    detail = form(offer_of(CPU, custom=Custom(64, 256_000)), cpu=CPU_SAYS).detail
    assert (detail.accounts, detail.qos, detail.reservations) == ((), (), ())


def test_gpus_are_offered_by_type_with_what_is_free():
    detail = form(offer_of(GPU, custom=Custom(32, 65_536, 4)), gpu=GPU_SAYS).detail
    assert [count for count, _ in detail.gpu_counts] == [0, 1, 2, 3]
    assert [(kind.title, kind.most, kind.free) for kind in detail.gpu_types] == [
        ("Any", 3, None),
        ("A100", 3, 1),
        ("V100", 1, 1),
    ]


def test_a_profile_may_leave_out_types_of_gpu():
    detail = form(offer_of(GPU, custom=Custom(32, 65_536, 4, gpu_types=("v100",))), gpu=GPU_SAYS).detail
    assert [kind.value for kind in detail.gpu_types] == ["v100"]


@pytest.mark.parametrize(("cpus", "typed", "part"), [(16, "", 16), (12, "12", None)])
def test_a_size_of_ones_own_is_a_part_of_a_node_or_a_number(cpus, typed, part):
    own = {"resources": ResourcesRequest(cpus=cpus, memory_mib=1536)}
    detail = form(offer_of(CPU, custom=Custom(64, 256_000)), own, cpu=CPU_SAYS).detail
    assert detail.cpus.value == typed
    assert [share.cpus for share in detail.shares if share.is_chosen] == ([part] if part else [])
    assert detail.memory.value == "1.5"
    assert detail.is_open


def test_the_detail_is_open_where_the_scheduler_is_told_something():
    told = {"scheduling": SchedulingRequest(account="ma5501")}
    detail = form(offer_of(CPU, scheduling=True), told, cpu=CPU_SAYS).detail
    assert detail.is_open
    assert [option.value for option in detail.accounts if option.is_chosen] == ["ma5501"]


def test_an_account_of_a_link_that_is_not_the_persons_is_kept_chosen_by_nothing():
    told = {"scheduling": SchedulingRequest(account="other")}
    detail = form(offer_of(GPU, scheduling=True), told, gpu=GPU_SAYS).detail
    assert [option.value for option in detail.accounts if option.is_chosen] == []


def test_for_soonest_the_most_of_all_places_counts_and_a_size_says_where_it_does_not_go():
    request = {"place": "soonest", "size": "pair"}
    found = form(offer_of(CPU, GPU, custom=Custom(64, 256_000, 4)), request, cpu=CPU_SAYS, gpu=GPU_SAYS)
    assert [count for count, _ in found.detail.gpu_counts] == [0, 1, 2, 3]
    cards = {card.value: card for card in found.cards}
    assert cards["soonest"].is_chosen
    assert cards["soonest"].takes == "GPU nodes"
    assert cards["cpu"].why == "No GPUs here"


def test_a_place_of_another_architecture_says_so_and_limits_nothing():
    power = OfferedPlace("power", "Power nodes", "slurm", architecture="ppc64le")
    offer = replace(offer_of(CPU, custom=Custom(64, 256_000, 4)), unfit_places=(power,))
    found = form(offer, cpu=CPU_SAYS, power=GPU_SAYS)
    assert [(card.value, card.why) for card in found.cards] == [
        ("cpu", ""),
        ("power", "“Core” is not built for ppc64le"),
    ]
    assert found.detail.gpu_counts == ()


PODS = OfferedPlace("pods", "Pods", "kubernetes", architecture="x86_64")


def test_an_environment_without_a_container_is_not_offered_in_pods():
    found = form(replace(offer_of(CPU), unfit_places=(PODS,)))
    assert found.cards[-1].why == "“Core” has no container image"


def test_a_place_that_does_not_see_the_data_or_home_says_so_before_the_click():
    offer = offer_of(
        replace(CPU, storage=(PurePosixPath("/data"), PurePosixPath("/home"))),
        replace(PODS, storage=(PurePosixPath("/home"),)),
        replace(GPU, storage=()),
    )
    data = granted("ma1", sets=("ma1",))
    whys = {place.id: place.why_not for place in places_of(offer, data, PurePosixPath("/home/maja"))}
    assert whys == {
        "cpu": None,
        "pods": "“LaB6 series” is not on its storage",
        "gpu": "“LaB6 series” and your home folder are not on its storage",
    }
    assert {place.why_not for place in places_of(offer)} == {None}


def test_a_place_says_who_pays_there_and_when_that_does_not_go():
    offer = offer_of(CPU, replace(PODS, payers=("proposal", "facility:cloud")))
    cpu, pods = places_of(offer, payer="person")
    assert (cpu.payer, cpu.why_not) == ("", None)
    assert pods.payer == "the proposal of the data or the facility’s account cloud"
    assert pods.why_not == f"Paid by {pods.payer} only"
    assert places_of(offer, payer="auto")[1].why_not is None


def test_at_a_cluster_sessions_wait_and_no_jobs():
    looked = [replace(one, free=Availability(True, sessions_pending=0)) for one in at(offer_of(PODS))]
    (card,) = placed(offer_of(PODS), LaunchRequest(), looked, None, NOW).cards
    assert (card.sessions_pending, card.jobs_pending) == (0, None)


def test_rooms_that_are_kept_ready_are_counted_and_none_is_no_word():
    looked = [replace(one, free=Availability(True, warm_free=3, warm_total=5)) for one in at(offer_of(PODS))]
    (card,) = placed(offer_of(PODS), LaunchRequest(), looked, None, NOW).cards
    assert (card.note, card.warm_free, card.warm_total) == ("Kubernetes · x86_64", 3, 5)
    none = [replace(one, free=Availability(True, warm_free=0, warm_total=0)) for one in looked]
    (card,) = placed(offer_of(PODS), LaunchRequest(), none, None, NOW).cards
    assert (card.warm_free, card.warm_total) == (None, None)


@pytest.mark.parametrize(
    ("places", "request_of", "is_chosen"),
    [
        ((CPU, PODS), {"place": "cpu"}, False),
        ((CPU, PODS), {"place": "cpu", "overflow": True}, True),
        ((CPU, PODS), {"place": "soonest"}, None),
        ((CPU,), {"place": "cpu"}, None),
    ],
)
def test_overflow_is_a_choice_where_there_is_another_place(places, request_of, is_chosen):
    choice = overflow_choice(offer_of(*places), LaunchRequest(**request_of))
    assert (choice.is_chosen if choice else None) is is_chosen


def test_payers_that_a_place_does_not_take_are_shown_so():
    offer = offer_of(CPU, replace(PODS, payers=("facility:cloud",)))
    [_, own] = payer_choices(None, LaunchRequest(place="pods"), None, offer)
    assert (own.is_allowed, own.why) == (False, "Sessions at Pods are not paid so")
    [_, own] = payer_choices(None, LaunchRequest(place="soonest"), None, offer)
    assert own.is_allowed


def test_what_a_form_shows_as_chosen_is_always_one_of_the_profiles():
    offer = offer_of(CPU, GPU)
    assert wanted_place(offer, LaunchRequest(place="elsewhere")) == "cpu"
    assert wanted_place(offer, LaunchRequest(place="gpu")) == "gpu"
    assert wanted_size(offer, LaunchRequest(size="huge")) is SMALL
