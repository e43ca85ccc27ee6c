"""The demo's provider is small, but does what a provider must."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from hub.demo.people import PEOPLE
from hub.demo.provider import main, make_app
from hub.demo.sign_in import (
    ACCESS_TOKEN_S,
    CODE_S,
    REQUEST_S,
    Client,
    IdentityProvider,
    OAuthError,
    PageError,
)
from hub.identity.idtoken import signed_claims, verification_keys

CALLBACK = "http://127.0.0.1:8000/hub/oauth_callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
QUERY = {
    "client_id": "panhub",
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid profile",
    "state": "s",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


class Clock:
    """Time that tests move."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def made() -> IdentityProvider:
    return IdentityProvider(
        "http://127.0.0.1:8003", Client("panhub", "secret", (CALLBACK,)), PEOPLE, clock=Clock()
    )


@pytest.fixture
def provider(made: IdentityProvider) -> IdentityProvider:
    made._clock = Clock()
    return made


def code(provider: IdentityProvider) -> str:
    session = provider.sign_in("maja")
    assert session is not None
    return provider.code(provider.check_request(QUERY), session)


def exchange(provider: IdentityProvider, **changes: Any) -> dict[str, Any]:
    given = {"code": code(provider), "verifier": VERIFIER, "redirect_uri": CALLBACK, **changes}
    return provider.exchange(given.pop("code"), **given)


def later(provider: IdentityProvider, seconds: float) -> None:
    provider._clock.now += seconds  # type: ignore[attr-defined]


def test_person_of_the_demo_gets_keycloak_shaped_claims(provider: IdentityProvider) -> None:
    tokens = exchange(provider)
    claims = provider.userinfo(tokens["access_token"])
    assert claims is not None
    assert claims["groups"] == ["/panhub/users"]
    assert claims["resource_access"] == {"panhub": {"roles": []}}
    proved = signed_claims(tokens["id_token"], verification_keys(provider.keys()))
    assert (proved["iss"], proved["aud"], proved["nonce"]) == (provider.issuer, "panhub", "n")
    assert proved["sub"] == claims["sub"]


def test_published_keys_hold_no_secret(provider: IdentityProvider) -> None:
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(provider.keys()["keys"][0])


@pytest.mark.parametrize(
    "changes",
    [
        {"verifier": "w" * 43},
        {"verifier": ""},
        {"verifier": CHALLENGE},
        {"redirect_uri": "http://127.0.0.1:8000/other"},
        {"code": "unknown"},
    ],
)
def test_code_without_its_proof_gives_nothing(provider: IdentityProvider, changes: dict[str, Any]) -> None:
    with pytest.raises(OAuthError) as refused:
        exchange(provider, **changes)
    assert refused.value.code == "invalid_grant"


def test_code_is_good_once_even_after_a_wrong_verifier(provider: IdentityProvider) -> None:
    once = code(provider)
    with pytest.raises(OAuthError):
        exchange(provider, code=once, verifier="wrong")
    with pytest.raises(OAuthError):
        exchange(provider, code=once)


def test_code_is_good_for_a_minute(provider: IdentityProvider) -> None:
    kept = code(provider)
    later(provider, CODE_S + 1)
    with pytest.raises(OAuthError):
        exchange(provider, code=kept)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
    ],
)
def test_client_is_told_of_its_mistake(
    provider: IdentityProvider, changes: dict[str, str], error: str
) -> None:
    with pytest.raises(OAuthError) as refused:
        provider.check_request({**QUERY, **changes})
    assert refused.value.code == error


@pytest.mark.parametrize(
    "changes", [{"client_id": "x"}, {"redirect_uri": CALLBACK + "/x"}, {"redirect_uri": ""}]
)
def test_unknown_client_is_never_redirected_to(provider: IdentityProvider, changes: dict[str, str]) -> None:
    with pytest.raises(PageError):
        provider.check_request({**QUERY, **changes})


def test_page_is_good_once_and_not_for_ever(provider: IdentityProvider) -> None:
    request = provider.check_request(QUERY)
    kept = provider.keep_request(request)
    assert provider.take_request(kept) == request
    assert provider.take_request(kept) is None
    kept = provider.keep_request(request)
    later(provider, REQUEST_S + 1)
    assert provider.take_request(kept) is None


def test_refresh_token_is_good_once_and_its_copy_ends_the_session(provider: IdentityProvider) -> None:
    first = exchange(provider)
    second = provider.refresh(first["refresh_token"])
    with pytest.raises(OAuthError):
        provider.refresh(first["refresh_token"])
    with pytest.raises(OAuthError):
        provider.refresh(second["refresh_token"])
    assert provider.userinfo(second["access_token"]) is None


def test_access_token_ends(provider: IdentityProvider) -> None:
    tokens = exchange(provider)
    later(provider, ACCESS_TOKEN_S + 1)
    assert provider.userinfo(tokens["access_token"]) is None
    assert provider.userinfo("unknown") is None


def test_revoked_refresh_token_takes_the_access_token_with_it(provider: IdentityProvider) -> None:
    tokens = exchange(provider)
    provider.revoke(tokens["refresh_token"])
    assert provider.userinfo(tokens["access_token"]) is None
    with pytest.raises(OAuthError):
        provider.refresh(tokens["refresh_token"])


def test_session_is_found_by_its_id_token_until_it_ends(provider: IdentityProvider) -> None:
    tokens = exchange(provider)
    later(provider, ACCESS_TOKEN_S + 1)
    session = provider.session_of_hint(tokens["id_token"])
    assert session is not None
    assert session.username == "maja"
    assert provider.session_of_hint(tokens["id_token"][:-4] + "AAAA") is None
    assert provider.session_of_hint("") is None
    provider.end(session.id)
    assert provider.session_of_hint(tokens["id_token"]) is None


def test_nobody_else_can_be_picked(provider: IdentityProvider) -> None:
    assert provider.sign_in("root") is None


def test_signing_out_leads_to_the_clients_origin_only(provider: IdentityProvider) -> None:
    assert provider.client.may_return_to("http://127.0.0.1:8000/hub/signed-out")
    for uri in (
        "http://127.0.0.1:8001/",
        "https://127.0.0.1:8000/",
        "//127.0.0.1:8000/",
        "http://evil.example/",
    ):
        assert not provider.client.may_return_to(uri)


def test_flood_of_requests_forgets_the_oldest(provider: IdentityProvider) -> None:
    request = provider.check_request(QUERY)
    first = provider.keep_request(request)
    for _ in range(1000):
        last = provider.keep_request(request)
    assert provider.take_request(first) is None
    assert provider.take_request(last) is not None


@pytest.mark.parametrize(
    "issuer", ["http://0.0.0.0:8003", "http://192.0.2.1:8003", "https://sso.example", "x"]
)
def test_provider_refuses_to_serve_other_machines(issuer: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        make_app(issuer, "panhub", "secret", [CALLBACK], PEOPLE)


def test_command_refuses_to_serve_other_machines(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    arguments = [
        "--issuer",
        "http://0.0.0.0:1",
        "--client-secret-file",
        str(secret),
        "--redirect-uri",
        CALLBACK,
    ]
    with pytest.raises(SystemExit):
        main(arguments)
    assert "this machine" in capsys.readouterr().err
