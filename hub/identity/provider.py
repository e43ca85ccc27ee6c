"""What does the identity provider say? The client's side of OpenID Connect, over HTTP.

Endpoints come from the issuer's discovery document and are kept for an hour. Three kinds of
failure are told apart, since they mean different things to a person who is signed in: no answer
(the provider may be restarting), a refusal (the session has ended), and an answer that proves
nothing (`TokenError`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import Key

from hub.identity import idtoken
from hub.identity.idtoken import TokenError, UnknownKeyError
from hub.identity.settings import IdentitySettings, require_safe_url
from hub.identity.wire import ProviderRefusedError, ProviderUnavailableError, Wire

_KEEP_S = 3600.0
_KEYS_AGAIN_S = 10.0
"""A token with an unknown key makes us ask for new keys, at most this often: anybody can invent a kid."""
_FRESH_S = 600.0
"""Time from the provider's signature to its use here, at most; a person waits on no page in between."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the discovery document (OpenID Connect Discovery 1.0, section 3)."""

    authorization: str
    token: str
    userinfo: str
    keys: str
    end_session: str | None = None
    revocation: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer of the token endpoint. ``expires_at`` is seconds since the epoch."""

    access_token: str
    expires_at: float
    id_token: str | None
    refresh_token: str | None


class Provider:
    """One issuer, as one client sees it.

    Parameters
    ----------
    settings
        Issuer, client and patience.
    client_secret
        Secret of the client, sent by HTTP basic authentication.
    clock
        Seconds since the epoch; a parameter for tests.
    """

    def __init__(
        self,
        settings: IdentitySettings,
        client_secret: str,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wire = Wire(settings.client_id, client_secret, settings.timeout_s)
        self._lock = asyncio.Lock()
        self._endpoints: Endpoints | None = None
        self._endpoints_at = 0.0
        self._keys: list[Key] = []
        self._keys_at = 0.0

    async def endpoints(self) -> Endpoints:
        """Endpoints by discovery; those known before, while the provider does not answer.

        Raises
        ------
        ProviderUnavailableError
            If discovery fails and never succeeded.
        """
        async with self._lock:
            if self._endpoints is None or self._clock() - self._endpoints_at > _KEEP_S:
                try:
                    self._endpoints = await self._discover()
                except ProviderUnavailableError:
                    if self._endpoints is None:
                        raise
                self._endpoints_at = self._clock()
            return self._endpoints

    async def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> Tokens:
        """Turn an authorisation code into tokens (RFC 6749 4.1.3, RFC 7636 4.5)."""
        return await self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )

    async def refresh(self, refresh_token: str) -> Tokens:
        """Turn a refresh token into new tokens; it must not be used a second time."""
        tokens = await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})
        kept = tokens.refresh_token or refresh_token
        return Tokens(tokens.access_token, tokens.expires_at, tokens.id_token, kept)

    async def verify(self, tokens: Tokens, *, nonce: str) -> dict[str, Any]:
        """Claims of the ID token of a sign-in.

        Raises
        ------
        TokenError
            If it is missing or fails one of the checks.
        """
        if tokens.id_token is None:
            raise TokenError("the provider gave no ID token")
        claims = await self._verified(tokens.id_token)
        idtoken.check_nonce(claims, nonce)
        idtoken.check_access_token(claims, tokens.access_token)
        return claims

    async def verify_refreshed(self, tokens: Tokens, *, subject: str) -> None:
        """Check the ID token of a refresh, if there is one (OpenID Connect Core 12.2).

        Raises
        ------
        TokenError
            If it fails one of the checks or speaks of somebody else.
        """
        if tokens.id_token is None:
            return
        claims = await self._verified(tokens.id_token)
        if claims["sub"] != subject:
            raise TokenError("the refreshed token speaks of somebody else")

    async def userinfo(self, access_token: str, *, subject: str) -> dict[str, Any]:
        """Claims of the userinfo endpoint, which must speak of ``subject`` (section 5.3.2).

        Raises
        ------
        ProviderRefusedError
            If the access token is no longer good.
        TokenError
            If the answer speaks of somebody else.
        """
        endpoints = await self.endpoints()
        claims = await self._wire.get(endpoints.userinfo, bearer=access_token)
        if claims.get("sub") != subject:
            raise TokenError("the userinfo answer speaks of somebody else")
        return claims

    async def revoke(self, refresh_token: str) -> None:
        """End a refresh token (RFC 7009), where the provider offers that."""
        endpoints = await self.endpoints()
        if endpoints.revocation is None:
            return
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        await self._wire.post(endpoints.revocation, form)

    async def _verified(self, token: str) -> dict[str, Any]:
        claims = await self._signed(token)
        idtoken.check_claims(
            claims,
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            now=self._clock(),
            leeway_s=self._settings.leeway_s,
            max_age_s=_FRESH_S,
        )
        return claims

    async def _signed(self, token: str) -> dict[str, Any]:
        try:
            return idtoken.signed_claims(token, await self._current_keys(_KEEP_S))
        except UnknownKeyError:
            # The provider may have new keys since we asked.
            return idtoken.signed_claims(token, await self._current_keys(_KEYS_AGAIN_S))

    async def _current_keys(self, max_age_s: float) -> list[Key]:
        endpoints = await self.endpoints()
        async with self._lock:
            if self._clock() - self._keys_at > max_age_s:
                self._keys = idtoken.verification_keys(await self._wire.get(endpoints.keys))
                self._keys_at = self._clock()
            return self._keys

    async def _discover(self) -> Endpoints:
        issuer = self._settings.issuer
        try:
            document = await self._wire.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        except ProviderRefusedError as error:
            raise ProviderUnavailableError(f"{issuer} has no discovery document") from error
        if document.get("issuer") != issuer:
            raise ProviderUnavailableError(f"{issuer} states another issuer than the settings")
        return Endpoints(
            authorization=_endpoint(document, "authorization_endpoint", issuer),
            token=_endpoint(document, "token_endpoint", issuer),
            userinfo=_endpoint(document, "userinfo_endpoint", issuer),
            keys=_endpoint(document, "jwks_uri", issuer),
            end_session=_optional(document, "end_session_endpoint", issuer),
            revocation=_optional(document, "revocation_endpoint", issuer),
        )

    async def _tokens(self, form: Mapping[str, str]) -> Tokens:
        endpoints = await self.endpoints()
        answer = await self._wire.post_for_object(endpoints.token, form)
        access_token, lifetime = answer.get("access_token"), answer.get("expires_in", 60)
        if not isinstance(access_token, str) or str(answer.get("token_type")).lower() != "bearer":
            raise TokenError("the provider gave no bearer token")
        seconds = lifetime if isinstance(lifetime, int | float) else 60
        return Tokens(
            access_token, self._clock() + seconds, _text(answer, "id_token"), _text(answer, "refresh_token")
        )


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name)
    try:
        require_safe_url(str(url))
    except ValueError as error:
        raise ProviderUnavailableError(f"{issuer} states no usable {name}") from error
    return str(url)


def _optional(document: Mapping[str, Any], name: str, issuer: str) -> str | None:
    return _endpoint(document, name, issuer) if document.get(name) else None


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) and value else None
