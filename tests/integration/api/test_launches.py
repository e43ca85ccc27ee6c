"""The spawn API: launches from request to end, idempotent and never anybody else's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hub.settings import SERVICE_PREFIX
from tests.support.demo_access import dataset
from tests.support.platform import Platform, Visitor
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]
Launch = dict[str, Any]

REFUSED = {
    "unknown profile": ({"profile": "gold"}, 404, "profile_unknown"),
    "not entitled": ({"inputs": [dataset("hc4802")]}, 404, "not_found_or_not_entitled"),
    "unknown": ({"inputs": [{"kind": "dataset", "ref": "no-such"}]}, 404, "not_found_or_not_entitled"),
    "embargo": ({"inputs": [{"kind": "investigation", "ref": "hc4802"}]}, 403, "embargoed_until"),
    "too long": ({"walltime_s": 9 * 3600}, 400, "walltime_exceeded"),
    "quota": ({"size": "medium", "walltime_s": 8 * 3600, "payer": "person"}, 429, "quota_exceeded"),
    "no template": ({"template": "no-such"}, 404, "template_unknown"),
    "does not fit": (
        {"template": "saxs-azimuthal-integration", "inputs": [dataset("ev0317")]},
        422,
        "template_not_applicable",
    ),
    "no place": ({"place": "moon"}, 400, "invalid_option"),
    "no own size": ({"resources": {"cpus": 1, "memory_mib": 512}}, 400, "invalid_option"),
    "no scheduling": ({"scheduling": {"qos": "long"}}, 400, "invalid_option"),
    "stray key": ({"cpus": 9999}, 400, "invalid_request"),
}


def launches(platform: Platform) -> int:
    [(count,)] = platform.database("SELECT count(*) FROM launches")
    return int(count)


@pytest.fixture(scope="module")
def running(person: SignIn) -> Iterator[Launch]:
    """A session of maja that runs."""
    maja = person("maja")
    launch = maja.launch(inputs=[dataset("ma5501")], walltime_s=3600, size="small")
    yield maja.wait_for(launch["id"], "running")
    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")


@pytest.mark.parametrize(("body", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_dry_run_refuses_as_the_start_does(
    platform: Platform, person: SignIn, body: Launch, status: int, code: str
) -> None:
    who = person("rui" if code in {"quota_exceeded", "template_not_applicable"} else "tobi")
    dry = who.api("POST", "/launches", json={**body, "dry_run": True})
    real = who.api("POST", "/launches", json=body)
    assert (dry.status_code, dry.json()["code"]) == (status, code), dry.text
    assert dry.content == real.content
    for reply in (dry, real):
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json()["type"] == f"urn:panhub:problem:{code}"
        assert {"title", "detail", "hint"} <= reply.json().keys()
    nothing_started(platform)


def test_a_dry_run_keeps_nothing(platform: Platform, person: SignIn) -> None:
    before = launches(platform)
    reply = person("maja").api("POST", "/launches", json={"dry_run": True, "inputs": [dataset("ma5501")]})
    assert reply.status_code == 200
    summary = reply.json()["summary"]
    assert {(m["path"].rsplit("/", 1)[1], m["mode"]) for m in summary["mounts"]} >= {
        ("RAW_DATA", "ro"),
        ("PROCESSED_DATA", "rw"),
    }
    assert launches(platform) == before
    nothing_started(platform)


@pytest.mark.parametrize("value", ["yes", 1, None, "true"])
def test_a_dry_run_is_never_guessed(person: SignIn, value: object) -> None:
    reply = person("tobi").api("POST", "/launches", json={"dry_run": value})
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"null", b"{", b'"lab"', b"[" * 50_000, b"\xff\xfe"])
def test_a_body_that_is_no_request_is_refused(person: SignIn, body: bytes) -> None:
    reply = person("tobi").api("POST", "/launches", content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")


def test_a_key_gives_the_same_launch_and_refuses_another_request(platform: Platform, person: SignIn) -> None:
    tobi, maja = person("tobi"), person("maja")
    key = {"Idempotency-Key": "one-and-only"}
    body = {"display_name": "once", "walltime_s": 600}
    first = tobi.api("POST", "/launches", json=body, headers=key)
    again = tobi.api("POST", "/launches", json=body, headers=key)
    other = tobi.api("POST", "/launches", json={"walltime_s": 1200}, headers=key)
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 422)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["Location"] == again.headers["Location"]
    assert other.json()["code"] == "idempotency_mismatch"

    theirs = maja.api("POST", "/launches", json=body, headers=key)
    assert (theirs.status_code, theirs.json()["id"] == first.json()["id"]) == (202, False)

    for who, launch in ((tobi, first.json()), (maja, theirs.json())):
        assert who.api("DELETE", f"/launches/{launch['id']}").status_code in {200, 202}
        who.wait_for(launch["id"], "ended")
        repeated = who.api("DELETE", f"/launches/{launch['id']}")
        assert (repeated.status_code, repeated.json()["state"]) == (200, "ended")
    after = tobi.api("POST", "/launches", json=body, headers=key)
    assert (after.status_code, after.json()["state"]) == (200, "ended")
    assert platform.session_processes() == []


def test_a_key_repeats_its_refusal(person: SignIn) -> None:
    key = {"Idempotency-Key": "refused"}
    replies = [
        person("tobi").api("POST", "/launches", json={"profile": "gold"}, headers=key) for _ in range(2)
    ]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert replies[0].content == replies[1].content


@pytest.mark.parametrize("key", ["a b", "a" * 81, "", "é".encode()])
def test_a_key_that_is_none_is_refused(person: SignIn, key: str | bytes) -> None:
    reply = person("tobi").api("POST", "/launches", json={}, headers={"Idempotency-Key": key})
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_idempotency_key")


def test_launches_of_others_are_not_there(person: SignIn, running: Launch) -> None:
    unknown = person("rui").api("GET", f"/launches/{'0' * 16}")
    calls = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/extend", {"seconds": 600}),
        ("GET", "/jobs", None),
        ("GET", "/events", None),
    ]
    for method, path, body in calls:
        theirs = person("rui").api(method, f"/launches/{running['id']}{path}", json=body)
        assert (theirs.status_code, theirs.content) == (404, unknown.content), path
    for page in ("", "/events"):
        assert person("rui").page(f"launches/{running['id']}{page}").status_code == 404
    for change in ("stop", "extend", "relaunch", "dismiss"):
        assert person("rui").post(f"launches/{running['id']}/{change}", {}).status_code == 404
    assert all(item["id"] != running["id"] for item in person("rui").api("GET", "/launches").json()["items"])
    assert person("maja").get(running["id"])["state"] == "running"


def test_a_launch_says_where_it_runs_and_what_was_submitted_from_inside(
    person: SignIn, running: Launch
) -> None:
    launch = person("maja").get(running["id"])
    assert launch["place"] == {"id": "local", "title": "This machine"}
    assert (launch["expected_start"], launch["pending_reason"], launch["jobs"]) == (None, "", [])
    reply = person("maja").api("GET", f"/launches/{running['id']}/jobs")
    assert (reply.status_code, reply.json()) == (200, {"items": []})


def test_the_soonest_of_one_place_is_that_place_and_starts_now(person: SignIn) -> None:
    reply = person("maja").api("POST", "/launches", json={"dry_run": True, "place": "soonest"})
    summary = reply.json()["summary"]
    assert (summary["place"]["id"], summary["is_soonest"], summary["alternatives"]) == ("local", True, [])
    assert summary["expected_start_basis"] == "scheduler"
    expected = datetime.fromisoformat(summary["expected_start"])
    assert abs(expected - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_session_is_extended_once_for_a_key(person: SignIn, running: Launch) -> None:
    maja = person("maja")
    path, key = f"/launches/{running['id']}/extend", {"Idempotency-Key": "longer"}
    before = datetime.fromisoformat(maja.get(running["id"])["deadline"])
    for _ in range(2):
        reply = maja.api("POST", path, json={"seconds": 1800}, headers=key)
        assert reply.status_code == 200, reply.text
        assert datetime.fromisoformat(reply.json()["deadline"]) == before + timedelta(seconds=1800)
    reply = maja.api("POST", path, json={"seconds": 8 * 3600})
    assert (reply.status_code, reply.json()["code"]) == (400, "walltime_exceeded")
    for seconds in (0, -1, "600", 1e3, 10**9, None):
        reply = maja.api("POST", path, json={"seconds": seconds})
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request"), seconds
    assert datetime.fromisoformat(maja.get(running["id"])["deadline"]) == before + timedelta(seconds=1800)


def test_an_extension_is_refused_over_the_quota_and_after_the_end(person: SignIn) -> None:
    rui = person("rui")
    launch = rui.launch(walltime_s=4 * 3600, payer="person")
    rui.wait_for(launch["id"], "running")
    path = f"/launches/{launch['id']}/extend"
    reply = rui.api("POST", path, json={"seconds": 3 * 3600})
    assert (reply.status_code, reply.json()["code"]) == (429, "quota_exceeded"), reply.text
    assert rui.api("POST", path, json={"seconds": 3600}).status_code == 200
    rui.api("DELETE", f"/launches/{launch['id']}")
    rui.wait_for(launch["id"], "ended")
    reply = rui.api("POST", path, json={"seconds": 600})
    assert (reply.status_code, reply.json()["code"]) == (409, "not_running")


def events(reply: httpx.Response, enough: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    """Server-sent events of an open stream, up to and with the one that is enough."""
    found: list[dict[str, str]] = []
    event: dict[str, str] = {}
    for line in reply.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            found.append(event)
            if enough(event):
                return found
            event = {}
    return found


def test_events_go_on_where_a_client_left(platform: Platform, person: SignIn, running: Launch) -> None:
    url = f"{platform.url}{SERVICE_PREFIX}/api/v1/launches/{running['id']}/events"
    headers = {"Authorization": f"token {person('maja').token}"}

    def is_state(event: dict[str, str]) -> bool:
        return event["event"] == "state"

    with httpx.stream("GET", url, headers=headers, timeout=20) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream"
        whole = [event for event in events(reply, is_state) if event["event"] == "progress"]
    ids = [int(event["id"]) for event in whole]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= 3
    with httpx.stream("GET", url, headers={**headers, "Last-Event-ID": str(ids[1])}, timeout=20) as reply:
        rest = [event for event in events(reply, is_state) if event["event"] == "progress"]
    assert rest == whole[2:]
    for nonsense in ("x", "-1", "9" * 30, "1e3"):
        with httpx.stream("GET", url, headers={**headers, "Last-Event-ID": nonsense}, timeout=20) as reply:
            first = events(reply, is_state)[0]
            assert json.loads(first["data"])["seq"] == 1


def test_a_page_hears_what_came_before_its_stream_was_open(platform: Platform, person: SignIn) -> None:
    tobi = person("tobi")
    found = re.search(r'data-events="([^"]+)"', tobi.page().text)
    assert found
    tobi.api("POST", "/launches", json={"profile": "gold"})
    with tobi.client.stream("GET", found[1], timeout=10) as reply:
        heard = events(reply, lambda event: event["event"] == "meters")
    assert [event["event"] for event in heard] == ["sessions", "recent", "meters"]


def test_events_of_what_is_over_end(platform: Platform, person: SignIn) -> None:
    tobi = person("tobi")
    tobi.api("POST", "/launches", json={"profile": "gold"})
    launch = tobi.api("GET", "/launches").json()["items"][0]
    assert launch["state"] == "refused"
    reply = tobi.api("GET", f"/launches/{launch['id']}/events")
    assert "event: done" in reply.text


def test_no_fault_was_logged(platform: Platform, running: Launch) -> None:
    no_traceback(platform)
    assert platform.blocked_loops() == []
