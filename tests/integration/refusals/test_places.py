"""A place without the data, or that is paid otherwise, refuses alike on every way in."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.demo_access import dataset
from tests.support.platform import Platform, Visitor
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]
Way = Callable[[Visitor, dict[str, Any]], str]

AWAY = {"profile": "cloud", "place": "bare", "inputs": [dataset("ma5501")]}
UNPAID = {"profile": "cloud", "place": "paid", "payer": "person"}
REFUSED = {
    "data": (
        AWAY,
        "data_not_here",
        "is not on the storage of Bare cloud. "
        "It is there for Paid cloud and This machine (profile “JupyterLab”).",
    ),
    "payer": (
        UNPAID,
        "payer_not_here",
        "Sessions at Paid cloud are paid by the facility’s account cloud; you asked to pay yourself.",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing(platform: Platform) -> Iterator[None]:
    """After all refusals: nothing runs, nothing is held, no traceback is logged."""
    yield
    nothing_started(platform)
    no_traceback(platform)


def form(request: dict[str, Any]) -> dict[str, str]:
    data = request.get("inputs", [])
    fields = {key: str(value) for key, value in request.items() if key != "inputs"}
    return {"input": f"dataset:{data[0]['ref']}" if data else "", "template": "none", **fields}


def by_form(who: Visitor, request: dict[str, Any]) -> str:
    return who.post("launches", form(request)).text


def by_link(who: Visitor, request: dict[str, Any]) -> str:
    return who.page("launch", params=form(request)).text


def by_preview(who: Visitor, request: dict[str, Any]) -> str:
    return who.post("parts/summary", form(request)).text


def by_hub_rest(who: Visitor, request: dict[str, Any]) -> str:
    reply = who.hub("POST", f"/users/{who.username}/servers/away", json={"user_options": request})
    assert reply.status_code == 409, reply.text
    return f'data-code="{reply.headers["X-PanHub-Code"]}" {reply.json()["message"]}'


def by_api(who: Visitor, request: dict[str, Any]) -> str:
    reply = who.api("POST", "/launches", json=request)
    assert reply.status_code == 409, reply.text
    if request is AWAY:
        assert [place["id"] for place in reply.json()["places"]] == ["paid", "local"]
    return f'data-code="{reply.json()["code"]}" {reply.json()["detail"]}'


def by_relaunch(who: Visitor, request: dict[str, Any]) -> str:
    """Again what was refused before: the latest launch of the person."""
    who.api("POST", "/launches", json=request)
    launch_id = who.api("GET", "/launches").json()["items"][0]["id"]
    return who.post(f"launches/{launch_id}/relaunch", {}).text


WAYS = [by_form, by_link, by_preview, by_hub_rest, by_api, by_relaunch]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
@pytest.mark.parametrize(("request_of", "code", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_place_that_does_not_go_is_refused_with_what_does(
    person: SignIn, way: Way, request_of: dict[str, Any], code: str, sentence: str
) -> None:
    answer = way(person("maja"), request_of)
    text = " ".join(re.sub(r"<[^>]+>", " ", html.unescape(answer)).split())
    assert f'data-code="{code}"' in answer
    assert sentence in text


def test_the_form_says_so_before_the_click_and_has_a_button_for_each_place(person: SignIn) -> None:
    page = person("maja").page("new", params=form(AWAY)).text
    card = page.partition('value="bare"')[2].partition('value="paid"')[0]
    assert "is not on its storage" in html.unescape(card)
    assert "Paid by the facility’s account cloud" in html.unescape(page)
    for place in ("Paid cloud", "This machine"):
        assert f"Take {place}" in page


@pytest.mark.parametrize("place", [None, "soonest"])
def test_where_no_place_is_asked_for_one_that_has_the_data_is_taken(
    person: SignIn, place: str | None
) -> None:
    maja = person("maja")
    request = {**AWAY, "place": place, "dry_run": True}
    summary = maja.api("POST", "/launches", json=request).json()["summary"]
    held = summary["holds"][0]
    assert (held["account"], held["limit"]) == ("cloud", 100 * 3600)
    assert (summary["place"]["id"], summary["payer"]) == ("paid", {"id": "facility", "title": "cloud"})
    without = maja.api("POST", "/launches", json={**request, "inputs": []}).json()["summary"]
    assert without["place"]["id"] == "bare"
