"""The form's state in an address, and the launch request it stands for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

import templates
from hub.launch.models import LaunchRequest, ResourcesRequest, SchedulingRequest
from hub.pages.state import fields_of, state_of, to_request
from hub.problems import RequestError
from templates.catalogue import Library

LIBRARY = Library.load((Path(templates.__file__).parent / "library",))


def request_of(query):
    arguments = {
        name: [value.encode() for value in values]
        for name, values in parse_qs(query, keep_blank_values=True).items()
    }
    return to_request(state_of(arguments), LIBRARY)


@pytest.mark.parametrize(
    ("query", "resources"),
    [
        ("size=own&cpus=16&memory_gib=62.5&gpus=0", ResourcesRequest(cpus=16, memory_mib=64_000)),
        ("cpus=4", ResourcesRequest(cpus=4, memory_mib=8192)),
        ("size=own", ResourcesRequest(cpus=1, memory_mib=2048)),
        ("memory_gib=8", ResourcesRequest(cpus=1, memory_mib=8192)),
        ("cpus=8&cpus=12&memory_gib=1", ResourcesRequest(cpus=12, memory_mib=1024)),
        ("cpus=8&cpus=&memory_gib=1", ResourcesRequest(cpus=8, memory_mib=1024)),
        ("gpu_type=a100", ResourcesRequest(cpus=1, memory_mib=2048, gpus=1, gpu_type="a100")),
        ("size=own&gpus=0&gpu_type=a100", ResourcesRequest(cpus=1, memory_mib=2048)),
        ("size=own&gpus=2&gpu_type=", ResourcesRequest(cpus=1, memory_mib=2048, gpus=2)),
    ],
)
def test_a_size_of_ones_own_is_read_with_or_without_its_word(query, resources):
    assert request_of(query).resources == resources


def test_a_size_of_the_profile_goes_before_what_the_detail_still_holds():
    request = request_of("size=medium&cpus=16&memory_gib=64&gpus=1")
    assert (request.size, request.resources) == ("medium", None)


@pytest.mark.parametrize(
    ("query", "seconds"),
    [("hours=1.5", 5400), ("walltime_s=7200", 7200), ("walltime_s=7200&hours=0.5", 1800), ("hours=", None)],
)
def test_hours_go_before_the_choice_of_a_time(query, seconds):
    assert request_of(query).walltime_s == seconds


def test_place_and_scheduling_are_read():
    request = request_of("place=soonest&account=ma5501&qos=long&reservation=MA_5501.shift")
    assert request.place == "soonest"
    assert request.scheduling == SchedulingRequest(account="ma5501", qos="long", reservation="MA_5501.shift")


@pytest.mark.parametrize(
    "query",
    [
        "size=own&cpus=nan",
        "cpus=-1",
        "cpus=1.5",
        "cpus=٣",
        "cpus=999999999999999999",
        "cpus=1&memory_gib=inf",
        "cpus=1&memory_gib=-4",
        "cpus=1&memory_gib=0",
        "hours=1e999",
        "hours=nan",
        "gpus=1&gpu_type=A%20100",
        "account=a%20b",
        "account=$(id)",
        "qos=a%0Ab",
        "reservation='x'",
        "place=../etc",
        "overflow=yes",
        "overflow=1",
    ],
)
def test_what_cannot_be_is_refused_and_never_guessed(query):
    with pytest.raises(RequestError) as refused:
        request_of(query)
    assert refused.value.problem.code == "invalid_request"


NAMES = st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True))


@given(
    st.builds(
        LaunchRequest,
        place=st.sampled_from([None, "soonest", "cpu"]),
        overflow=st.booleans(),
        size=st.none(),
        resources=st.one_of(
            st.none(),
            st.builds(
                ResourcesRequest,
                cpus=st.integers(1, 4096),
                memory_mib=st.integers(256, 10_000_000),
                gpus=st.integers(1, 64),
                gpu_type=st.sampled_from([None, "a100", "v100.32g"]),
            ),
        ),
        scheduling=st.builds(SchedulingRequest, account=NAMES, qos=NAMES, reservation=NAMES),
        walltime_s=st.one_of(st.none(), st.integers(60, 10**6)),
    )
)
def test_a_link_made_of_a_request_reads_as_the_same_request(request):
    fields = {}
    for name, value in fields_of(request):
        fields.setdefault(name, []).append(value.encode())
    assert to_request(state_of(fields), LIBRARY) == request
