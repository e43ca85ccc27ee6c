"""The endpoints and pages of the demo's identity provider."""

from __future__ import annotations

import base64
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado import web
from tornado.httputil import url_concat

from hub.demo.sign_in import IdentityProvider, OAuthError, PageError, Session
from hub.identity.claims import initials

PAGES = Path(__file__).parent / "pages"
_COOKIE = "panhub-demo-sign-in"
_HTML = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, auto_reload=False
)
_PAGES = {name: _HTML.get_template(name) for name in _HTML.list_templates(extensions=["html"])}
"""Read and compiled before the event loop begins."""


class BaseHandler(web.RequestHandler):
    """What all answers have in common: the right host, no caching, no foreign content."""

    def initialize(self, provider: IdentityProvider) -> None:
        """Take the provider; called by tornado."""
        self.provider = provider

    def prepare(self) -> None:
        """Refuse requests under another name, which a foreign page could make (DNS rebinding)."""
        if self.request.host != urlsplit(self.provider.issuer).netloc:
            raise web.HTTPError(421)

    def set_default_headers(self) -> None:
        """Set the headers of every answer."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")

    def current_session(self) -> Session | None:
        """Session of this browser."""
        return self.provider.session(self.get_cookie(_COOKIE))

    def show(self, page: str, *, status: int = 200, **values: Any) -> None:
        """Answer with a page."""
        origins = {"{0.scheme}://{0.netloc}".format(urlsplit(u)) for u in self.provider.client.redirect_uris}
        # Browsers hold the redirect that follows a form to `form-action` too.
        allowed = " ".join(["'self'", *sorted(origins)])
        self.set_header(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action {allowed}",
        )
        self.set_status(status)
        base = urlsplit(self.provider.issuer).path
        self.finish(_PAGES[page].render(base=base, **values))

    def send_json(self, body: dict[str, Any], *, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(body)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say that something went wrong, without any detail."""
        self.show("message.html", status=status_code, title="That did not work", text="Please start again.")


class DiscoveryHandler(BaseHandler):
    """OpenID Connect Discovery 1.0, section 4."""

    def get(self) -> None:
        """Describe the provider."""
        issuer = self.provider.issuer
        self.send_json(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "userinfo_endpoint": f"{issuer}/userinfo",
                "jwks_uri": f"{issuer}/keys",
                "end_session_endpoint": f"{issuer}/sign-out",
                "revocation_endpoint": f"{issuer}/revoke",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email"],
                "authorization_response_iss_parameter_supported": True,
            }
        )


class KeysHandler(BaseHandler):
    """Public keys."""

    def get(self) -> None:
        """Give the JWK set."""
        self.send_json(self.provider.keys())


class AuthorizeHandler(BaseHandler):
    """Begin of a sign-in: who is already signed in goes on, others pick a person."""

    def get(self) -> None:
        """Check the request, then go on or show the people."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        try:
            request = self.provider.check_request(query)
        except PageError as error:
            self.show("message.html", status=400, title="Unknown application", text=str(error))
            return
        except OAuthError as error:
            self.return_to(
                query["redirect_uri"],
                error=error.code,
                error_description=error.description,
                state=query.get("state", ""),
            )
            return
        session = self.current_session()
        prompts = query.get("prompt", "").split()
        if session is not None and not {"login", "select_account"} & set(prompts):
            code = self.provider.code(request, session)
            self.return_to(request.redirect_uri, code=code, state=request.state)
        elif "none" in prompts:
            self.return_to(request.redirect_uri, error="login_required", state=request.state)
        else:
            people = [(person, initials(person.name)) for person in self.provider.people]
            self.show("pick.html", people=people, request_id=self.provider.keep_request(request))

    def return_to(self, uri: str, **parameters: str) -> None:
        """Send the browser back to the client, with our name (RFC 9207)."""
        self.redirect(url_concat(uri, {**parameters, "iss": self.provider.issuer}))


class PickHandler(AuthorizeHandler):
    """A person was picked."""

    def get(self) -> None:
        """Nothing to see here: a sign-in begins at the client."""
        raise web.HTTPError(405)

    def post(self) -> None:
        """Sign the person in and go back to the client."""
        request = self.provider.take_request(self.get_body_argument("request", ""))
        session = self.provider.sign_in(self.get_body_argument("person", "")) if request else None
        if request is None or session is None:
            text = "This page was open for too long. Go back to the application and sign in again."
            self.show("message.html", status=400, title="Too late", text=text)
            return
        self.set_cookie(_COOKIE, session.id, httponly=True, samesite="Lax")
        code = self.provider.code(request, session)
        self.return_to(request.redirect_uri, code=code, state=request.state)


class ClientHandler(BaseHandler):
    """An endpoint for the client, which proves itself by HTTP basic authentication."""

    def prepare(self) -> None:
        """Refuse anybody but the client."""
        super().prepare()
        client = self.provider.client
        given_id, given_secret = _basic(self.request.headers.get("Authorization", ""))
        known = hmac.compare_digest(given_id.encode(), client.id.encode())
        if not hmac.compare_digest(given_secret.encode(), client.secret.encode()) or not known:
            self.set_header("WWW-Authenticate", "Basic")
            self.send_json({"error": "invalid_client"}, status=401)


class TokenHandler(ClientHandler):
    """Token endpoint."""

    def post(self) -> None:
        """Give tokens for a code or a refresh token."""
        try:
            self.send_json(self._grant())
        except OAuthError as error:
            self.send_json({"error": error.code, "error_description": error.description}, status=400)

    def _grant(self) -> dict[str, Any]:
        match self.get_body_argument("grant_type", ""):
            case "authorization_code":
                return self.provider.exchange(
                    self.get_body_argument("code", ""),
                    verifier=self.get_body_argument("code_verifier", ""),
                    redirect_uri=self.get_body_argument("redirect_uri", ""),
                )
            case "refresh_token":
                return self.provider.refresh(self.get_body_argument("refresh_token", ""))
        raise OAuthError("unsupported_grant_type", "only codes and refresh tokens are taken")


class RevokeHandler(ClientHandler):
    """Revocation endpoint (RFC 7009)."""

    def post(self) -> None:
        """End a token; one that is unknown has ended already."""
        self.provider.revoke(self.get_body_argument("token", ""))
        self.send_json({})


class UserinfoHandler(BaseHandler):
    """Userinfo endpoint."""

    def get(self) -> None:
        """Give the claims of the person the token is for."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        claims = self.provider.userinfo(token) if scheme.lower() == "bearer" else None
        if claims is None:
            self.set_header("WWW-Authenticate", 'Bearer error="invalid_token"')
            self.send_json({"error": "invalid_token"}, status=401)
            return
        self.send_json(claims)


class SignOutHandler(BaseHandler):
    """End of a session (OpenID Connect RP-Initiated Logout 1.0)."""

    def get(self) -> None:
        """Sign out at once if the client proves whom; else ask."""
        target = self.get_query_argument("post_logout_redirect_uri", "")
        hinted = self.provider.session_of_hint(self.get_query_argument("id_token_hint", ""))
        current = self.current_session()
        if current is None or (hinted is not None and hinted.id == current.id):
            self._sign_out(hinted or current, target, self.get_query_argument("state", ""))
            return
        person = next(p for p in self.provider.people if p.username == current.username)
        self.show("sign_out.html", person=person, confirmation=current.confirmation, target=target)

    def post(self) -> None:
        """Sign out a person who said so."""
        current = self.current_session()
        given = self.get_body_argument("confirmation", "")
        if current is not None and not hmac.compare_digest(given.encode(), current.confirmation.encode()):
            raise web.HTTPError(403)
        self._sign_out(current, self.get_body_argument("target", ""), "")

    def _sign_out(self, session: Session | None, target: str, state: str) -> None:
        if session is not None:
            self.provider.end(session.id)
        self.clear_cookie(_COOKIE)
        if target and self.provider.client.may_return_to(target):
            self.redirect(url_concat(target, {"state": state} if state else {}))
        else:
            self.show("message.html", title="Signed out", text="You are signed out of the demo facility.")


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


ROUTES: tuple[tuple[str, type[BaseHandler]], ...] = (
    (r"/\.well-known/openid-configuration", DiscoveryHandler),
    (r"/keys", KeysHandler),
    (r"/authorize", AuthorizeHandler),
    (r"/pick", PickHandler),
    (r"/token", TokenHandler),
    (r"/revoke", RevokeHandler),
    (r"/userinfo", UserinfoHandler),
    (r"/sign-out", SignOutHandler),
)
"""Paths under the issuer's."""
