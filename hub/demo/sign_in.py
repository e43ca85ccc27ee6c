"""What the demo's identity provider knows: requests, sessions, codes and tokens. No HTTP here.

Everything is in memory and short-lived; keys are made at start. The claims have Keycloak's shape,
so that the demo and a site with Keycloak are configured alike.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from hub.demo.people import DemoPerson

T = TypeVar("T")

REQUEST_S = 600
CODE_S = 60
ACCESS_TOKEN_S = 300
SESSION_S = 12 * 3600
_MAX_ENTRIES = 1000
"""Whoever floods the page forgets older requests, not memory."""


class PageError(Exception):
    """A request that must not be answered by a redirect; the text is for the person."""


class OAuthError(Exception):
    """An error of RFC 6749 (4.1.2.1, 5.2) for the client."""

    def __init__(self, code: str, description: str) -> None:
        self.code = code
        self.description = description
        super().__init__(description)


@dataclass(frozen=True, slots=True)
class Client:
    """The one client of the demo."""

    id: str
    secret: str = field(repr=False)
    redirect_uris: tuple[str, ...]

    def may_return_to(self, uri: str) -> bool:
        """Whether ``uri`` is at an origin of the client: where signing out may lead."""
        return _origin(uri) in {_origin(known) for known in self.redirect_uris}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked request of the client to sign somebody in."""

    redirect_uri: str
    state: str
    nonce: str
    challenge: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in at the provider. ``confirmation`` proves a click of theirs."""

    id: str
    username: str
    signed_in_at: int
    expires_at: float
    confirmation: str


@dataclass(frozen=True, slots=True)
class _Code:
    request: AuthorizationRequest
    session_id: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Token:
    session_id: str
    expires_at: float


class IdentityProvider:
    """An OpenID provider for one client and a handful of people."""

    def __init__(
        self,
        issuer: str,
        client: Client,
        people: Sequence[DemoPerson],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer.rstrip("/")
        self.client = client
        self.people = tuple(people)
        self._clock = clock
        self._key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "use": "sig", "alg": "RS256"})
        self._requests: dict[str, AuthorizationRequest] = {}
        self._sessions: dict[str, Session] = {}
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, _Token] = {}
        self._refresh: dict[str, _Token] = {}
        self._spent: dict[str, _Token] = {}

    def keys(self) -> dict[str, Any]:
        """JWK set of the public key."""
        return {"keys": [self._key.as_dict(private=False)]}

    def claims(self, person: DemoPerson) -> dict[str, Any]:
        """What the provider says of a person, in Keycloak's shape."""
        given, _, family = person.name.partition(" ")
        return {
            "sub": person.subject,
            "preferred_username": person.username,
            "name": person.name,
            "given_name": given,
            "family_name": family,
            "email": person.email,
            "email_verified": True,
            "facility_user_id": person.user_id,
            "groups": list(person.groups),
            "resource_access": {self.client.id: {"roles": list(person.client_roles)}},
        }

    def check_request(self, query: Mapping[str, str]) -> AuthorizationRequest:
        """Check an authorisation request.

        Raises
        ------
        PageError
            If the client or its address is unknown: then nothing may be sent there.
        OAuthError
            If the client must be told of its mistake.
        """
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != self.client.id or redirect_uri not in self.client.redirect_uris:
            raise PageError("The application that sent you here is not known to this identity provider.")
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "only the code flow is offered")
        if "openid" not in query.get("scope", "").split():
            raise OAuthError("invalid_scope", "the scope must hold openid")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            raise OAuthError("invalid_request", "PKCE with S256 is required")
        return AuthorizationRequest(
            redirect_uri=redirect_uri,
            state=query.get("state", ""),
            nonce=query.get("nonce", ""),
            challenge=query["code_challenge"],
            expires_at=self._clock() + REQUEST_S,
        )

    def keep_request(self, request: AuthorizationRequest) -> str:
        """Keep a request while a person is picked; returns its id, which is good once."""
        return self._put(self._requests, request)

    def take_request(self, request_id: str) -> AuthorizationRequest | None:
        """Take a kept request; None if it is unknown, used or too old."""
        request = self._requests.pop(request_id, None)
        return request if request is not None and request.expires_at > self._clock() else None

    def sign_in(self, username: str) -> Session | None:
        """Begin a session; None if there is no such person."""
        if username not in {person.username for person in self.people}:
            return None
        now = self._clock()
        session = Session(
            secrets.token_urlsafe(24), username, int(now), now + SESSION_S, secrets.token_hex(16)
        )
        self._sweep(self._sessions)
        self._sessions[session.id] = session
        return session

    def session(self, session_id: str | None) -> Session | None:
        """A session that has not ended."""
        session = self._sessions.get(session_id or "")
        return session if session is not None and session.expires_at > self._clock() else None

    def session_of_hint(self, id_token: str) -> Session | None:
        """Session that one of our ID tokens was made in; an expired token is good enough."""
        try:
            claims = jwt.decode(id_token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return None
        return self.session(claims.get("sid"))

    def end(self, session_id: str) -> None:
        """End a session with all its tokens."""
        self._sessions.pop(session_id, None)
        for tokens in (self._access, self._refresh, self._spent):
            for token in [token for token, item in tokens.items() if item.session_id == session_id]:
                del tokens[token]

    def code(self, request: AuthorizationRequest, session: Session) -> str:
        """Authorisation code, good once and for a minute."""
        return self._put(self._codes, _Code(request, session.id, self._clock() + CODE_S))

    def exchange(self, code: str, *, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """Tokens of a code (RFC 6749 4.1.3), if the verifier is that of its challenge (RFC 7636 4.6).

        Raises
        ------
        OAuthError
            If anything does not fit.
        """
        kept = self._codes.pop(code, None)
        session = self.session(kept.session_id) if kept is not None else None
        if kept is None or session is None or kept.expires_at <= self._clock():
            raise OAuthError("invalid_grant", "the code is not good, or no longer")
        challenge = _b64(hashlib.sha256(verifier.encode()).digest())
        if not verifier or not hmac.compare_digest(challenge, kept.request.challenge):
            raise OAuthError("invalid_grant", "the code verifier is missing or wrong")
        if redirect_uri != kept.request.redirect_uri:
            raise OAuthError("invalid_grant", "the redirect_uri is another one")
        return self._tokens(session, nonce=kept.request.nonce)

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """New tokens for a refresh token, which is spent by that.

        Raises
        ------
        OAuthError
            If it is not good. One that was spent before ends the session: somebody has a copy.
        """
        spent = self._spent.get(refresh_token)
        if spent is not None:
            self.end(spent.session_id)
        token = self._refresh.pop(refresh_token, None)
        session = self.session(token.session_id) if token is not None else None
        if token is None or session is None:
            raise OAuthError("invalid_grant", "the refresh token is not good, or no longer")
        self._spent[refresh_token] = token
        return self._tokens(session, nonce=None)

    def userinfo(self, access_token: str) -> dict[str, Any] | None:
        """Claims of the person an access token was given for; None if it is not good."""
        token = self._access.get(access_token)
        session = self.session(token.session_id) if token is not None else None
        if token is None or session is None or token.expires_at <= self._clock():
            return None
        return self.claims(self._person(session))

    def revoke(self, token: str) -> None:
        """End a token (RFC 7009); a refresh token ends the access tokens of its session too."""
        self._access.pop(token, None)
        kept = self._refresh.pop(token, None)
        if kept is not None:
            for name in [name for name, item in self._access.items() if item.session_id == kept.session_id]:
                del self._access[name]

    def _tokens(self, session: Session, *, nonce: str | None) -> dict[str, Any]:
        now = self._clock()
        access = self._put(self._access, _Token(session.id, now + ACCESS_TOKEN_S))
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": ACCESS_TOKEN_S,
            "refresh_token": self._put(self._refresh, _Token(session.id, session.expires_at)),
            "id_token": self._id_token(session, access, nonce),
            "scope": "openid profile email",
        }

    def _id_token(self, session: Session, access_token: str, nonce: str | None) -> str:
        now = int(self._clock())
        claims = {
            **self.claims(self._person(session)),
            "iss": self.issuer,
            "aud": self.client.id,
            "azp": self.client.id,
            "sid": session.id,
            "iat": now,
            "exp": now + ACCESS_TOKEN_S,
            "auth_time": session.signed_in_at,
            "at_hash": _b64(hashlib.sha256(access_token.encode()).digest()[:16]),
        }
        if nonce:
            claims["nonce"] = nonce
        return self.sign(claims)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign claims with the provider's key."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, dict(claims), self._key)

    def _person(self, session: Session) -> DemoPerson:
        return next(person for person in self.people if person.username == session.username)

    def _put(self, store: dict[str, T], item: T) -> str:
        self._sweep(store)
        name = secrets.token_urlsafe(32)
        store[name] = item
        return name

    def _sweep(self, store: dict[str, Any]) -> None:
        now = self._clock()
        for name in [name for name, item in store.items() if item.expires_at <= now]:
            del store[name]
        while len(store) >= _MAX_ENTRIES:
            del store[next(iter(store))]


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc
