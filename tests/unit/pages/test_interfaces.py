"""Interface and profile of the form."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from hub.launch.models import LaunchRequest
from hub.pages.interfaces import default_offer, fitting, interface_choices, with_interface_first
from profiles.choose import Offer, OfferedPlace
from spawners.plan import Environment, Interface, Size

SMALL = Size("small", "S", 1, 2048)
LAB = Offer(
    profile="lab",
    title="JupyterLab",
    description="",
    interfaces=(Interface.LAB,),
    environment=Environment("core", "Core", PurePosixPath("/opt/core"), "0" * 64),
    places=(OfferedPlace("local", "Here"),),
    sizes=(SMALL,),
    default_size="small",
    walltime_default=timedelta(hours=2),
    walltime_max=timedelta(hours=8),
    is_default=True,
    why_not=None,
)
DESK = replace(LAB, profile="desk", interfaces=(Interface.DESKTOP,), is_default=False)
BOTH = replace(LAB, profile="both", interfaces=(Interface.LAB, Interface.DESKTOP), is_default=False)
SHUT = replace(DESK, profile="shut", why_not="Only for others")


def asked(**fields):
    return LaunchRequest.model_validate(fields)


@pytest.mark.parametrize(
    ("offered", "shown"),
    [
        ((LAB,), ["lab"]),
        ((LAB, DESK), ["lab", "desktop"]),
        ((LAB, SHUT), ["lab"]),
        ((BOTH,), ["lab", "desktop"]),
    ],
)
def test_interfaces_of_profiles_open_to_the_person_are_shown(offered, shown):
    choices = interface_choices(offered, Interface.LAB)
    assert [choice.value for choice in choices] == shown
    assert [choice.value for choice in choices if choice.is_chosen] == ["lab"]
    assert all(choice.why for choice in choices)


@pytest.mark.parametrize(
    ("offered", "interface", "profile"),
    [
        ((DESK, LAB), "lab", "lab"),
        ((LAB, SHUT, BOTH, DESK), "desktop", "both"),
        ((LAB, SHUT), "desktop", "lab"),
        ((SHUT,), "lab", "shut"),
    ],
)
def test_without_a_profile_it_is_one_with_the_interface(offered, interface, profile):
    assert default_offer(offered, Interface(interface)).profile == profile


@pytest.mark.parametrize(
    ("profile", "interface", "stays"),
    [("lab", "desktop", None), ("both", "desktop", "both"), ("desk", "lab", None), (None, "lab", None)],
)
def test_a_profile_gives_way_to_an_interface_that_it_does_not_have(profile, interface, stays):
    request = with_interface_first(asked(profile=profile, interface=interface), (LAB, DESK, BOTH))
    assert request.profile == stays


def test_interface_size_and_place_follow_the_profile():
    request = asked(profile="desk", interface="lab", size="huge", place="gpu")
    fitted = fitting(request, DESK)
    assert (fitted.interface, fitted.size, fitted.place) == (Interface.DESKTOP, None, None)
    kept = asked(profile="both", interface="desktop", size="small", place="local")
    assert fitting(kept, BOTH) is kept
    assert fitting(asked(place="soonest"), LAB).place == "soonest"
