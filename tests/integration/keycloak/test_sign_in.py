"""Signing in, staying in and signing out, against the demo's provider and a real Keycloak alike."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.integration.keycloak.hubs import GRACE_S, RunningHub
from tests.integration.keycloak.idps import Idp

pytestmark = pytest.mark.timeout(600)
NewName = Callable[[], str]


def test_person_signs_in_and_is_recorded(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    subject = idp.add_person(name, ["/panhub/users", "/instruments/id22/scientists"])
    _, page = hub.sign_in(subject)
    assert page.status_code == 200
    assert urlsplit(str(page.url)).path == "/hub/token"
    person = hub.registry.person(name)
    assert (person.issuer, person.subject) == (idp.issuer, subject)
    assert person.groups == {"panhub:users", "instrument:id22"}
    assert person.user_id == "1"


def test_display_name_reaches_jupyterhub(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    browser, _ = hub.sign_in(idp.add_person(name))
    info = browser.get(f"{hub.url}/hub/api/user", headers={"X-XSRFToken": _xsrf(browser)}).json()
    assert info["user_info"]["name"].lower() == f"{name} example"
    assert info["user_info"]["initials"] == "PE"
    assert info["admin"] is False


def test_person_in_no_allowed_group_gets_403(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    _, page = hub.sign_in(idp.add_person(name, ["/panhub/industry"]))
    assert page.status_code == 403
    assert hub.registry.person(name) is None


def test_person_without_any_group_gets_403(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    _, page = hub.sign_in(idp.add_person(new_name(), []))
    assert page.status_code == 403


def test_reserved_name_gets_403(hub: RunningHub, idp: Idp) -> None:
    _, page = hub.sign_in(idp.add_person("root"))
    assert page.status_code == 403
    assert "reserved" in page.text
    assert hub.registry.person("root") is None


def test_name_that_is_no_posix_name_gets_403(hub: RunningHub, idp: Idp) -> None:
    _, page = hub.sign_in(idp.add_person("0day"))
    assert page.status_code == 403


def test_name_that_passed_to_another_subject_is_refused(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    first = idp.add_person(name)
    hub.sign_in(first)
    idp.rename(first, new_name())
    second = idp.add_person(name)
    _, page = hub.sign_in(second)
    assert page.status_code == 403
    assert "does not belong to this account" in page.text
    assert hub.registry.person(name).subject == first


def test_person_who_comes_back_under_another_name_is_refused(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    name, other = new_name(), new_name()
    subject = idp.add_person(name)
    hub.sign_in(subject)
    idp.rename(subject, other)
    _, page = hub.sign_in(subject)
    assert page.status_code == 403
    assert hub.registry.person(other) is None


def test_nobody_gets_in_while_the_service_does_not_answer(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    subject = idp.add_person(new_name())
    hub.registry.is_silent = True
    try:
        browser, page = hub.sign_in(subject)
    finally:
        hub.registry.is_silent = False
    assert page.status_code == 503
    assert not hub.is_in(browser)


@pytest.mark.parametrize("method", ["plain", None])
def test_provider_refuses_a_sign_in_without_pkce_s256(idp: Idp, hub: RunningHub, method: str | None) -> None:
    browser = hub.browser()
    start = browser.get(f"{hub.url}/hub/oauth_login", follow_redirects=False).headers["location"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(start).query).items()}
    assert query["code_challenge_method"] == "S256"
    del query["code_challenge"], query["code_challenge_method"]
    if method is not None:
        query.update(code_challenge="a" * 43, code_challenge_method=method)
    endpoint = start.partition("?")[0]
    answer = browser.get(endpoint, params=query, follow_redirects=False)
    assert "error=invalid_request" in answer.headers["location"]
    assert browser.get(answer.headers["location"]).status_code == 403


@pytest.mark.parametrize("verifier", ["wrong-verifier-wrong-verifier-wrong-verifier", None])
def test_provider_gives_no_token_without_the_right_verifier(
    idp: Idp, hub: RunningHub, new_name: NewName, verifier: str | None
) -> None:
    code, _ = _code(hub, idp.add_person(new_name()))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{hub.url}/hub/oauth_callback",
        **({"code_verifier": verifier} if verifier else {}),
    }
    discovery = httpx.get(f"{idp.issuer}/.well-known/openid-configuration").json()
    answer = httpx.post(discovery["token_endpoint"], data=form, auth=("panhub", idp.secret))
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"


def test_answer_that_another_browser_began_is_refused(idp: Idp, hub: RunningHub, new_name: NewName) -> None:
    _, location = _code(hub, idp.add_person(new_name()))
    thief = hub.browser()
    assert thief.get(location).status_code == 400
    thief.get(f"{hub.url}/hub/oauth_login", follow_redirects=False)
    assert thief.get(location).status_code == 400
    assert not hub.is_in(thief)


def test_code_of_one_sign_in_fails_in_another(idp: Idp, hub: RunningHub, new_name: NewName) -> None:
    code, location = _code(hub, idp.add_person(new_name()))
    other = hub.browser()
    start = other.get(f"{hub.url}/hub/oauth_login", follow_redirects=False).headers["location"]
    state = parse_qs(urlsplit(start).query)["state"][0]
    callback = location.partition("?")[0]
    page = other.get(callback, params={"code": code, "state": state})
    assert page.status_code == 403
    assert not hub.is_in(other)


def test_answer_of_another_issuer_is_refused(hub: RunningHub) -> None:
    browser = hub.browser()
    start = browser.get(f"{hub.url}/hub/oauth_login", follow_redirects=False).headers["location"]
    state = parse_qs(urlsplit(start).query)["state"][0]
    query = {"code": "x", "state": state, "iss": "https://evil.example"}
    assert browser.get(f"{hub.url}/hub/oauth_callback", params=query).status_code == 400


def test_group_removed_ends_the_sign_in_but_not_the_session(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    assert hub.start(name).status_code in (201, 202)
    token = hub.session_environment(name)["JUPYTERHUB_API_TOKEN"]
    idp.set_groups(subject, [])
    hub.after_refresh_age()
    assert not hub.is_in(browser)
    assert browser.get(f"{hub.url}/hub/token").status_code == 403
    assert _activity(hub, name, token) == 200
    assert not hub.is_in(browser)
    assert hub.start(name, "two").status_code == 403
    hub.stop(name)


def test_other_groups_arrive_on_refresh(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    idp.set_groups(subject, ["/panhub/users", "/panhub/industry"])
    hub.after_refresh_age()
    assert hub.is_in(browser)
    assert hub.registry.person(name).groups == {"panhub:users", "panhub:industry"}


def test_sessions_own_requests_do_not_stand_in_for_the_person(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    hub.start(name)
    token = hub.session_environment(name)["JUPYTERHUB_API_TOKEN"]
    idp.end_sessions(subject)
    hub.after_refresh_age()
    assert _activity(hub, name, token) == 200
    assert not hub.is_in(browser)
    hub.stop(name)


def test_provider_down_leaves_people_in_for_a_while_but_starts_nothing(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    name = new_name()
    browser, _ = hub.sign_in(idp.add_person(name))
    idp.pause()
    try:
        time.sleep(1.2)
        assert hub.is_in(browser)
        assert hub.start(name).status_code == 503
        time.sleep(GRACE_S + 2)
        assert not hub.is_in(browser)
        assert browser.get(f"{hub.url}/hub/api/").status_code == 200
    finally:
        idp.resume()
    assert hub.start(name).status_code in (201, 202)
    assert hub.is_in(browser)
    hub.session_environment(name)
    hub.stop(name)


def test_session_ended_at_the_provider_ends_here(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    idp.end_sessions(subject)
    hub.after_refresh_age()
    assert not hub.is_in(browser)
    assert hub.start(name).status_code == 403


def test_persons_own_token_ends_with_the_sign_in_whatever_it_calls_itself(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    made = browser.post(
        f"{hub.url}/hub/api/users/{name}/tokens",
        headers={"X-XSRFToken": _xsrf(browser)},
        json={"note": f"Server at /user/{name}/one/"},
    )
    token = {"Authorization": f"token {made.json()['token']}"}
    assert httpx.get(f"{hub.url}/hub/api/user", headers=token).json()["name"] == name
    idp.end_sessions(subject)
    hub.after_refresh_age()
    assert httpx.get(f"{hub.url}/hub/api/user", headers=token).status_code == 403
    start = httpx.post(f"{hub.url}/hub/api/users/{name}/servers/one", headers=token, json={})
    assert start.status_code == 403


def test_sign_out_after_the_sign_in_has_ended_gives_a_plain_page(
    hub: RunningHub, idp: Idp, new_name: NewName
) -> None:
    subject = idp.add_person(new_name())
    browser, _ = hub.sign_in(subject)
    idp.end_sessions(subject)
    hub.after_refresh_age()
    assert browser.get(f"{hub.url}/hub/logout").status_code == 200


def test_sign_out_ends_the_session_of_the_provider(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    subject = idp.add_person(name)
    browser, _ = hub.sign_in(subject)
    assert idp.has_session(subject)
    page = browser.get(f"{hub.url}/hub/logout")
    assert urlsplit(str(page.url)).path == "/hub/signed-out"
    assert not idp.has_session(subject)
    assert not hub.is_in(browser)
    again = browser.get(f"{hub.url}/hub/oauth_login")
    assert str(again.url).startswith(idp.issuer)
    assert hub.start(name).status_code == 403


def test_no_token_of_the_provider_reaches_a_session(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    name = new_name()
    hub.sign_in(idp.add_person(name))
    hub.start(name)
    environment = hub.session_environment(name)
    for value in environment.values():
        assert not _is_jwt(value)
        assert idp.secret not in value
        assert value not in idp.opaque_tokens()
    hub.stop(name)


def test_signing_in_and_refreshing_never_blocks_the_hub(hub: RunningHub, idp: Idp, new_name: NewName) -> None:
    browser, _ = hub.sign_in(idp.add_person(new_name()))
    hub.after_refresh_age()
    assert hub.is_in(browser)
    assert hub.blocked() == []


def test_no_secret_is_logged(hub: RunningHub, idp: Idp) -> None:
    log = hub.log.read_text()
    assert idp.secret not in log
    assert "eyJ" not in log.replace("state=eyJ", "")


def _code(hub: RunningHub, subject: str) -> tuple[str, str]:
    """Code of a sign-in that has not reached the hub, and the address that would bring it there."""
    browser = hub.browser()
    page = browser.get(f"{hub.url}/hub/oauth_login")
    browser.follow_redirects = False
    location = hub.idp.authenticate(browser, page, subject).headers["location"]
    return parse_qs(urlsplit(location).query)["code"][0], location


def _activity(hub: RunningHub, name: str, token: str) -> int:
    return httpx.post(
        f"{hub.url}/hub/api/users/{name}/activity",
        headers={"Authorization": f"token {token}"},
        json={"servers": {"one": {"last_activity": datetime.now(UTC).isoformat()}}},
    ).status_code


def _xsrf(browser: httpx.Client) -> str:
    return browser.cookies.get("_xsrf", path="/hub/") or ""


def _is_jwt(value: str) -> bool:
    head = value.split(".")[0]
    try:
        return "alg" in json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, TypeError):
        return False
