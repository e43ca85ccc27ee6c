"""The pages of signing in and out: they bind a sign-in to one browser, and end it at the provider."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join
from oauthenticator.oauth2 import (
    OAuthCallbackHandler,
    OAuthLoginHandler,
    OAuthLogoutHandler,
    _deserialize_state,
    _serialize_state,
)
from tornado import web
from tornado.httputil import url_concat

from hub.identity.wire import ProviderRefusedError, ProviderUnavailableError

SIGNED_OUT = "signed-out"
"""Page after signing out. Not the login page: that one begins the next sign-in at once."""

NO_ANSWER = "The identity provider does not answer. Wait a minute and sign in again."


class LoginHandler(OAuthLoginHandler):
    """Sends a browser to the provider, with state, nonce and PKCE of its own in a signed cookie."""

    async def get(self) -> None:
        """Begin a sign-in."""
        authenticator = self.authenticator
        try:
            endpoints = await authenticator.provider.endpoints()
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            self.log.warning("Discovery failed: %s", error)
            raise web.HTTPError(503, NO_ANSWER) from error
        verifier, challenge = self._generate_pkce_params()
        state = {
            "state_id": self._generate_state_id(),
            "next_url": self._get_next_url(),
            "code_verifier": verifier,
            "nonce": secrets.token_urlsafe(32),
        }
        self.set_state_cookie(_serialize_state(state))
        parameters = {
            **authenticator.extra_authorize_params,
            "response_type": "code",
            "client_id": authenticator.client_id,
            "redirect_uri": authenticator.get_callback_url(self),
            "scope": " ".join(authenticator.scope),
            "state": _serialize_state({"state_id": state["state_id"]}),
            "nonce": state["nonce"],
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        self.redirect(url_concat(endpoints.authorization, parameters))


class CallbackHandler(OAuthCallbackHandler):
    """Takes the provider's answer, for the browser that began the sign-in only."""

    def check_arguments(self) -> None:
        """Check the state first: a forged link must not even choose the text of an error page."""
        self.check_state()
        self.check_issuer()
        self.check_error()
        self.check_code()

    def check_state(self) -> None:
        """Compare the state of the link with that of the cookie, both of which must be there."""
        expected = self.state_value("state_id")
        given = _deserialize_state(self.get_argument("state", "")).get("state_id", "")
        if not expected or not isinstance(given, str) or not hmac.compare_digest(expected, given):
            raise web.HTTPError(400, "This sign-in was not begun in this browser, or is too old. Try again.")

    def check_issuer(self) -> None:
        """Check ``iss`` of the answer where there is one (RFC 9207): no other provider may answer."""
        issuer = self.get_argument("iss", None)
        if issuer is not None and issuer != self.authenticator.settings.issuer:
            raise web.HTTPError(400, "Another identity provider answered than the one that was asked.")

    def check_error(self) -> None:
        """Say in our own words that the provider refused; its text goes into the log."""
        error = self.get_argument("error", None)
        if error is not None:
            self.log.warning("The provider refused a sign-in: %.60r", error)
            raise web.HTTPError(403, "The identity provider did not sign you in. Try again.")

    def state_value(self, name: str) -> str:
        """Value of the browser's sign-in; empty if it began none."""
        cookie = self.get_state_cookie()
        value = _deserialize_state(cookie).get(name) if cookie else None
        return value if isinstance(value, str) else ""


class LogoutHandler(OAuthLogoutHandler):
    """Signs out here and at the provider. Running sessions go on."""

    _next: str | None = None

    async def handle_logout(self) -> None:
        """End the tokens, and remember where the provider's own session ends."""
        await super().handle_logout()
        landing = self.authenticator.post_logout_redirect_url or (
            f"{self.request.protocol}://{self.request.host}{url_path_join(self.hub.base_url, SIGNED_OUT)}"
        )
        self._next = await self.authenticator.end_sign_in(self.current_user, landing)

    async def render_logout_page(self) -> Any:
        """Go on to the provider."""
        if self._next is not None:
            return self.redirect(self._next)
        return await super().render_logout_page()


class SignedOutHandler(BaseHandler):
    """Where the provider leads back to after signing out."""

    async def get(self) -> None:
        """Say so, with a way back in."""
        self.finish(await self.render_template("logout.html"))
