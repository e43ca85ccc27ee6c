"""From form to launch request, and back to an address."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.launch.models import InputKind
from hub.pages.forms import form_query, form_state, launch_request


def test_an_empty_form_asks_for_the_best_fit_with_all_defaults():
    request = launch_request({})
    assert request.template == "auto"
    assert request.inputs == ()
    assert request.walltime_s is None


def test_a_link_with_a_data_set_is_short_for_an_input():
    request = launch_request({"dataset": ["10.15151/ESRF-ES-101"]})
    assert [(item.kind, item.ref) for item in request.inputs] == [(InputKind.DATASET, "10.15151/ESRF-ES-101")]


def test_a_whole_form_becomes_a_request():
    request = launch_request(
        {
            "_xsrf": ["secret"],
            "q": ["search"],
            "input": ["dataset:a:b", "doi:10.1/x"],
            "template": ["none"],
            "profile": ["lab"],
            "size": ["m"],
            "walltime_s": ["7200"],
            "payer": ["proposal"],
            "p.points": ["2000"],
            "p.factor": ["0.99"],
            "p.mask": ["false"],
            "p.sample": ["12"],
            "p.empty": [""],
        },
        {"points": "integer", "factor": "number", "mask": "boolean"},
    )
    assert [item.ref for item in request.inputs] == ["a:b", "10.1/x"]
    assert request.template is None
    assert request.walltime_s == 7200
    assert request.parameters == {"points": 2000, "factor": 0.99, "mask": False, "sample": "12"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"input": ["../../etc/passwd"]},
        {"input": ["dataset:"]},
        {"input": ["dataset:a b"]},
        {"template": ["../x"]},
        {"walltime_s": ["9999999999"]},
        {"walltime_s": ["-1"]},
        {"walltime_s": ["soon"]},
        {"walltime_s": ["٣٦٠٠"]},
        {"size": ["m\n"]},
        {"payer": ["somebody"]},
        {"p.Bad-Name": ["1"]},
        {"display_name": ["a\x00b"]},
    ],
)
def test_what_no_request_can_say_is_an_error_and_never_dropped(arguments):
    with pytest.raises(ValidationError):
        launch_request(arguments)


def test_the_token_and_the_search_are_no_part_of_the_state():
    assert form_state({"_xsrf": ["secret"], "q": ["x"], "update": ["1"], "size": ["m"]}) == {"size": ["m"]}


def test_choosing_no_data_is_kept_in_the_address():
    assert form_query(form_state({"input": [""]})) == "input="


_NAMES = st.sampled_from(["input", "template", "size", "profile", "payer", "walltime_s", "p.points", "_xsrf"])


@given(st.dictionaries(_NAMES, st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3)))
def test_an_address_gives_the_same_state_again(arguments):
    state = form_state(arguments)
    assert form_state(parse_qs(form_query(state), keep_blank_values=True)) == state
