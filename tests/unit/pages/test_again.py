"""What a page offers after an end: the form filled in with what would have helped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hub.launch.models import LaunchRequest, ResourcesRequest, SchedulingRequest
from hub.launch.summary import Named, Summary
from hub.pages.again import elsewhere, for_longer, where_the_data_is, with_more_memory
from hub.pages.failures import refusal_of
from hub.problems import Problem
from profiles.loader import load_profiles

NAME = Named(id="lab", title="JupyterLab")
FILE = {
    "environments": {"core": {"title": "Core", "prefix": "core", "lock_sha256": "0" * 64}},
    "sizes": {
        "s": {"title": "S", "cpus": 1, "memory_mib": 2048},
        "m": {"title": "M", "cpus": 2, "memory_mib": 4096},
        "wide": {"title": "Wide", "cpus": 8, "memory_mib": 4096},
        "gpu": {"title": "GPU", "cpus": 2, "memory_mib": 8192, "gpus": 1},
    },
    "places": {name: {"title": name, "backend": "local"} for name in ("local", "beside")},
    "profiles": {
        "lab": {
            "title": "Lab",
            "interfaces": ["lab"],
            "environment": "core",
            "places": ["local"],
            "sizes": ["s", "m", "wide"],
            "default_size": "s",
            "walltime": {"default": "2 h", "max": "8 h"},
            "allow": "everyone",
        }
    },
    "default_profile": "lab",
}
CUSTOM = {"cpus": 32, "memory_mib": 10_240, "gpus": 1}


@pytest.fixture
def profiles(tmp_path: Path):
    def load(**changes):
        (tmp_path / "core/bin").mkdir(parents=True, exist_ok=True)
        for name in ("python", "jupyterhub-singleuser"):
            (tmp_path / "core/bin" / name).touch(mode=0o755)
        entry = {**FILE["profiles"]["lab"], **changes}
        file = tmp_path / "profiles.yaml"
        file.write_text(yaml.safe_dump({**FILE, "profiles": {"lab": entry}}))
        return load_profiles(file)

    return load


def said(memory_mib, *, cpus=1, gpus=0, walltime_s=7200):
    return Summary(
        interface=NAME,
        profile=NAME,
        environment=NAME,
        place=NAME,
        size=NAME,
        cpus=cpus,
        memory_mib=memory_mib,
        gpus=gpus,
        walltime_s=walltime_s,
        max_walltime_s=28_800,
        template=None,
        data=(),
        mounts=(),
        holds=(),
        payer=NAME,
        workdir=".",
    )


def test_the_next_larger_size_is_offered_with_the_fewest_cpus(profiles):
    action = with_more_memory(LaunchRequest(size="s"), said(2048), profiles())
    assert action.label == "Again with 4 GB"
    assert dict(action.fields)["size"] == "m"
    assert (action.path, action.method) == (("new",), "get")


def test_after_the_largest_size_twice_the_memory_is_offered_where_the_profile_has_own_sizes(profiles):
    request = LaunchRequest(size="m")
    assert with_more_memory(request, said(4096, cpus=2), profiles()) is None
    fields = dict(with_more_memory(request, said(4096, cpus=2), profiles(custom=CUSTOM)).fields)
    assert (fields["size"], fields["cpus"], fields["memory_gib"]) == ("own", "2", "8")


def test_an_own_size_grows_up_to_the_profiles_largest_and_keeps_its_gpus(profiles):
    request = LaunchRequest(resources=ResourcesRequest(cpus=2, memory_mib=8192, gpus=1, gpu_type="a100"))
    fields = dict(with_more_memory(request, said(8192, gpus=1), profiles(custom=CUSTOM)).fields)
    assert (fields["memory_gib"], fields["gpus"], fields["gpu_type"]) == ("10", "1", "a100")
    assert with_more_memory(request, said(10_240, gpus=1), profiles(custom=CUSTOM)) is None


def test_a_size_with_fewer_gpus_is_not_offered_for_more_memory(profiles):
    several = profiles(sizes=["s", "m", "gpu"])
    assert dict(with_more_memory(LaunchRequest(), said(2048, gpus=1), several).fields)["size"] == "gpu"


@pytest.mark.parametrize(("seconds", "then"), [(7200, "14400"), (18_000, "28800")])
def test_after_the_time_was_up_twice_of_it_is_offered_up_to_the_longest(seconds, then):
    assert dict(for_longer(LaunchRequest(), said(2048, walltime_s=seconds)).fields)["walltime_s"] == then


def test_there_is_nothing_longer_than_the_longest():
    assert for_longer(LaunchRequest(), said(2048, walltime_s=28_800)) is None


def test_another_place_is_offered_where_there_is_one_and_it_was_not_asked_for(profiles):
    two = profiles(places=["local", "beside"])
    told = LaunchRequest(place="local", scheduling=SchedulingRequest(account="ma5501"))
    fields = dict(elsewhere(told, said(2048), two).fields)
    assert fields["place"] == "soonest"
    assert "account" not in fields, "what one scheduler is told says nothing to another"
    assert elsewhere(LaunchRequest(place="soonest"), said(2048), two) is None
    assert elsewhere(told, said(2048), profiles()) is None


def not_here():
    names = {"own": "", "beside": "", "gpu": "gpu", "more": ""}
    places = [{"id": name, "title": name.title(), "profile": profile} for name, profile in names.items()]
    return Problem("data_not_here", 409, "The data is not there", "…", extra={"places": places})


def test_the_first_places_that_have_the_data_are_offered_with_the_profile_that_has_them():
    made = where_the_data_is(LaunchRequest(place="far", size="m"), not_here())
    asked = [{key: value for key, value in one.fields if key in {"profile", "place", "size"}} for one in made]
    assert [one.label for one in made] == ["Take Own", "Take Beside", "Take Gpu"]
    assert asked == [
        {"place": "own", "size": "m"},
        {"place": "beside", "size": "m"},
        {"place": "gpu", "profile": "gpu"},
    ]


def test_a_launch_that_was_refused_for_its_place_is_not_offered_as_it_was(profiles):
    launch = SimpleNamespace(
        id="1", problem=not_here().to_json(), request=LaunchRequest(place="far").model_dump(mode="json")
    )
    labels = [action.label for action in refusal_of(launch, profiles()).actions]
    assert labels == ["Take Own", "Take Beside", "Change something"]
    launch.problem["code"] = "place_limit"
    assert [action.label for action in refusal_of(launch, profiles()).actions] == [
        "Start again",
        "Change something",
    ]
