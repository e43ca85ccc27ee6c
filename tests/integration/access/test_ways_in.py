"""Nobody gets at the data of others, whichever way in: form, link, API or hub REST."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.demo_access import (
    DATASETS,
    INDUSTRIAL_WORDS,
    OPEN,
    PROPOSALS,
    READS,
    dataset,
    expected_code,
    visit,
)
from tests.support.platform import Platform, Visitor
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]

PEOPLE = list(READS)
PAIRS = [(username, proposal) for username in PEOPLE for proposal in PROPOSALS]
DENIED = [(username, proposal) for username, proposal in PAIRS if proposal not in READS[username]]
GRANTED = [(username, proposal) for username, proposal in PAIRS if proposal in READS[username]]


@pytest.mark.parametrize(("username", "proposal"), GRANTED)
def test_what_may_be_read_is_offered(person: SignIn, username: str, proposal: str) -> None:
    reply = person(username).api(
        "POST", "/launches", json={"dry_run": True, "inputs": [dataset(proposal)], "payer": "person"}
    )
    assert reply.status_code == 200, reply.text
    summary = reply.json()["summary"]
    [data] = summary["data"]
    assert data["is_open"] is (proposal in OPEN)
    assert all(mount["path"].startswith(f"/data/visitor/{proposal}/") for mount in summary["mounts"])
    modes = {mount["path"].rsplit("/", 1)[1]: mount["mode"] for mount in summary["mounts"]}
    assert modes["RAW_DATA"] == "ro"
    full_member = (username, proposal) in {
        ("maja", "ma5501"),
        ("tobi", "ma5501"),
        ("helene", "ma5501"),
        ("helene", "hc4802"),
        ("rui", "hc4802"),
        ("yuki", "in1204"),
    }
    assert ("rw" in modes.values()) is full_member, modes


@pytest.mark.parametrize(("username", "proposal"), DENIED)
@pytest.mark.parametrize("kind", ["dataset", "investigation"])
def test_what_may_not_be_read_is_refused_on_every_way_in(
    person: SignIn, username: str, proposal: str, kind: str
) -> None:
    who = person(username)
    wanted = dataset(proposal) if kind == "dataset" else visit(proposal)
    status, code = expected_code(proposal, kind)
    for dry_run in (True, False):
        reply = who.api("POST", "/launches", json={"inputs": [wanted], "dry_run": dry_run})
        assert (reply.status_code, reply.json()["code"]) == (status, code)
    reply = who.hub("POST", f"/users/{username}/servers/try", json={"user_options": {"inputs": [wanted]}})
    assert (reply.status_code, reply.headers["X-PanHub-Code"]) == (status, code)
    form = {"input": f"{wanted['kind']}:{wanted['ref']}", "template": "none"}
    page = who.post("launches", form)
    assert (page.status_code, f'data-code="{code}"' in page.text) == (status, True)
    link = who.page("launch", params={kind: wanted["ref"]})
    assert (link.status_code, f'data-code="{code}"' in link.text) == (200, True)
    summary = who.post("parts/summary", form)
    assert (summary.status_code, f'data-code="{code}"' in summary.text) == (200, True)
    if proposal == "in1204":
        # The address that was asked for may be repeated, but nothing that the catalogue knows.
        words = [word for word in INDUSTRIAL_WORDS if word not in {proposal, wanted["ref"]}]
        for answer in (page, link, summary):
            assert not [word for word in words if word in answer.text]


@pytest.mark.parametrize("username", [name for name in PEOPLE if name != "yuki"])
def test_denied_and_unknown_are_told_in_the_same_words(person: SignIn, username: str) -> None:
    who = person(username)
    bodies = set()
    for kind, ref in (
        ("dataset", "ds-in1204-steel"),
        ("dataset", "ds-in1204-other"),
        ("dataset", "no-such-thing"),
        ("investigation", "in1204"),
        ("investigation", "in1204-1"),
        ("investigation", "zz9999"),
        ("doi", "10.5072/panhub-demo/unknown"),
        ("doi", "in1204"),
    ):
        reply = who.api("POST", "/launches", json={"inputs": [{"kind": kind, "ref": ref}], "dry_run": True})
        bodies.add((reply.status_code, reply.content))
    assert len(bodies) == 1, bodies
    own = {dataset(proposal)["ref"] for proposal in PROPOSALS if proposal not in READS[username]}
    for ref in own:
        wanted = {"kind": "dataset", "ref": ref}
        reply = who.api("POST", "/launches", json={"inputs": [wanted], "dry_run": True})
        bodies.add((reply.status_code, reply.content))
    assert len(bodies) == 1, bodies


@pytest.mark.parametrize("username", PEOPLE)
def test_lists_and_searches_show_what_may_be_read_and_nothing_else(person: SignIn, username: str) -> None:
    who = person(username)
    whole = who.page("data").text
    for proposal in PROPOSALS:
        assert (f"dataset:{DATASETS[proposal]}" in whole or DATASETS[proposal] in whole) is (
            proposal in READS[username]
        ), proposal
    if username == "yuki":
        return
    for query in ("in1204", "steel", "Nakata", "Inclusions", "ds-in1204-steel", "id21", "NIST"):
        for path in ("data", "parts/data", "new", "templates"):
            found = who.page(path, params={"q": query}).text
            shown = [word for word in INDUSTRIAL_WORDS if word in found and word not in query]
            assert shown == [], (path, query, shown)


def test_open_data_is_marked_for_everybody(person: SignIn) -> None:
    for username in PEOPLE:
        page = person(username).page("data", params={"q": "sc6120"}).text
        assert "Oriented iron" in page
        assert "open" in page.lower()


def test_only_operators_see_what_operators_see(person: SignIn) -> None:
    for username in PEOPLE:
        for path in ("operate", "operate.csv", "parts/allocations/person:rui"):
            reply = person(username).page(path)
            assert (reply.status_code == 403) is (username != "sam"), (username, path, reply.status_code)
        if username != "sam":
            change = person(username).post("operate/allocations/person:rui", {"limit": "999", "reason": "me"})
            assert change.status_code == 403


def test_nothing_ran_and_no_fault_was_logged(platform: Platform) -> None:
    nothing_started(platform)
    no_traceback(platform)
    assert platform.blocked_loops() == []
