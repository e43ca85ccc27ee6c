"""What is kept of a sign-in, and what a refusal of the provider means for it."""

from __future__ import annotations

from typing import Any

from hub.identity.claims import initials
from hub.identity.provider import Tokens
from hub.identity.wire import ProviderRefusedError

_SESSION_SCOPES = frozenset({"access:servers", "users:activity"})
"""What a session's own token may do (role `server`); such a token starts and changes nothing."""


class UnconfirmedError(Exception):
    """Neither yes nor no: the provider or the service did not answer, or not usably."""


class EndedError(Exception):
    """The provider or the service said no: the person must sign in again, if they can."""


def auth_model_of(state: dict[str, Any]) -> dict[str, Any]:
    """JupyterHub's model of a signed-in person, from what auth state keeps of them."""
    identity = state["identity"]
    name = identity["display_name"]
    return {
        "name": identity["username"],
        "admin": False,
        "groups": identity["groups"],
        "user_info": {"name": name, "display_name": name, "initials": initials(name)},
        "auth_state": state,
    }


def token_state(tokens: Tokens) -> dict[str, Any]:
    kept = {"access_token": tokens.access_token, "expires_at": tokens.expires_at}
    kept["refresh_token"] = tokens.refresh_token
    if tokens.id_token is not None:
        kept["id_token"] = tokens.id_token
    return kept


def newer_sign_in(
    _authenticator: Any, auth_model: dict[str, Any], existing: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Keep the tokens of a sign-in that happened while older ones were being refreshed."""
    state: dict[str, Any] | None = auth_model["auth_state"]
    if state and existing and existing.get("signed_in_at", 0) > state.get("signed_in_at", 0):
        return existing
    return state


def is_session_token(handler: Any) -> bool:
    """Whether a request comes from a running session, by its own token."""
    if handler is None or not getattr(handler, "_token_authenticated", False):
        return False
    token = handler.get_token()
    if token is None or token.user is None or token.client_id != "jupyterhub":
        return False
    return {scope.partition("!")[0] for scope in token.scopes} == _SESSION_SCOPES


def require_about_token(error: ProviderRefusedError) -> None:
    """Let pass a refusal that is about the token; any other is a fault between us and the provider."""
    if error.code != "invalid_grant" and error.status not in (401, 403):
        raise UnconfirmedError(str(error)) from error
    if error.code in ("invalid_client", "unauthorized_client"):
        raise UnconfirmedError(str(error)) from error
