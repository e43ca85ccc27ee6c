"""Only a genuine, fresh token that is meant for us proves who signed in."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from hub.identity.idtoken import (
    TokenError,
    UnknownKeyError,
    check_access_token,
    check_claims,
    check_nonce,
    signed_claims,
    verification_keys,
)

RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": "https://sso.example",
    "aud": "panhub",
    "sub": "1",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n",
}


def check(claims: dict[str, Any], *, now: float = NOW) -> None:
    check_claims(
        claims, issuer="https://sso.example", client_id="panhub", now=now, leeway_s=10, max_age_s=600
    )


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("PS256", RSA), ("ES256", EC)])
def test_asymmetric_signature_of_the_provider_is_taken(algorithm: str, key: Key) -> None:
    keys = verification_keys({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})
    token = jwt.encode({"alg": algorithm, "kid": key.kid}, CLAIMS, key, algorithms=[algorithm])
    assert signed_claims(token, keys) == CLAIMS


def test_token_without_key_id_is_taken_where_one_key_fits() -> None:
    token = jwt.encode({"alg": "RS256"}, CLAIMS, RSA)
    assert signed_claims(token, [RSA, EC]) == CLAIMS
    with pytest.raises(UnknownKeyError):
        signed_claims(token, [RSA, RSAKey.generate_key(2048)])


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_public_key_is_no_hmac_secret() -> None:
    signed = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{_part(CLAIMS)}"
    mac = hmac.digest(RSA.as_pem(private=False), signed.encode(), "sha256")
    token = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    with pytest.raises(TokenError, match="algorithm"):
        signed_claims(token, [RSA])


@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "RS512", "EdDSA", None, 3])
def test_other_algorithms_are_refused(algorithm: object) -> None:
    with pytest.raises(TokenError, match="algorithm"):
        signed_claims(f"{_part({'alg': algorithm})}.{_part(CLAIMS)}.", [RSA])


def test_changed_payload_is_refused() -> None:
    head, _, signature = jwt.encode({"alg": "RS256", "kid": "rsa"}, CLAIMS, RSA).split(".")
    with pytest.raises(TokenError, match="signature"):
        signed_claims(f"{head}.{_part({**CLAIMS, 'sub': '2'})}.{signature}", [RSA])


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "x" * 40_000, "W10.e30."])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        signed_claims(token, [RSA])


@pytest.mark.filterwarnings("ignore:Key size should be:joserfc.errors.SecurityWarning")
def test_only_trustworthy_keys_verify() -> None:
    jwks = {
        "keys": [
            {**RSA.as_dict(private=False), "use": "enc"},
            RSA.as_dict(private=True),
            RSAKey.generate_key(1024).as_dict(private=False),
            OctKey.generate_key(256).as_dict(),
            {"kty": "RSA", "n": "?", "e": "?"},
            "no key",
        ]
    }
    assert verification_keys(jwks) == []
    assert verification_keys({}) == verification_keys({"keys": 3}) == []


@pytest.mark.parametrize(
    "changes",
    [{}, {"aud": ["panhub"]}, {"azp": "panhub"}, {"aud": ["panhub", "x"], "azp": "panhub"}, {"nbf": NOW}],
)
def test_good_claims_pass(changes: dict[str, Any]) -> None:
    check({**CLAIMS, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://sso.example/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": []},
        {"aud": None},
        {"aud": {"panhub": 1}},
        {"azp": "other"},
        {"aud": ["panhub", "x"]},
        {"sub": ""},
        {"sub": None},
        {"exp": NOW - 10},
        {"exp": None},
        {"exp": "2030"},
        {"exp": True},
        {"iat": NOW + 11},
        {"iat": NOW - 611},
        {"iat": None},
        {"nbf": NOW + 11},
    ],
)
def test_bad_claims_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        check({**CLAIMS, **changes})


def test_clocks_may_differ_a_little() -> None:
    check(CLAIMS, now=NOW - 9)
    check(CLAIMS, now=NOW + 309)


@pytest.mark.parametrize("nonce", ["m", "", None, 5])
def test_another_nonce_is_refused(nonce: object) -> None:
    with pytest.raises(TokenError):
        check_nonce({"nonce": nonce}, "n")
    check_nonce({"nonce": "n"}, "n")


def test_sign_in_that_began_without_nonce_is_refused() -> None:
    with pytest.raises(TokenError):
        check_nonce({"nonce": ""}, "")


def test_access_token_hash_is_that_of_the_specification() -> None:
    # Example of OpenID Connect Core 1.0, appendix A.3.
    token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    check_access_token({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, token)
    check_access_token({}, token)
    for wrong in ("77QmUPtjPfzWtF2AnpK9RR", "", 5):
        with pytest.raises(TokenError):
            check_access_token({"at_hash": wrong}, token)
