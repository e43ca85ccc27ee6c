"""Through the hub's plain REST API nothing starts that the form would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.demo_access import PROPOSALS, READS, dataset, expected_code, visit
from tests.support.platform import Platform, Visitor, wait_until
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]

DAY_S = 24 * 3600


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing(platform: Platform) -> Iterator[None]:
    """After all refusals: nothing runs, nothing is held, no traceback is logged, the hub forgets."""
    yield
    nothing_started(platform)
    no_traceback(platform)
    names = ("maja", "rui")
    wait_until(
        lambda: all(platform.hub_servers(name) == {} for name in names),
        "the hub keeps servers that were refused",
    )
    assert platform.blocked_loops() == []


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def start(who: Visitor, body: object, name: str = "try") -> httpx.Response:
    return who.hub("POST", f"/users/{who.username}/servers/{name}", content=json.dumps(body))


def assert_refused(reply: httpx.Response, status: int, code: str) -> None:
    assert (reply.status_code, reply.headers.get("X-PanHub-Code")) == (status, code), reply.text
    message = reply.json().get("message") or reply.json()["detail"]
    assert " " in message, message
    assert message.rstrip().endswith("."), message
    assert "Traceback" not in reply.text


OPTIONS = {
    "an unknown profile": ({"profile": "gold"}, 404, "profile_unknown"),
    "a profile of the staff": ({"profile": "lab-staff"}, 404, "profile_unknown"),
    "a size of another profile": ({"profile": "lab", "size": "large"}, 400, "invalid_option"),
    "an unknown size": ({"size": "huge"}, 400, "invalid_option"),
    "an interface that is not offered": ({"interface": "desktop"}, 404, "profile_unknown"),
    "an unknown interface": ({"interface": "ssh"}, 400, "invalid_request"),
    "99 days": ({"walltime_s": 99 * DAY_S}, 400, "invalid_request"),
    "29 days": ({"walltime_s": 29 * DAY_S}, 400, "walltime_exceeded"),
    "no time": ({"walltime_s": 0}, 400, "invalid_request"),
    "a negative time": ({"walltime_s": -3600}, 400, "invalid_request"),
    "a time as text": ({"walltime_s": "3600"}, 400, "invalid_request"),
    "a time as a fraction": ({"walltime_s": 3600.5}, 400, "invalid_request"),
    "9999 CPUs": ({"cpus": 9999}, 400, "invalid_request"),
    "resources": ({"resources": {"cpus": 9999}}, 400, "invalid_request"),
    "a stray key": ({"profile": "lab", "partition": "vip"}, 400, "invalid_request"),
    "a stray key of an input": (
        {"inputs": [{"kind": "dataset", "ref": "x", "path": "/etc"}]},
        400,
        "invalid_request",
    ),
    "a dry run": ({"dry_run": True}, 400, "invalid_request"),
    "somebody else as user": ({"username": "rui"}, 400, "invalid_request"),
    "a newline in the profile": ({"profile": "lab\n"}, 400, "invalid_request"),
    "a newline in the template": ({"template": "auto\n#SBATCH --qos=vip"}, 400, "invalid_request"),
    "a newline in the name": ({"display_name": "a\nb"}, 400, "invalid_request"),
    "a newline in the data": ({"inputs": [{"kind": "dataset", "ref": "a\nb"}]}, 400, "invalid_request"),
    "a substitution in the profile": ({"profile": "$(id)"}, 400, "invalid_request"),
    "a path as profile": ({"profile": "../lab"}, 400, "invalid_request"),
    "a path as template": ({"template": "../../etc/passwd"}, 400, "invalid_request"),
    "a path as data set": (
        {"inputs": [{"kind": "dataset", "ref": "../../etc/passwd"}]},
        404,
        "not_found_or_not_entitled",
    ),
    "an absolute path as visit": (
        {"inputs": [{"kind": "investigation", "ref": "/data/visitor/hc4802"}]},
        404,
        "not_found_or_not_entitled",
    ),
    "a kind of data that is not": ({"inputs": [{"kind": "path", "ref": "/etc"}]}, 400, "invalid_request"),
    "an unknown template": ({"template": "no-such"}, 404, "template_unknown"),
    "a template without data": ({"template": "saxs-azimuthal-integration"}, 422, "template_needs_data"),
    "parameters without a template": ({"parameters": {"npt": 3}}, 422, "parameter_invalid"),
    "a stray parameter": (
        {"inputs": [dataset("ma5501")], "template": "auto", "parameters": {"rm_rf": True}},
        422,
        "parameter_invalid",
    ),
    "a parameter name with a quote": ({"parameters": {"a'": 1}}, 400, "invalid_request"),
    "a payer who is not": ({"payer": "rui"}, 400, "invalid_request"),
    "options as a list": ([["profile", "lab"]], 400, "invalid_request"),
    "options as text": ("lab", 400, "invalid_request"),
    "options as a number": (7, 400, "invalid_request"),
    "options as a truth": (True, 400, "invalid_request"),
    "options as an empty list": ([], 400, "invalid_request"),
    "options as zero": (0, 400, "invalid_request"),
    "a profile as a list": ({"profile": ["lab"]}, 400, "invalid_request"),
    "inputs as text": ({"inputs": "ma5501"}, 400, "invalid_request"),
    "inputs that are null": ({"inputs": None}, 400, "invalid_request"),
    "17 inputs": ({"inputs": [dataset("ma5501")] * 17}, 400, "invalid_request"),
    "a nest of 6": (nested(6), 400, "invalid_request"),
    "a nest of 900": (nested(900), 400, "invalid_request"),
}


@pytest.mark.parametrize(("options", "status", "code"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_refused(person: SignIn, options: Any, status: int, code: str) -> None:
    assert_refused(start(person("maja"), {"user_options": options}), status, code)


@pytest.mark.parametrize(("options", "status", "code"), OPTIONS.values(), ids=OPTIONS)
def test_a_body_that_is_the_options_is_refused_alike(
    person: SignIn, options: Any, status: int, code: str
) -> None:
    if isinstance(options, dict) and "display_name" in options:
        code = "invalid_request"
    assert_refused(start(person("maja"), options), status, code)


BODIES = {
    "no JSON": b"{profile: lab}",
    "half of it": b'{"user_options": {"profile":',
    "a nest of 1000": json.dumps(nested(900)).encode().replace(b"{}", b'{"a":' * 100 + b"1" + b"}" * 100),
    "100,000 brackets": b"[" * 100_000,
    "not UTF-8": b'{"user_options": {"profile": "\xff"}}',
    "half a character": b'{"display_name": "\\ud800"}',
    "no number": b'{"user_options": {"walltime_s": NaN}}',
    "5000 digits": b'{"user_options": {"walltime_s": ' + b"9" * 5000 + b"}}",
    "a name that is none": b'{"display_name": 7}',
    "a name of two lines": b'{"display_name": "a\\nb", "user_options": {}}',
    "a name of 101 letters": b'{"display_name": "' + b"a" * 101 + b'"}',
    "options beside a name": b'{"display_name": "mine", "profile": "gold"}',
    "options beside options": b'{"user_options": {}, "profile": "gold"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_faulty_body_is_refused(person: SignIn, body: bytes) -> None:
    maja = person("maja")
    assert_refused(maja.hub("POST", "/users/maja/servers/try", content=body), 400, "invalid_request")


OTHERS = [
    (username, proposal, kind)
    for username in ("rui", "yuki", "sam")
    for proposal in PROPOSALS
    for kind in ("dataset", "investigation")
    if proposal not in READS[username]
]


@pytest.mark.parametrize(("username", "proposal", "kind"), OTHERS)
def test_data_of_others_is_refused(person: SignIn, username: str, proposal: str, kind: str) -> None:
    wanted = dataset(proposal) if kind == "dataset" else visit(proposal)
    reply = start(person(username), {"user_options": {"inputs": [wanted]}})
    assert_refused(reply, *expected_code(proposal, kind))


def test_own_data_does_not_carry_that_of_others(person: SignIn) -> None:
    reply = start(person("maja"), {"inputs": [dataset("ma5501"), dataset("hc4802")]})
    assert_refused(reply, 404, "not_found_or_not_entitled")


@pytest.mark.parametrize("where", ["proxy", "hub"])
def test_a_body_of_40_mb_is_refused(platform: Platform, person: SignIn, where: str) -> None:
    base = f"{platform.url}/hub/api" if where == "proxy" else platform.settings.hub.api_url
    body = b'{"user_options": {"profile": "' + b"a" * 40_000_000 + b'"}}'
    reply = httpx.post(
        f"{base}/users/maja/servers/try",
        content=body,
        headers={"Authorization": f"token {person('maja').token}"},
        timeout=60,
    )
    assert_refused(reply, 413, "body_too_large")


NAMES = {
    "": "default_server_refused",
    "UPPER": "invalid_server_name",
    "under_score": "invalid_server_name",
    "-dash": "invalid_server_name",
    "a" * 31: "invalid_server_name",
    "a" * 300: "invalid_server_name",
    "a%2Fb": "invalid_server_name",
    "..%2F..": "invalid_server_name",
    "a%0Ab": "invalid_server_name",
    "a%00b": "invalid_server_name",
    "%C3%A9": "invalid_server_name",
    "1abc": "invalid_server_name",
}


@pytest.mark.parametrize(("name", "code"), NAMES.items(), ids=[name[:12] or "none" for name in NAMES])
def test_a_name_that_is_not_allowed_is_refused(person: SignIn, name: str, code: str) -> None:
    assert_refused(start(person("maja"), {}, name), 400, code)


def test_the_default_server_is_refused(person: SignIn) -> None:
    reply = person("maja").hub("POST", "/users/maja/server", json={"profile": "lab"})
    assert_refused(reply, 400, "default_server_refused")


@pytest.mark.parametrize("body", [{"name": "other"}, {"user_options": {"profile": "gold"}}, {"x": 1}, {}])
def test_a_session_is_not_renamed_or_changed(person: SignIn, body: dict[str, Any]) -> None:
    reply = person("maja").hub("PATCH", "/users/maja/servers/try", json=body)
    assert_refused(reply, 405, "change_refused")


def test_a_session_is_not_created_aside_and_then_started(platform: Platform, person: SignIn) -> None:
    maja = person("maja")
    stored = {"user_options": {"profile": "gold"}}
    assert_refused(maja.hub("PUT", "/users/maja/servers/aside", json=stored), 405, "create_refused")
    assert "aside" not in platform.hub_servers("maja")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
def test_the_server_of_another_person_is_refused(person: SignIn, method: str) -> None:
    reply = person("rui").hub(method, "/users/maja/servers/theirs", json={})
    assert 400 <= reply.status_code < 500
    assert reply.headers["X-PanHub-Code"] in {"http_403", "http_404", "change_refused", "create_refused"}


def test_nobody_without_a_token(platform: Platform) -> None:
    reply = httpx.post(f"{platform.url}/hub/api/users/maja/servers/try", json={})
    assert reply.status_code == 403


def test_the_hubs_own_form_starts_nothing(platform: Platform, person: SignIn) -> None:
    maja = person("maja")
    for path in ("/hub/spawn?opt-profile=gold", "/hub/spawn/maja/x?opt-profile=lab", "/hub/home"):
        reply = maja.client.get(path)
        assert reply.status_code == 200
        assert reply.url.path.startswith("/services/panhub/")
    reply = maja.client.post("/hub/spawn/maja/x", data={"_xsrf": maja.xsrf("/hub")})
    assert reply.status_code == 405
    assert platform.hub_servers("maja") == {}


def test_a_refusal_is_shown_on_the_home_page(person: SignIn) -> None:
    tobi = person("tobi")
    assert_refused(start(tobi, {"user_options": {"profile": "gold"}}, "wish"), 404, "profile_unknown")
    assert 'data-code="profile_unknown"' in tobi.page().text
    assert_refused(start(tobi, {"user_options": {"gold": 1}}, "wish"), 400, "invalid_request")
    assert 'data-code="invalid_request"' in tobi.page().text


@pytest.mark.parametrize("content", [b"", b"{}", b"null"])
def test_an_empty_body_does_not_revive_what_was_refused_before(person: SignIn, content: bytes) -> None:
    """JupyterHub keeps the last options and takes them for a start without any."""
    rui = person("rui")
    for _ in range(5):
        before = start(rui, {"inputs": [dataset("ma5501")]}, "again")
        assert_refused(before, 404, "not_found_or_not_entitled")
        reply = rui.hub("POST", "/users/rui/servers/again", content=content)
        if reply.status_code not in {201, 202}:
            assert_refused(reply, 404, "not_found_or_not_entitled")
            return
        # The refused server was cleared away in between, so this was a start of the default session.
        assert rui.hub("DELETE", "/users/rui/servers/again", json={"remove": True}).status_code in {202, 204}
    pytest.fail("the options were never there to be taken again")
