"""What no sound provider does, shown by one that is told to: nothing of it lets anybody in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.integration.keycloak.hubs import RunningHub
from tests.integration.keycloak.idps import DemoIdp

pytestmark = pytest.mark.timeout(300)
NewName = Callable[[], str]


@pytest.fixture
def faulty(demo_idp: DemoIdp) -> Iterator[DemoIdp]:
    yield demo_idp
    demo_idp.provider.mend()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": "another"}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"aud": "data-portal", "azp": "data-portal"}, id="another audience"),
        pytest.param({"aud": ["panhub", "data-portal"], "azp": "data-portal"}, id="given to another client"),
        pytest.param({"aud": ["panhub", "data-portal"], "azp": None}, id="two audiences, no party"),
        pytest.param({"exp": 1_000_000_000}, id="expired"),
        pytest.param({"iat": 1_000_000_000}, id="old"),
        pytest.param({"iat": 4_000_000_000, "exp": 4_000_000_300}, id="from the future"),
        pytest.param({"sub": "somebody-else"}, id="another subject than userinfo's"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, id="made for another access token"),
    ],
)
def test_wrong_claims_of_the_id_token_are_refused(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName, changes: dict[str, Any]
) -> None:
    faulty.provider.changes = changes
    _refused(demo_hub, faulty, new_name())


def _unsigned(claims: Mapping[str, Any]) -> str:
    signed = jwt.encode({"alg": "HS256"}, dict(claims), OctKey.generate_key(256))
    return "eyJhbGciOiJub25lIn0." + signed.split(".")[1] + "."


FOREIGN_KEY = RSAKey.generate_key(2048)
"""Made here: a provider that makes a key while it answers keeps everybody waiting."""


def _foreign_key(claims: Mapping[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "foreign"}, dict(claims), FOREIGN_KEY)


def _by_client_secret(claims: Mapping[str, Any]) -> str:
    secret = OctKey.import_key(b"client-secret-of-the-demo" * 2)
    return jwt.encode({"alg": "HS256"}, dict(claims), secret)


@pytest.mark.parametrize("token_of", [_unsigned, _foreign_key, _by_client_secret, lambda claims: "no token"])
def test_id_token_without_the_providers_signature_is_refused(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName, token_of: Callable[[Mapping[str, Any]], str]
) -> None:
    faulty.provider.token_of = token_of
    _refused(demo_hub, faulty, new_name())


def test_signature_by_a_foreign_key_under_the_providers_key_id_is_refused(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName
) -> None:
    kid = faulty.provider.keys()["keys"][0]["kid"]
    key = RSAKey.generate_key(2048)
    faulty.provider.token_of = lambda claims: jwt.encode({"alg": "RS256", "kid": kid}, dict(claims), key)
    _refused(demo_hub, faulty, new_name())


def test_new_keys_of_the_provider_are_taken_up(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName
) -> None:
    demo_hub.sign_in(faulty.add_person(new_name()))
    faulty.provider._key = RSAKey.generate_key(2048, {"kid": "rotated", "use": "sig", "alg": "RS256"})
    time.sleep(10.5)  # unknown keys are asked for at most every ten seconds
    _, page = demo_hub.sign_in(faulty.add_person(new_name()))
    assert page.status_code == 200


def test_userinfo_of_somebody_else_is_refused(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName
) -> None:
    faulty.provider.userinfo_changes = {"sub": "somebody-else"}
    _refused(demo_hub, faulty, new_name())


@pytest.mark.parametrize(
    "shown",
    [
        *("JANE", "\u212aane", "jane\n", "jane\nroot", " jane", "root", "-rf", "$(id)", "..", "ja\u200bne"),
        *("a/b", "", "j" * 33, "ｊane", "jane@facility.example"),
    ],
)
def test_look_alike_and_hostile_names_are_refused_and_never_folded(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName, shown: str
) -> None:
    jane = next((p.subject for p in faulty.provider.people if p.username == "jane"), None)
    demo_hub.sign_in(jane or faulty.add_person("jane"))
    faulty.provider.userinfo_changes = {"preferred_username": shown, "name": "Not Jane"}
    name = new_name()
    _refused(demo_hub, faulty, name)
    assert demo_hub.registry.person("jane").display_name == "jane Example"
    assert demo_hub.registry.person(shown) is None


@pytest.mark.parametrize("groups", ["/panhub/users", {"a": 1}, 3, ["/other"], ["panhub:users"]])
def test_groups_of_another_shape_let_nobody_in(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName, groups: Any
) -> None:
    faulty.provider.userinfo_changes = {"groups": groups}
    _refused(demo_hub, faulty, new_name())


def test_refresh_token_is_used_once_by_requests_at_the_same_time(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName
) -> None:
    name = new_name()
    browser, _ = demo_hub.sign_in(faulty.add_person(name))
    # The access token has ended: each refresh must use the refresh token, which is good once.
    faulty.provider._access.clear()
    demo_hub.after_refresh_age()
    cookies = dict(browser.cookies)
    answers = _at_once(f"{demo_hub.url}/hub/token", cookies, 8)
    assert answers == [200] * 8
    assert demo_hub.is_in(browser)


def test_username_changed_at_the_provider_ends_the_sign_in(
    demo_hub: RunningHub, faulty: DemoIdp, new_name: NewName
) -> None:
    browser, _ = demo_hub.sign_in(faulty.add_person(new_name()))
    faulty.provider.userinfo_changes = {"preferred_username": new_name()}
    demo_hub.after_refresh_age()
    assert not demo_hub.is_in(browser)


def _refused(hub: RunningHub, idp: DemoIdp, name: str) -> None:
    browser, page = hub.sign_in(idp.add_person(name))
    assert page.status_code == 403
    assert not hub.is_in(browser)
    assert hub.registry.person(name) is None


def _at_once(url: str, cookies: dict[str, str], count: int) -> list[int]:
    def ask(_: int) -> int:
        return httpx.get(url, cookies=cookies, timeout=30).status_code

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))
