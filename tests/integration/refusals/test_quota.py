"""Quota refuses alike on every way in, says what and how much, and frees what a session gives back.

Rui has 6 CPU-hours a week. No session is started but where the number of sessions is the limit.
"""

from __future__ import annotations

import html
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Platform, Visitor, running_platform
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]

TOO_MUCH = {"size": "medium", "walltime_s": 8 * 3600, "payer": "person"}
"""Two CPUs for eight hours: 16 of 6."""


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform on which one session at a time is allowed."""
    folder = Path(tempfile.mkdtemp(prefix="panhub-")) / "s"
    roles = [
        {"group": "panhub:users", "resource": "cpu_hours", "limit": 60, "window": "week"},
        {"group": "panhub:users", "resource": "sessions", "limit": 1},
    ]
    persons = [{"person": "rui", "resource": "cpu_hours", "limit": 6, "window": "week"}]
    quota = {"enforcement": "enforced", "roles": roles, "persons": persons}
    with running_platform(folder, quota=quota) as running:
        yield running
        no_traceback(running)


@pytest.fixture(scope="module")
def person(platform: Platform) -> SignIn:
    return cache(platform.sign_in)


def form(request: dict[str, Any]) -> dict[str, str]:
    return {"input": "", "template": "none", **{key: str(value) for key, value in request.items()}}


def by_form(who: Visitor) -> str:
    return who.post("launches", form(TOO_MUCH)).text


def by_link(who: Visitor) -> str:
    return who.page("launch", params=form(TOO_MUCH)).text


def by_preview(who: Visitor) -> str:
    return who.post("parts/summary", form(TOO_MUCH)).text


def by_hub_rest(who: Visitor) -> str:
    reply = who.hub("POST", f"/users/{who.username}/servers/much", json={"user_options": TOO_MUCH})
    assert (reply.status_code, reply.headers["X-PanHub-Code"]) == (429, "quota_exceeded")
    return f'data-code="quota_exceeded" {reply.json()["message"]}'


def by_api(who: Visitor) -> str:
    reply = who.api("POST", "/launches", json=TOO_MUCH)
    assert (reply.status_code, reply.json()["code"]) == (429, "quota_exceeded")
    return f'data-code="quota_exceeded" {reply.json()["detail"]} {reply.json()["hint"]}'


def by_relaunch(who: Visitor) -> str:
    """Again what was refused before: the latest launch of the person."""
    launch_id = who.api("GET", "/launches").json()["items"][0]["id"]
    return who.post(f"launches/{launch_id}/relaunch", {}).text


WAYS = [by_form, by_link, by_preview, by_hub_rest, by_api, by_relaunch]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_a_refusal_says_what_and_how_much_and_when_it_resets(
    platform: Platform, person: SignIn, way: Callable[[Visitor], str]
) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", html.unescape(answer := way(person("rui")))).split())
    assert 'data-code="quota_exceeded"' in answer
    assert "This session would hold 16 CPU-hours, and you have 6 of 6 left." in text
    assert re.search(r"It counts from zero again on \d\d \w{3} 20\d\d at 00:00 UTC", text)
    nothing_started(platform)


def test_the_api_says_it_in_numbers(person: SignIn) -> None:
    for dry_run in (False, True):
        quota = person("rui").api("POST", "/launches", json={**TOO_MUCH, "dry_run": dry_run}).json()["quota"]
        assert {key: quota[key] for key in ("resource", "account_kind", "account", "window")} == {
            "resource": "cpu_seconds",
            "account_kind": "person",
            "account": "rui",
            "window": "week",
        }
        assert (quota["asked"], quota["limit"], quota["used"], quota["held"], quota["left"]) == (
            16 * 3600,
            6 * 3600,
            0,
            0,
            6 * 3600,
        )
        assert datetime.fromisoformat(quota["resets_at"]) > datetime.now(UTC)


def test_the_number_of_sessions_is_a_limit_until_one_ends(platform: Platform, person: SignIn) -> None:
    tobi = person("tobi")
    first = tobi.launch()
    tobi.wait_for(first["id"], "running")

    refused = tobi.api("POST", "/launches", json={})
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.json()["detail"] == "You have 1 session at once, and it is in use."
    assert refused.json()["quota"]["resource"] == "sessions"
    by_rest = tobi.hub("POST", "/users/tobi/servers/second", json={})
    assert (by_rest.status_code, by_rest.headers["X-PanHub-Code"]) == (429, "quota_exceeded")
    assert "quota_exceeded" in tobi.post("launches", form({})).text
    assert len(platform.database("SELECT 1 FROM launches WHERE handle IS NOT NULL")) == 1

    assert tobi.api("DELETE", f"/launches/{first['id']}").status_code == 202
    ended = tobi.wait_for(first["id"], "ended")
    assert ended["end_reason"] == "stopped_by_user"
    summary = tobi.api("POST", "/launches", json={"dry_run": True}).json()["summary"]
    assert [hold["held"] for hold in summary["holds"]] == [0, 0]
    charged = ended["usage"]["elapsed_seconds"]
    assert {hold["resource"]: hold["used"] for hold in summary["holds"]}["cpu_seconds"] == charged
    assert platform.session_processes() == []
