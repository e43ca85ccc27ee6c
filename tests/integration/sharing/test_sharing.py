"""Sharing over HTTP: every action by everybody, and what the tunnel, the page and the hub see of it."""

from __future__ import annotations

import asyncio
import html
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from hub.api.openapi import document
from hub.desktop.capability import public_text
from hub.settings import SERVICE_PREFIX
from tests.support.demo_access import dataset
from tests.support.hubs import server_pids
from tests.support.platform import Platform, Visitor, wait_until
from tests.support.sharing_platform import STATION, Tunnel, give_picture
from tests.support.traces import no_traceback

SignIn = Callable[[str], Visitor]
Launch = dict[str, Any]

pytestmark = pytest.mark.timeout(240)

JPEG = b"\xff\xd8\xff\xe0picture\xff\xd9"
ZERO = "0" * 16
WHO = {"owner": "maja", "control": "tobi", "viewer": "helene", "stranger": "rui", "operator": "sam"}


@pytest.fixture(scope="module")
def session(platform: Platform, person: SignIn) -> Iterator[Launch]:
    """A session of maja's with data of her proposal; tobi may have control, helene may see."""
    maja = person("maja")
    launch = maja.launch(inputs=[dataset("ma5501")], walltime_s=3600, size="small")
    launch = maja.wait_for(launch["id"], "running")
    give_picture(platform, launch["id"])
    for username in ("tobi", "helene"):
        person(username)
    give(maja, launch, "tobi", "control")
    give(maja, launch, "helene", "viewer")
    yield launch
    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")


def give(owner: Visitor, launch: Launch, username: str, role: str, **more: Any) -> None:
    body = {"username": username, "role": role, **more}
    reply = owner.api("POST", f"/desktops/{launch['id']}/members", json=body)
    assert reply.status_code == 200, reply.text


def state(visitor: Visitor, launch: Launch) -> dict[str, Any]:
    reply = visitor.api("GET", f"/desktops/{launch['id']}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def code_of(reply: httpx.Response) -> str:
    return str(reply.json()["code"]) if reply.status_code >= 400 else ""


def join(visitor: Visitor, launch: Launch, tunnel: Tunnel) -> str:
    """A person's window, as the tunnel admits it."""
    made = visitor.api("POST", f"/desktops/{launch['id']}/tickets", json={"screen": 1})
    assert made.status_code == 201, made.text
    assert made.json()["tunnel"] == "/services/desktop/tunnel"
    reply = tunnel.redeem(made.json()["ticket"], visitor.username)
    assert reply.status_code == 200, reply.text
    assert reply.json()["target"]["url"].endswith(f"/user/maja/{launch['server_name']}/")
    return str(reply.json()["connection"])


NOT_THEIRS = (404, "desktop_not_found")
OWNERS = (403, "only_the_owner")
TABLE: dict[str, tuple[tuple[str, str, Any], dict[str, tuple[int, str]]]] = {
    "see": (("GET", "", None), {"owner": (200, ""), "control": (200, ""), "viewer": (200, "")}),
    "connect": (("POST", "/tickets", {}), {"owner": (201, ""), "control": (201, ""), "viewer": (201, "")}),
    "invite": (
        ("POST", "/members", {"username": "rui", "role": "viewer"}),
        {"owner": (409, "confirm_needed"), "control": OWNERS, "viewer": OWNERS},
    ),
    "remove": (
        ("DELETE", "/members/rui", None),
        {"owner": (404, "member_unknown"), "control": OWNERS, "viewer": OWNERS},
    ),
    "suggestions": (("GET", "/suggestions", None), {"owner": (200, ""), "control": OWNERS, "viewer": OWNERS}),
    "answer": (
        ("POST", f"/requests/{ZERO}", {"answer": "viewer"}),
        {"owner": (404, "not_open_any_more"), "control": OWNERS, "viewer": OWNERS},
    ),
    "link": (("POST", "/invitations", {}), {"owner": (201, ""), "control": OWNERS, "viewer": OWNERS}),
    "take link back": (
        ("DELETE", f"/invitations/{ZERO}", None),
        {"owner": (404, "not_open_any_more"), "control": OWNERS, "viewer": OWNERS},
    ),
    "take control": (
        ("POST", "/control", {"to": "tobi"}),
        {
            "owner": (409, "control_not_here"),
            "control": (409, "control_not_here"),
            "viewer": (403, "control_not_yours"),
        },
    ),
    "free control": (
        ("POST", "/control", {"to": None}),
        {"owner": (200, ""), "control": (409, "desktop_locked"), "viewer": (403, "control_not_yours")},
    ),
    "policy": (
        ("PATCH", "/policy", {"when_owner_leaves": "lock"}),
        {"owner": (200, ""), "control": OWNERS, "viewer": OWNERS},
    ),
    "end": (("POST", "/end", {}), {"control": OWNERS, "viewer": OWNERS}),
    "send picture": (
        ("PUT", "/thumbnail", JPEG),
        {"owner": (403, "role_too_low"), "control": (403, "role_too_low"), "viewer": (403, "role_too_low")},
    ),
    "see picture": (
        ("GET", "/thumbnail", None),
        {"owner": (404, "no_thumbnail"), "control": (404, "no_thumbnail"), "viewer": (404, "no_thumbnail")},
    ),
    "record": (
        ("GET", "/audit", None),
        {"owner": (200, ""), "control": NOT_THEIRS, "viewer": NOT_THEIRS, "operator": (200, "")},
    ),
}
CASES = [
    (action, who, expected.get(who, NOT_THEIRS))
    for action, (_, expected) in TABLE.items()
    for who in WHO
    if (action, who) != ("end", "owner")
]


def call(visitor: Visitor, desktop: str, action: str) -> httpx.Response:
    (method, path, body), _ = TABLE[action]
    if isinstance(body, bytes):
        headers = {"Content-Type": "image/jpeg"}
        return visitor.api(method, f"/desktops/{desktop}{path}", content=body, headers=headers)
    return visitor.api(method, f"/desktops/{desktop}{path}", **({} if body is None else {"json": body}))


@pytest.mark.parametrize(("action", "who", "expected"), CASES)
def test_who_may_do_what(
    person: SignIn, session: Launch, action: str, who: str, expected: tuple[int, str]
) -> None:
    reply = call(person(WHO[who]), session["id"], action)
    assert (reply.status_code, code_of(reply)) == expected, reply.text
    (method, path, _), _ = TABLE[action]
    template = path.replace("/members/rui", "/members/{username}").replace(ZERO, "{item}")
    described = document()["paths"][f"/desktops/{{desktop}}{template}"][method.lower()]["responses"]
    assert str(reply.status_code) in described
    if expected == NOT_THEIRS:
        unknown = call(person(WHO[who]), ZERO, action)
        assert (unknown.status_code, unknown.json()) == (404, reply.json()), "as for one that is not there"


@pytest.mark.parametrize("action", TABLE)
def test_who_is_not_signed_in_does_nothing(platform: Platform, session: Launch, action: str) -> None:
    (method, path, _), _ = TABLE[action]
    url = f"{platform.url}{SERVICE_PREFIX}/api/v1/desktops/{session['id']}{path}"
    assert httpx.request(method, url).status_code == 401


@pytest.mark.parametrize("action", [a for a, ((method, *_), _) in TABLE.items() if method != "GET"])
def test_a_page_of_another_site_changes_nothing(person: SignIn, session: Launch, action: str) -> None:
    (method, path, _), _ = TABLE[action]
    url = f"{SERVICE_PREFIX}/api/v1/desktops/{session['id']}{path}"
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"X-XSRFToken": person("tobi").xsrf()}):
        reply = person("maja").client.request(method, url, headers=headers)
        assert reply.status_code in {401, 403}
        assert reply.json()["code"] in {"login_required", "http_403"}, reply.text


def test_scripts_of_other_pages_do_not_see_the_picture(person: SignIn, session: Launch) -> None:
    client, url = person("maja").client, f"{SERVICE_PREFIX}/api/v1/desktops/{session['id']}/thumbnail"
    fetched = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
    assert client.get(url, headers=fetched).status_code == 401
    shown = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin"}
    assert client.get(url, headers=shown).json()["code"] == "no_thumbnail"
    elsewhere = {**shown, "Sec-Fetch-Site": "same-site"}
    assert client.get(url, headers=elsewhere).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/members", {"username": "rui"}),
        ("POST", "/members", {"username": "rui", "role": "owner"}),
        ("POST", "/members", {"username": "../x", "role": "viewer"}),
        ("POST", "/members", {"username": "rui", "role": "viewer", "confirm": "yes"}),
        ("POST", "/members", {"username": "rui", "role": "viewer", "more": 1}),
        ("POST", "/members", [1]),
        ("POST", "/tickets", {"screen": 3}),
        ("POST", "/tickets", {"screen": True}),
        ("POST", "/requests", {"role": "owner"}),
        ("POST", "/invitations", {"hours": 0}),
        ("POST", "/invitations", {"hours": 10**9}),
        ("POST", "/control", {}),
        ("POST", "/control", {"to": ""}),
        ("PATCH", "/policy", {"when_owner_leaves": "never"}),
        ("POST", f"/requests/{ZERO}", {"answer": "owner"}),
    ],
)
def test_what_does_not_fit_is_refused(
    person: SignIn, session: Launch, method: str, path: str, body: Any
) -> None:
    reply = person("maja").api(method, f"/desktops/{session['id']}{path}", json=body)
    assert (reply.status_code, code_of(reply)) == (400, "invalid_request")
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["detail"].endswith(".")


@pytest.mark.parametrize("path", ["x", "0" * 15, "0" * 17, "ws-", "ws-A", "ws-../x", "%00" * 16])
def test_what_is_no_id_is_nothing(person: SignIn, path: str) -> None:
    assert person("maja").api("GET", f"/desktops/{path}").status_code == 404


def test_asking_is_answered_alike_for_what_is_there_and_what_is_not(person: SignIn, session: Launch) -> None:
    rui, maja = person("rui"), person("maja")
    answers = [
        rui.api("POST", f"/desktops/{one}/requests", json={}) for one in (session["id"], ZERO, "ws-no")
    ]
    assert {(a.status_code, a.text) for a in answers} == {(202, answers[0].text)}
    [asked] = state(maja, session)["requests"]
    assert (asked["username"], asked["name"], asked["warning"]) == ("rui", "Rui Costa", "ma5501")
    path = f"/desktops/{session['id']}/requests/{asked['id']}"
    unsure = maja.api("POST", path, json={"answer": "viewer"})
    assert (unsure.status_code, code_of(unsure)) == (409, "confirm_needed")
    assert maja.api("POST", path, json={"answer": "refuse"}).status_code == 200
    assert rui.api("GET", f"/desktops/{session['id']}").status_code == 404


def test_who_may_not_read_the_data_is_let_in_by_the_owners_second_word_only(
    person: SignIn, session: Launch
) -> None:
    rui, maja = person("rui"), person("maja")
    give(maja, session, "rui", "viewer", confirm=True)
    assert [m["warning"] for m in state(maja, session)["members"] if m["username"] == "rui"] == ["ma5501"]
    assert state(rui, session)["me"]["role"] == "viewer"
    assert maja.api("DELETE", f"/desktops/{session['id']}/members/rui").status_code == 200
    assert rui.api("GET", f"/desktops/{session['id']}").status_code == 404


def test_a_link_leads_to_the_page_with_its_token_behind_the_hash_and_works_once(
    platform: Platform, person: SignIn, session: Launch
) -> None:
    rui, maja = person("rui"), person("maja")
    made = maja.api("POST", f"/desktops/{session['id']}/invitations", json={"role": "viewer", "hours": 1})
    page, _, token = made.json()["url"].partition("#")
    assert page == f"{platform.url}{SERVICE_PREFIX}/invitations"
    first = rui.api("POST", "/invitations", json={"token": token})
    assert first.json() == {"desktop": session["id"], "waits": True}, "he may not read the data"
    second = person("yuki").api("POST", "/invitations", json={"token": token})
    assert (second.status_code, code_of(second)) == (404, "invitation_not_valid")
    assert token not in platform.log("service", 5000)
    [asked] = state(maja, session)["requests"]
    maja.api("POST", f"/desktops/{session['id']}/requests/{asked['id']}", json={"answer": "refuse"})


def test_suggestions_are_people_of_the_team(person: SignIn, session: Launch) -> None:
    found = person("maja").api("GET", f"/desktops/{session['id']}/suggestions").json()["items"]
    assert {one["username"] for one in found} == {"tobi", "helene"}


def test_nothing_of_the_tunnels_is_open_to_others(platform: Platform, person: SignIn, tunnel: Tunnel) -> None:
    hubs = platform.settings.service.internal_secret_file.read_text().strip()
    paths = (("POST", "/redeem"), ("POST", "/report"), ("GET", "/news"))
    for method, path in paths:
        for secret in ("x", "wrong", hubs):
            assert tunnel.call(method, path, secret=secret).status_code == 401
        for base in ("", SERVICE_PREFIX):
            reply = person("sam").client.request(method, f"{base}/internal/desktop{path}")
            assert reply.status_code in {403, 404, 405}


def test_a_session_learns_the_tunnels_public_key(platform: Platform, session: Launch) -> None:
    expected = public_text(platform.settings.desktop.key_file)  # type: ignore[union-attr]
    told = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in server_pids(session["id"])]
    assert told
    assert all(f"PANHUB_DESKTOP_KEY={expected}".encode() in environment for environment in told)


class Follower:
    """Follows a desktop's events as a page does; ``seen`` are names and data, the stream's end included."""

    def __init__(self, visitor: Visitor, desktop: str) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._url = f"{visitor.platform.url}{SERVICE_PREFIX}/api/v1/desktops/{desktop}/events"
        self._headers = {"Authorization": f"token {visitor.token}"}
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        event = ""
        with httpx.stream("GET", self._url, headers=self._headers, timeout=60) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                if line.startswith("data: "):
                    self.seen.append((event, json.loads(line.removeprefix("data: "))))
        self.seen.append(("end", None))

    def wait(self, what: Callable[[tuple[str, Any]], bool], message: str) -> None:
        """Wait for an event."""
        wait_until(lambda: any(what(one) for one in list(self.seen)), f"{message}: {self.seen[-2:]}", 20)


def test_a_desktop_is_joined_handed_over_and_left(person: SignIn, session: Launch, tunnel: Tunnel) -> None:
    maja, tobi, helene = person("maja"), person("tobi"), person("helene")
    desktop = f"/desktops/{session['id']}"
    owner, second, viewer = (join(one, session, tunnel) for one in (maja, tobi, helene))
    maja.api("POST", f"{desktop}/control", json={"to": "maja"})
    answer = tunnel.report(owner, second, viewer)
    roles = {one: (d["role"], d["has_control"]) for one, d in answer["decisions"].items()}
    assert roles == {owner: ("owner", True), second: ("control", False), viewer: ("viewer", False)}
    follower = Follower(helene, session["id"])
    follower.wait(lambda e: e[0] == "state" and e[1]["holder"] == "maja", "no first state")
    assert maja.api("POST", f"{desktop}/control", json={"to": "tobi"}).json()["holder"] == "tobi"
    follower.wait(lambda e: e[0] == "state" and e[1]["holder"] == "tobi", "the page does not hear of it")
    picture = {"content": JPEG, "headers": {"Content-Type": "image/jpeg"}}
    assert tobi.api("PUT", f"{desktop}/thumbnail", **picture).status_code == 204
    assert helene.api("PUT", f"{desktop}/thumbnail", **picture).status_code == 403
    shown = helene.api("GET", f"{desktop}/thumbnail")
    assert (shown.content, shown.headers["Content-Type"]) == (JPEG, "image/jpeg")
    position = tunnel.report(owner, second, viewer)["position"]
    began = time.monotonic()
    waiting: list[httpx.Response] = []
    waiter = threading.Thread(
        target=lambda: waiting.append(tunnel.call("GET", "/news", params={"position": position}))
    )
    waiter.start()
    assert maja.api("DELETE", f"{desktop}/members/helene").status_code == 200
    waiter.join(20)
    assert waiting[0].json()["position"] != position
    assert time.monotonic() - began < 15, "not by the wait's own end"
    gone = tunnel.report(owner, second, viewer)["decisions"][viewer]
    assert (gone["may_stay"], gone["status"]) == (False, 0x0303)
    follower.wait(lambda e: e[0] == "gone", "the page is not told")
    follower.wait(lambda e: e[0] == "end", "the stream stays open")
    # The owner leaves: the policy locks.
    decision = tunnel.report(second)["decisions"][second]
    assert (decision["may_stay"], decision["has_control"]) == (True, False)
    assert state(tobi, session)["holder"] is None
    owner = join(maja, session, tunnel)
    assert tunnel.report(owner, second)["decisions"][second]["has_control"]
    # The end for all others.
    assert maja.api("POST", f"{desktop}/end", json={}).json()["holder"] == "maja"
    assert not tunnel.report(owner, second)["decisions"][second]["may_stay"]
    again = tobi.api("POST", f"{desktop}/tickets", json={})
    assert (again.status_code, code_of(again)) == (403, "may_not_join")
    lines = maja.api("GET", f"{desktop}/audit").json()["items"]
    found = {(one["actor"], one["what"], one["about"]) for one in lines}
    assert {("tobi", "join", ""), ("maja", "control", "tobi"), ("maja", "revoke", "helene")} <= found
    assert {("helene", "leave", ""), ("maja", "end", "")} <= found


def test_a_workstation_is_its_instruments_staffs(person: SignIn) -> None:
    found = person("helene").api("GET", f"/desktops/{STATION}").json()
    assert (found["kind"], found["me"]["role"], found["owner"]) == ("workstation", "owner", None)
    for who in ("sam", "rui", "maja"):
        assert person(who).api("GET", f"/desktops/{STATION}").status_code == 404


def lab_status(visitor: Visitor, launch: Launch) -> int:
    """What somebody who opens maja's JupyterLab gets, as a browser that was sent there.

    The hub asks once whether they want to go to somebody else's server.
    """
    base = f"/user/maja/{launch['server_name']}/"
    reply = visitor.client.get(f"{base}lab")
    if reply.status_code == 200 and reply.url.path == "/hub/api/oauth2/authorize":
        fields: dict[str, list[str]] = {"_xsrf": [visitor.xsrf("/hub/")]}
        for name, value in re.findall(r'<input[^>]*name="(scopes)"[^>]*value="([^"]*)"', reply.text):
            fields.setdefault(name, []).append(html.unescape(value))
        reply = visitor.client.post(str(reply.url), data=fields, headers={"Referer": str(reply.url)})
    assert reply.status_code < 500, reply.text[:300]
    assert reply.status_code != 200 or reply.url.path.startswith(base), reply.url
    return reply.status_code


def contents_status(visitor: Visitor, launch: Launch) -> int:
    """What a script of a page of that JupyterLab gets, which is open still: the files."""
    base = f"/user/maja/{launch['server_name']}/"
    headers = {"X-XSRFToken": visitor.xsrf(base), "Sec-Fetch-Mode": "cors"}
    return visitor.client.get(f"{base}api/contents", headers=headers, follow_redirects=False).status_code


class Channel:
    """An open channel of a terminal in maja's session, as a page of somebody's has it."""

    def __init__(self, visitor: Visitor, launch: Launch) -> None:
        base = f"/user/maja/{launch['server_name']}/"
        headers = {"X-XSRFToken": visitor.xsrf(base), "Sec-Fetch-Mode": "cors"}
        made = visitor.client.post(f"{base}api/terminals", headers=headers)
        assert made.status_code == 200, made.text
        jar = visitor.client.cookies.jar
        cookies = "; ".join(f"{c.name}={c.value}" for c in jar if base.startswith(c.path.rstrip("/")))
        url = visitor.platform.url.replace("http", "ws", 1)
        self._request = HTTPRequest(
            f"{url}{base}terminals/websocket/{made.json()['name']}",
            headers={"Cookie": cookies, "Origin": visitor.platform.url},
        )
        self._opened, self._closed = threading.Event(), threading.Event()
        self.code: int | None = None
        threading.Thread(target=lambda: asyncio.run(self._listen()), daemon=True).start()
        assert self._opened.wait(20), "the channel does not open"

    async def _listen(self) -> None:
        connection = await websocket_connect(self._request)
        self._opened.set()
        while await connection.read_message() is not None:
            pass
        self.code = connection.close_code
        self._closed.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is closed because its person may no longer be there."""
        assert self._closed.wait(timeout_s), "the channel stays open"
        assert self.code == 1008


def test_jupyterlab_is_shared_with_who_may_have_control_until_it_is_taken_back(
    platform: Platform, person: SignIn
) -> None:
    maja, tobi, helene = person("maja"), person("tobi"), person("helene")
    launch = maja.wait_for(maja.launch(walltime_s=3600, size="small")["id"], "running")
    maja.open_session(launch)
    assert lab_status(tobi, launch) == 403
    give(maja, launch, "tobi", "control")
    give(maja, launch, "helene", "viewer")
    assert state(tobi, launch)["lab_url"] == f"/user/maja/{launch['server_name']}/lab"
    assert state(helene, launch)["lab_url"] is None
    wait_until(lambda: lab_status(tobi, launch) == 200, f"not shared: {platform.log('service')}", 20)
    assert lab_status(helene, launch) == 403
    assert shares(platform, launch) == {"tobi"}
    assert contents_status(tobi, launch) == 200
    channel = Channel(tobi, launch)
    assert maja.api("DELETE", f"/desktops/{launch['id']}/members/tobi").status_code == 200
    wait_until(lambda: not shares(platform, launch), "the hub still shares it", 20)
    # The session's server asks the hub again once its last answer is old enough; open channels are cut.
    channel.wait(90)
    wait_until(lambda: contents_status(tobi, launch) != 200, "files are still open", 90)
    wait_until(lambda: lab_status(tobi, launch) == 403, "still open", 90)
    # The end of the session takes all back.
    give(maja, launch, "tobi", "control")
    wait_until(lambda: shares(platform, launch) == {"tobi"}, "not shared", 20)
    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")
    open_shares = "SELECT 1 FROM desktop_lab_shares WHERE desktop = :id AND (is_wanted OR NOT is_done)"
    wait_until(lambda: not platform.database(open_shares, id=launch["id"]), "shares are left", 60)


def shares(platform: Platform, launch: Launch) -> set[str]:
    """Who may open a server by the hub's list of shares."""
    reply = httpx.get(
        f"{platform.settings.hub.api_url}/shares/maja/{launch['server_name']}",
        headers={
            "Authorization": f"token {platform.service_token()}",
            "Accept": "application/jupyterhub-pagination+json",
        },
        timeout=30,
    )
    assert reply.status_code == 200, reply.text
    return {one["user"]["name"] for one in reply.json()["items"]}


def test_no_fault_was_logged(platform: Platform) -> None:
    no_traceback(platform)
