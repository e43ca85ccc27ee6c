"""Is this ID token genuine, fresh and meant for us? OpenID Connect Core 1.0, section 3.1.3.7.

Pure: keys and time come in, claims or a refusal come out. Only signatures by an asymmetric key of
the provider count; ``none`` and HMAC are no candidates, whatever the header says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.util import json_b64decode

ALGORITHMS = ("RS256", "PS256", "ES256")
_KEY_TYPES: dict[str, type[RSAKey] | type[ECKey]] = {"RSA": RSAKey, "EC": ECKey}
_TYPE_OF_ALGORITHM = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
_MIN_RSA_BITS = 2048
_MAX_TOKEN = 32_768
"""A token of a person in a thousand groups has about 30 kB."""


class TokenError(Exception):
    """The token does not prove who signed in. The text is for the log."""


class UnknownKeyError(TokenError):
    """No key of the provider fits; it may have new ones."""


def verification_keys(jwks: Mapping[str, Any]) -> list[Key]:
    """Signature keys of a JWK set that we would trust; others are left out.

    Keys for encryption, symmetric keys, and RSA keys under 2048 bits never verify.
    """
    found: list[Key] = []
    entries = jwks.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("d"):
            continue
        kind = _KEY_TYPES.get(str(entry.get("kty")))
        if kind is None:
            continue
        try:
            key = kind.import_key(entry)
            bits = key.public_key.key_size
        except (JoseError, ValueError, TypeError):
            continue
        if kind is ECKey or bits >= _MIN_RSA_BITS:
            found.append(key)
    return found


def signed_claims(token: str, keys: Sequence[Key]) -> dict[str, Any]:
    """Claims of a token with a valid signature.

    Raises
    ------
    UnknownKeyError
        If no key has the token's ``kid``.
    TokenError
        If the token is malformed, its algorithm is not accepted or its signature is wrong.
    """
    if len(token) > _MAX_TOKEN:
        raise TokenError("the token is too large")
    header = _header(token)
    algorithm = header.get("alg")
    if algorithm not in _TYPE_OF_ALGORITHM:
        raise TokenError("the token's algorithm is not accepted")
    key = _key_for(header, algorithm, keys)
    try:
        signed = jws.deserialize_compact(token, key, algorithms=[algorithm])
        claims = json.loads(signed.payload)
    except (JoseError, ValueError, TypeError) as error:
        raise TokenError(f"the signature is not valid: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise TokenError("the token holds no claims")
    return claims


def check_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, now: float, leeway_s: float, max_age_s: float
) -> None:
    """Check issuer, audience, authorised party and times of an ID token.

    Parameters
    ----------
    now
        Seconds since the epoch.
    max_age_s
        A token issued longer ago is stale, in seconds.

    Raises
    ------
    TokenError
        If one of them is wrong or missing.
    """
    if claims.get("iss") != issuer:
        raise TokenError("the token was issued by somebody else")
    _check_audience(claims, client_id)
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenError("the token names no subject")
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires + leeway_s:
        raise TokenError("the token has expired")
    if issued > now + leeway_s or issued < now - max_age_s - leeway_s:
        raise TokenError("the token was not issued just now")
    if "nbf" in claims and _time(claims, "nbf") > now + leeway_s:
        raise TokenError("the token is not valid yet")


def check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    """Check that the token answers the sign-in that this browser began.

    Raises
    ------
    TokenError
        If its nonce is another one or missing.
    """
    given = claims.get("nonce")
    if not nonce or not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise TokenError("the token answers another sign-in")


def check_access_token(claims: Mapping[str, Any], access_token: str) -> None:
    """Check ``at_hash``, where the provider gives one (section 3.1.3.6).

    Raises
    ------
    TokenError
        If the ID token was made for another access token.
    """
    given = claims.get("at_hash")
    if given is None:
        return
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    expected = base64.urlsafe_b64encode(half).rstrip(b"=")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected):
        raise TokenError("the access token is not the one the ID token speaks of")


def _header(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise TokenError("that is no signed token")
    try:
        header = json_b64decode(parts[0].encode())
    except (ValueError, TypeError) as error:
        raise TokenError("the token's header cannot be read") from error
    if not isinstance(header, dict):
        raise TokenError("the token's header cannot be read")
    return header


def _key_for(header: Mapping[str, Any], algorithm: str, keys: Sequence[Key]) -> Key:
    fitting = [
        key
        for key in keys
        if key.key_type == _TYPE_OF_ALGORITHM[algorithm] and key.as_dict().get("alg", algorithm) == algorithm
    ]
    kid = header.get("kid")
    if kid is not None:
        fitting = [key for key in fitting if key.kid == kid]
    if len(fitting) != 1:
        raise UnknownKeyError("no single key of the provider fits the token")
    return fitting[0]


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise TokenError("the token is meant for another client")
    party = claims.get("azp")
    if party != client_id and (party is not None or len(audiences) > 1):
        raise TokenError("the token was given to another client")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"the token has no {name}")
    return float(value)
