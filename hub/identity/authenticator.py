"""JupyterHub's authenticator: a verified sign-in becomes a hub user, and stays one while it holds.

Sign-in: state, nonce and PKCE bound to the browser; ID token verified; claims read strictly; the
person reported to the service, which must take it. Refresh: userinfo is asked again, so that a
group removed or a session ended at the provider counts here after ``refresh_age_s``. A provider
that does not answer leaves people signed in for a bounded time, in which nothing new starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httputil import url_concat
from traitlets import Callable, Instance, List, Unicode, default

from hub.identity.claims import (
    ClaimError,
    GroupsAbsentError,
    identity_from_claims,
)
from hub.identity.handlers import (
    NO_ANSWER,
    SIGNED_OUT,
    CallbackHandler,
    LoginHandler,
    LogoutHandler,
    SignedOutHandler,
)
from hub.identity.idtoken import TokenError
from hub.identity.provider import Provider
from hub.identity.report import PersonReporter, ReportRefusedError, ReportUnansweredError
from hub.identity.settings import IdentitySettings
from hub.identity.signin import (
    EndedError,
    UnconfirmedError,
    auth_model_of,
    is_session_token,
    newer_sign_in,
    require_about_token,
    token_state,
)
from hub.identity.singleflight import SingleFlight
from hub.identity.wire import ProviderRefusedError, ProviderUnavailableError
from hub.settings import read_secret

_MEMO_S = 5.0
"""A refresh this recent is not repeated: its new tokens may not be saved yet, and the old are used up."""

_EARLY_S = 5.0
"""An access token that ends within this time is refreshed rather than used."""


class PanAuthenticator(OAuthenticator):
    """Sign-in by OpenID Connect, verified, with strict names and a strict refresh."""

    login_handler = LoginHandler
    callback_handler = CallbackHandler
    logout_handler = LogoutHandler

    settings: IdentitySettings = Instance(
        IdentitySettings, config=True, help="Section `identity` of the site's settings."
    )
    record_person = Callable(
        None,
        allow_none=True,
        config=True,
        help="Async callable that gets each identity (a dict) at sign-in and when it changed, and raises "
        "ReportRefusedError or ReportUnansweredError. Default: PUT to the service at `internal_url`.",
    )
    internal_url = Unicode(config=True, help="Base URL of the service, to which sign-ins are reported.")
    internal_secret_file = Unicode(config=True, help="File with the secret shared with the service.")
    post_logout_redirect_url = Unicode(
        config=True,
        help="Where the provider sends a browser after signing out; it must be registered there. "
        "Default: the hub's page /hub/signed-out.",
    )
    extra_hub_handlers = List(
        config=True, help="Handlers (path, class[, arguments]) that come before JupyterHub's own."
    )

    @default("client_id")
    def _default_client_id(self) -> str:
        return self.settings.client_id

    @default("scope")
    def _default_scope(self) -> list[str]:
        return list(self.settings.scopes)

    @default("login_service")
    def _default_login_service(self) -> str:
        return self.settings.login_service

    @default("allowed_groups")
    def _default_allowed_groups(self) -> set[str]:
        return set(self.settings.allowed_groups)

    @default("auth_refresh_age")
    def _default_refresh_age(self) -> int:
        return self.settings.refresh_age_s

    @default("auth_refresh_strict")
    def _default_refresh_strict(self) -> bool:
        return True

    @default("refresh_pre_spawn")
    def _default_refresh_pre_spawn(self) -> bool:
        return True

    @default("auto_login")
    def _default_auto_login(self) -> bool:
        return True

    @default("custom_403_message")
    def _default_403(self) -> str:
        return "Your account is in none of the groups that may use this site. Ask its support to add you."

    @default("enable_auth_state")
    def _default_enable_auth_state(self) -> bool:
        return True

    @default("manage_groups")
    def _default_manage_groups(self) -> bool:
        return True

    @default("reconcile_auth_state_hook")
    def _default_reconcile(self) -> Any:
        return newer_sign_in

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.provider = Provider(self.settings, read_secret(self.settings.client_secret_file))
        self._report = self.record_person or PersonReporter(
            self.internal_url, read_secret(Path(self.internal_secret_file))
        )
        self._refreshes: SingleFlight[bool | dict[str, Any]] = SingleFlight()
        self._recent: dict[str, tuple[float, dict[str, Any]]] = {}
        self._unconfirmed: set[str] = set()

    def get_handlers(self, app: Any) -> list[Any]:
        """Handlers of the site first, then those of signing in and out."""
        own = [(f"/{SIGNED_OUT}", SignedOutHandler), *super().get_handlers(app)]
        return [*self.extra_hub_handlers, *own]

    def normalize_username(self, username: str) -> str:
        """Names are strict already and never folded."""
        return username

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Turn the provider's answer into an auth model; called by JupyterHub on the callback.

        Nobody becomes the hub's admin: what operators do goes through the service.
        """
        try:
            tokens = await self.provider.exchange(
                handler.get_argument("code"),
                verifier=handler.state_value("code_verifier"),
                redirect_uri=self.get_callback_url(handler),
            )
            subject = (await self.provider.verify(tokens, nonce=handler.state_value("nonce")))["sub"]
            claims = await self.provider.userinfo(tokens.access_token, subject=subject)
            identity = identity_from_claims(claims, self.settings)
        except ProviderUnavailableError as error:
            raise _refusal(503, NO_ANSWER) from error
        except (ProviderRefusedError, TokenError) as error:
            self.log.warning("A sign-in failed: %s", error)
            raise _refusal(403, "The sign-in could not be verified. Try again.") from error
        except ClaimError as error:
            self.log.warning("A sign-in was refused: claim %s", error.claim)
            raise _refusal(403, str(error)) from error
        if identity.ignored_groups:
            self.log.warning("Groups of %s left out: %s", identity.username, identity.ignored_groups)
        now = time.time()
        return auth_model_of(
            {
                "subject": subject,
                "identity": identity.to_json(),
                "signed_in_at": now,
                "confirmed_at": now,
                **token_state(tokens),
            }
        )

    async def run_post_auth_hook(self, handler: Any, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Report a person who may enter; the service must take them."""
        auth_model = await super().run_post_auth_hook(handler, auth_model)
        try:
            await self._report(auth_model["auth_state"]["identity"])
        except ReportRefusedError as error:
            self.log.warning("The service refused %s", auth_model["name"])
            raise _refusal(403, str(error)) from error
        except ReportUnansweredError as error:
            self.log.warning("A sign-in could not be reported: %s", error)
            raise _refusal(503, "This site is not ready to sign people in. Try again.") from error
        self._forget(auth_model["name"])
        return auth_model

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> bool | dict[str, Any]:
        """Ask the provider again; called by JupyterHub when the last answer is old, and before a start."""
        if is_session_token(handler):
            # The session goes on, whatever became of the sign-in. JupyterHub is about to note that the
            # person was confirmed now, which nobody did: put the time back.
            asyncio.get_running_loop().call_soon(setattr, user, "_auth_refreshed", user._auth_refreshed)
            return True
        return await self._refreshes.run(user.name, lambda: self._refresh(user))

    async def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        """Start nothing for a person whom nobody could confirm just now; called before each start."""
        if user.name in self._unconfirmed:
            raise web.HTTPError(
                503, "Your membership could not be confirmed just now. Nothing was started; try again soon."
            )

    async def end_sign_in(self, user: Any, landing: str) -> str | None:
        """Forget a person's tokens and end them at the provider.

        Returns
        -------
        str or None
            Where the browser goes to end the provider's own session, which leads back to ``landing``.
        """
        state = await user.get_auth_state() if user is not None else None
        if user is not None:
            await user.save_auth_state(None)
            self._forget(user.name)
        try:
            endpoints = await self.provider.endpoints()
            if state and state.get("refresh_token"):
                await self.provider.revoke(state["refresh_token"])
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            self.log.warning("Tokens could not be ended at the provider: %s", error)
            endpoints = None
        if endpoints is None or endpoints.end_session is None:
            return None
        parameters = {"client_id": self.settings.client_id, "post_logout_redirect_uri": landing}
        if state and state.get("id_token"):
            parameters["id_token_hint"] = state["id_token"]
        return str(url_concat(endpoints.end_session, parameters))

    async def _refresh(self, user: Any) -> bool | dict[str, Any]:
        at, recent = self._recent.get(user.name, (-_MEMO_S, {}))
        if recent and time.monotonic() - at < _MEMO_S:
            return recent
        state = await user.get_auth_state()
        if not state or "identity" not in state:
            return False
        try:
            await self._confirm(user.name, state)
        except EndedError as error:
            self.log.info("The sign-in of %s has ended: %s", user.name, error)
            self._forget(user.name)
            return False
        except UnconfirmedError as error:
            if time.time() - state["confirmed_at"] > self.auth_refresh_age + self.settings.grace_s:
                self.log.warning("%s was not confirmed for too long: %s", user.name, error)
                return False
            self.log.warning("%s could not be confirmed: %s", user.name, error)
            self._unconfirmed.add(user.name)
        else:
            self._unconfirmed.discard(user.name)
        return self._remember(user.name, auth_model_of(state))

    async def _confirm(self, username: str, state: dict[str, Any]) -> None:
        """Ask the provider and bring ``state`` up to date; new tokens are in it even if this raises."""
        try:
            identity = identity_from_claims(await self._claims(state), self.settings)
        except (ProviderUnavailableError, GroupsAbsentError) as error:
            raise UnconfirmedError(str(error)) from error
        except (TokenError, ClaimError) as error:
            raise EndedError(str(error)) from error
        if identity.username != username:
            raise EndedError("the provider now uses another name")
        new = {**state, "identity": identity.to_json(), "confirmed_at": time.time()}
        if not await self._may_enter(auth_model_of(new)):
            raise EndedError("the person is in no allowed group any more")
        if new["identity"] != state["identity"]:
            await self._report_change(new["identity"])
        state.update(new)

    async def _claims(self, state: dict[str, Any]) -> dict[str, Any]:
        """Userinfo by the access token; by a new one if that is no longer good."""
        subject = state["subject"]
        if time.time() < state["expires_at"] - _EARLY_S:
            try:
                return await self.provider.userinfo(state["access_token"], subject=subject)
            except ProviderRefusedError as error:
                require_about_token(error)
        if not state["refresh_token"]:
            raise EndedError("there is no refresh token")
        try:
            tokens = await self.provider.refresh(state["refresh_token"])
            state.update(token_state(tokens))
            await self.provider.verify_refreshed(tokens, subject=subject)
            return await self.provider.userinfo(tokens.access_token, subject=subject)
        except ProviderRefusedError as error:
            require_about_token(error)
            raise EndedError(str(error)) from error

    async def _report_change(self, identity: Mapping[str, Any]) -> None:
        try:
            await self._report(identity)
        except ReportRefusedError as error:
            raise EndedError(str(error)) from error
        except ReportUnansweredError as error:
            raise UnconfirmedError(str(error)) from error

    async def _may_enter(self, auth_model: dict[str, Any]) -> bool:
        name = auth_model["name"]
        if not self.check_blocked_users(name, auth_model):
            return False
        return bool(self.allow_all or await self.check_allowed(name, auth_model))

    def _remember(self, username: str, auth_model: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        self._recent = {name: item for name, item in self._recent.items() if now - item[0] < _MEMO_S}
        self._recent[username] = (now, auth_model)
        return auth_model

    def _forget(self, username: str) -> None:
        self._recent.pop(username, None)
        self._unconfirmed.discard(username)


def _refusal(status: int, text: str) -> web.HTTPError:
    return web.HTTPError(status, "%s", text)
