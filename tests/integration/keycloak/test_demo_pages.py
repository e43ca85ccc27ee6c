"""The demo's sign-in pages over HTTP: nothing foreign, nothing loose."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.keycloak.idps import DemoIdp

CALLBACK = "http://127.0.0.1:1/hub/oauth_callback"
QUERY = {
    "client_id": "panhub",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid",
    "state": "s",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


@pytest.fixture
def idp() -> Iterator[DemoIdp]:
    demo = DemoIdp()
    demo.serve_client_at("http://127.0.0.1:1")
    demo.add_person("maja")
    yield demo
    demo.close()


@pytest.fixture
def browser(idp: DemoIdp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=idp.issuer) as client:
        yield client


def sign_in(idp: DemoIdp, browser: httpx.Client) -> httpx.Response:
    return idp.authenticate(browser, browser.get("/authorize", params=QUERY), "subject-0")


def test_page_is_strict_and_self_contained(browser: httpx.Client) -> None:
    page = browser.get("/authorize", params=QUERY)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:1;" in policy + ";"
    assert "unsafe" not in policy
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert browser.get("/static/provider.css").headers["content-type"].startswith("text/css")
    assert browser.get("/static/pick.html").status_code == 404


def test_who_is_signed_in_goes_on_without_picking(idp: DemoIdp, browser: httpx.Client) -> None:
    assert sign_in(idp, browser).headers["location"].startswith(f"{CALLBACK}?code=")
    again = browser.get("/authorize", params=QUERY)
    assert again.headers["location"].startswith(f"{CALLBACK}?code=")
    assert browser.get("/authorize", params={**QUERY, "prompt": "login"}).status_code == 200


def test_silent_request_without_session_is_told_so(browser: httpx.Client) -> None:
    answer = browser.get("/authorize", params={**QUERY, "prompt": "none"})
    assert "error=login_required" in answer.headers["location"]


def test_unknown_address_is_a_page_not_a_redirect(browser: httpx.Client) -> None:
    answer = browser.get("/authorize", params={**QUERY, "redirect_uri": "http://evil.example/"})
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_picking_without_a_request_signs_nobody_in(idp: DemoIdp, browser: httpx.Client) -> None:
    answer = browser.post("/pick", data={"request": "unknown", "person": "maja"})
    assert answer.status_code == 400
    assert not idp.has_session("subject-0")


def test_other_host_names_are_refused(browser: httpx.Client) -> None:
    answer = browser.get("/authorize", params=QUERY, headers={"Host": "evil.example"})
    assert answer.status_code == 421


@pytest.mark.parametrize("auth", [("", ""), ("panhub", "wrong"), ("other", "client-secret-of-the-demo")])
def test_token_endpoint_wants_the_clients_secret(browser: httpx.Client, auth: tuple[str, str]) -> None:
    for endpoint in ("/token", "/revoke"):
        answer = browser.post(endpoint, data={"grant_type": "refresh_token"}, auth=auth)
        assert answer.status_code == 401
        assert answer.json()["error"] == "invalid_client"


def test_sign_out_asks_first_unless_the_client_proves_whom(idp: DemoIdp, browser: httpx.Client) -> None:
    sign_in(idp, browser)
    page = browser.get("/sign-out")
    assert "Sign out?" in page.text
    assert idp.has_session("subject-0")
    assert browser.post("/sign-out", data={"confirmation": "guessed"}).status_code == 403
    assert idp.has_session("subject-0")
    confirmation = next(iter(idp.provider._sessions.values())).confirmation
    answer = browser.post("/sign-out", data={"confirmation": confirmation, "target": "http://evil.example/"})
    assert answer.status_code == 200
    assert not idp.has_session("subject-0")
