"""Who may call the service at all: tokens, cookies, the hub's secret, a session's one report."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import httpx
import pytest

from hub.settings import SERVICE_PREFIX
from tests.support.platform import Platform, Visitor
from tests.support.traces import nothing_started

SignIn = Callable[[str], Visitor]

API = f"{SERVICE_PREFIX}/api/v1"
ID = "0" * 16


def launches(platform: Platform) -> int:
    [(count,)] = platform.database("SELECT count(*) FROM launches")
    return int(count)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/launches"),
        ("POST", "/launches"),
        ("GET", f"/launches/{ID}"),
        ("DELETE", f"/launches/{ID}"),
        ("POST", f"/launches/{ID}/extend"),
        ("GET", f"/launches/{ID}/events"),
    ],
)
@pytest.mark.parametrize("token", ["", "token", f"token {'a' * 32}", "Bearer x", "Basic bWFqYTp4"])
def test_strangers_are_refused(platform: Platform, method: str, path: str, token: str) -> None:
    headers = {"Authorization": token} if token else {}
    reply = httpx.request(method, f"{platform.url}{API}{path}", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "login_required")
    assert reply.headers["Content-Type"] == "application/problem+json"


def test_the_services_own_token_is_nobody(platform: Platform) -> None:
    headers = {"Authorization": f"token {platform.service_token()}"}
    reply = httpx.get(f"{platform.url}{API}/launches", headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "login_required")


CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://evil.example"}


def test_a_form_without_xsrf_starts_nothing(platform: Platform, person: SignIn) -> None:
    client, before = person("maja").client, launches(platform)
    form = {"input": "", "template": "none"}
    for headers in ({}, CROSS_SITE, {"Sec-Fetch-Site": "same-site"}, {"Content-Type": "text/plain"}):
        for path in ("launches", "parts/summary", f"launches/{ID}/stop", "api/v1/launches"):
            reply = client.post(f"{SERVICE_PREFIX}/{path}", data=form, headers=headers)
            assert reply.status_code in {401, 403}, (path, headers, reply.status_code)
    wrong = {**form, "_xsrf": secrets.token_hex(8)}
    assert client.post(f"{SERVICE_PREFIX}/launches", data=wrong).status_code in {401, 403}
    assert client.request("DELETE", f"{API}/launches/{ID}").status_code in {401, 403}
    assert launches(platform) == before


def test_the_xsrf_token_of_another_person_is_refused(platform: Platform, person: SignIn) -> None:
    before = launches(platform)
    theirs = {"input": "", "template": "none", "_xsrf": person("rui").xsrf()}
    assert person("maja").client.post(f"{SERVICE_PREFIX}/launches", data=theirs).status_code in {401, 403}
    assert launches(platform) == before


def test_scripts_of_other_pages_do_not_read_by_cookie(person: SignIn) -> None:
    client = person("maja").client
    for headers in ({"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}):
        reply = client.get(f"{API}/launches", headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (401, "login_required")
    own = {"Sec-Fetch-Mode": "cors", "X-XSRFToken": person("maja").xsrf()}
    assert client.get(f"{API}/launches", headers=own).status_code == 200


def test_a_link_starts_nothing(platform: Platform, person: SignIn) -> None:
    before = launches(platform)
    maja = person("maja")
    page = maja.page("launch", params={"dataset": "ds-ma5501-lab6-series", "template": "auto"})
    assert page.status_code == 200
    assert "LaB6 series" in page.text
    assert f'action="{SERVICE_PREFIX}/launches"' in page.text
    for path in ("new", "launches", f"launches/{ID}/relaunch", f"launches/{ID}/stop"):
        maja.page(path, params={"dataset": "ds-ma5501-lab6-series"})
    assert launches(platform) == before
    nothing_started(platform)


@pytest.mark.parametrize(
    "query",
    [
        {"dataset": "../../etc/passwd"},
        {"dataset": "a\nb"},
        {"dataset": "<script>alert(1)</script>"},
        {"profile": "gold\r\nX-Evil: 1"},
        {"walltime_s": "9" * 5000},
        {"size": "\x00"},
        {"input": "path:/etc"},
        {"from": "0" * 16},
        {"from": "../x"},
    ],
)
def test_hostile_links_get_a_page(person: SignIn, query: dict[str, str]) -> None:
    for path in ("launch", "new"):
        reply = person("maja").page(path, params=query)
        assert reply.status_code in {200, 400, 404}, (path, reply.status_code)
        assert "<script>alert" not in reply.text
        assert "X-Evil" not in reply.headers


INTERNAL = [
    ("PUT", "/internal/persons"),
    ("POST", "/internal/plans"),
    ("POST", f"/internal/launches/{ID}/start"),
    ("GET", f"/internal/launches/{ID}/events"),
    ("POST", "/internal/stops"),
    ("GET", "/internal/sessions"),
]


@pytest.mark.parametrize(("method", "path"), INTERNAL)
def test_internal_paths_are_for_the_hub_only(
    platform: Platform, person: SignIn, method: str, path: str
) -> None:
    token = person("sam").token
    for header in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {token}"}):
        reply = httpx.request(method, f"{platform.settings.service.url}{path}", json={}, headers=header)
        assert (reply.status_code, reply.json()["code"]) == (401, "wrong_secret")
    secret = platform.settings.service.internal_secret_file.read_text().strip()
    for base in (platform.url, f"{platform.url}{SERVICE_PREFIX}", f"{platform.url}{SERVICE_PREFIX}/.."):
        header = {"Authorization": f"Bearer {secret}"}
        reply = httpx.request(method, f"{base}{path}", headers=header, follow_redirects=True)
        assert reply.status_code in {403, 404, 405}, (base, reply.status_code)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"/internal/launches/{ID}/start?wait=x", {"environment": {}}),
        ("POST", f"/internal/launches/{ID}/start?wait=nan", {"environment": {}}),
        ("POST", f"/internal/launches/{ID}/start?wait=-1", {"environment": {}}),
        ("GET", f"/internal/launches/{ID}/events?after=x", None),
        ("GET", f"/internal/launches/{ID}/events?after={'9' * 400}", None),
        ("POST", "/internal/plans", {"username": "nobody", "server_name": "x"}),
        ("POST", "/internal/plans", {"username": "maja"}),
        ("POST", "/internal/plans", []),
        ("PUT", "/internal/persons", {"username": "root"}),
        ("POST", "/internal/stops", {"username": "maja", "server_name": "x", "cause": 7}),
        ("POST", f"/internal/launches/{ID}/start", {"environment": {}}),
        ("POST", f"/internal/launches/{ID}/start", {"environment": {"A": 7}}),
    ],
)
def test_internal_calls_are_checked_too(platform: Platform, method: str, path: str, body: object) -> None:
    secret = platform.settings.service.internal_secret_file.read_text().strip()
    reply = httpx.request(
        method,
        f"{platform.settings.service.url}{path}",
        json=body,
        headers={"Authorization": f"Bearer {secret}"},
    )
    assert 400 <= reply.status_code < 500, reply.text
    assert reply.json()["code"]


def test_a_report_proves_itself_once(platform: Platform, person: SignIn) -> None:
    maja = person("maja")
    launch = maja.launch()
    maja.wait_for(launch["id"], "running")
    url = f"{platform.settings.service.url}/internal/reports"
    for launch_id in (launch["id"], ID):
        for header in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"token {maja.token}"}):
            reply = httpx.post(f"{url}/{launch_id}", json={"port": 8888}, headers=header)
            assert (reply.status_code, reply.json()["code"]) == (401, "wrong_secret")
    faulty: list[object] = [
        {"port": 80},
        {"port": 65536},
        {"port": "8888"},
        {"port": 8888, "host": "x"},
        {},
        [],
    ]
    for body in faulty:
        reply = httpx.post(f"{url}/{launch['id']}", json=body)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request"), body
    # The secret itself is known to the session's start-up alone: its digest is put in its place.
    secret = secrets.token_urlsafe(32)
    _set_report_secret(platform, launch["id"], secret)
    reply = httpx.post(
        f"{url}/{launch['id']}", json={"port": 8888}, headers={"Authorization": f"Bearer {secret}"}
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "already_reported")
    assert httpx.post(f"{platform.url}/internal/reports/{launch['id']}", json={"port": 1}).status_code in {
        403,
        404,
    }
    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")


def _set_report_secret(platform: Platform, launch_id: str, secret: str) -> None:
    from sqlalchemy import create_engine, text

    from hub.launch.submitting import hash_secret

    engine = create_engine(platform.settings.database.url)
    try:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE launches SET report_hash = :digest WHERE id = :id"),
                {"digest": hash_secret(secret), "id": launch_id},
            )
    finally:
        engine.dispose()


def test_a_sessions_own_token_does_not_speak_for_its_person(platform: Platform, person: SignIn) -> None:
    maja = person("maja")
    launch = maja.launch()
    maja.wait_for(launch["id"], "running")
    seen = maja.open_session(launch).run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()
    headers = {"Authorization": f"token {seen}"}
    assert httpx.get(f"{platform.url}/hub/api/user", headers=headers).status_code == 200
    for method, path in (
        ("GET", "/launches"),
        ("POST", "/launches"),
        ("DELETE", f"/launches/{launch['id']}"),
    ):
        reply = httpx.request(method, f"{platform.url}{API}{path}", headers=headers, json={})
        assert reply.status_code in {401, 403}, (method, path, reply.text)
    for path in ("/users/maja/servers/other", "/users/maja/server", "/users/maja/tokens"):
        reply = httpx.post(f"{platform.url}/hub/api{path}", headers=headers, json={})
        assert 400 <= reply.status_code < 500, path
    maja.api("DELETE", f"/launches/{launch['id']}")
    maja.wait_for(launch["id"], "ended")
    assert _becomes(lambda: httpx.get(f"{platform.url}/hub/api/user", headers=headers).status_code, 403)


def _becomes(what: Callable[[], int], wanted: int) -> bool:
    from tests.support.platform import wait_until

    return wait_until(lambda: what() == wanted, "the ended session's token still works", 15)
