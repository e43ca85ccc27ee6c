"""Base of all handlers: who asks, problem answers, headers.

People are known by the hub (HubOAuth cookie in a browser, hub token in an API call) and then by
our own table of persons. The hub itself and sessions use the internal handlers instead.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from jupyterhub.services.auth import HubOAuthenticated, UserNotAllowed
from pydantic import BaseModel, ValidationError
from tornado.web import HTTPError, RequestHandler

from hub.identity import persons
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.refusals import invalid_request
from hub.launch.store import Launch
from hub.problems import Problem, RequestError

if TYPE_CHECKING:
    from hub.app import App

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, in no frame: sessions of others live on the same origin."""

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Not that way",
}


class BaseHandler(RequestHandler):
    """Headers and problem answers of every handler."""

    def initialize(self, app: App) -> None:
        """Keep the application's parts."""
        self.app = app

    def set_default_headers(self) -> None:
        """Headers of every answer."""
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def data_received(self, chunk: bytes) -> None:
        """Not a streaming handler."""

    def problem_of(self, status: int, error: BaseException | None) -> Problem:
        """What an exception means to the caller; nothing of a fault's inside is shown."""
        if isinstance(error, RequestError):
            return error.problem
        title = _TITLES.get(status, "Something went wrong" if status >= 500 else "Refused")
        detail = "The service met a fault; it is in its log."
        if isinstance(error, HTTPError) and status < 500:
            detail = f"{title}."
        return Problem(
            code=f"http_{status}",
            status=status,
            title=title,
            detail=detail,
            hint="Go back to your sessions." if status < 500 else "Try again in a minute.",
        )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with problem details."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.write_problem(self.problem_of(status_code, error))

    def write_problem(self, problem: Problem) -> None:
        """Write RFC 9457 problem details."""
        self.set_status(problem.status)
        self.set_header("Content-Type", "application/problem+json")
        self.finish(json.dumps(problem.to_json()))

    def _handle_request_exception(self, e: BaseException) -> None:
        # Tornado would log a refusal with its traceback and answer 500.
        if isinstance(e, RequestError) and not self._finished:
            log.info("%s %s: %s", self.request.method, self.request.path, e.problem.code)
            self.send_error(e.problem.status, exc_info=(type(e), e, e.__traceback__))
            return
        super()._handle_request_exception(e)

    def write_model(self, model: BaseModel, status: int = 200) -> None:
        """Write a model as JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(model.model_dump_json())

    def read_model(self, model: type[M], *, default: dict[str, Any] | None = None) -> M:
        """The request's JSON body, validated.

        Raises
        ------
        RequestError
            ``invalid_request`` (400) if it is no JSON or does not fit.
        """
        body = self.request.body
        try:
            if not body and default is not None:
                return model.model_validate(default)
            return model.model_validate_json(body)
        except ValidationError as error:
            raise invalid_request(error) from error


class PersonHandler(HubOAuthenticated, BaseHandler):
    """A handler for people; ``self.person`` is set before the method runs."""

    person: Person
    is_api = True

    def initialize(self, app: App) -> None:
        """Keep the application's parts and the hub's authentication."""
        super().initialize(app)
        self.hub_auth = app.hub_auth

    async def prepare(self) -> None:
        """Find out who asks.

        Raises
        ------
        RequestError
            ``login_required`` if nobody is known; a page redirects to the login instead.
        """
        model = await self.hub_auth.get_user(self, sync=False)
        if model is not None:
            model = self._allowed(model)
        if model is None:
            self.refuse_stranger()
            return
        # HubAuth's own property would ask again, and synchronously.
        self._hub_auth_user_cache = model
        person = await self.app.db.run(lambda s: persons.by_username(s, model["name"]))
        if person is None or person.is_blocked:
            raise refusals.login_required()
        self.person = person
        if self.request.method not in {"GET", "HEAD", "OPTIONS"}:
            self.check_xsrf_cookie()

    def _allowed(self, model: dict[str, Any]) -> dict[str, Any] | None:
        """The hub's model of a person; None for a service.

        Raises
        ------
        RequestError
            ``token_not_accepted`` for a token that was not made for this service: a session's own.
        """
        if model.get("kind") != "user":
            return None
        try:
            allowed: dict[str, Any] | None = self.check_hub_user(model)
        except UserNotAllowed as error:
            raise refusals.token_not_accepted() from error
        return allowed

    def refuse_stranger(self) -> None:
        """Answer somebody who is not signed in."""
        problem = refusals.login_required().problem
        raise RequestError(
            Problem(problem.code, 401, problem.title, "Sign in, or send a token.", problem.hint)
        )

    async def own_launch(self, launch_id: str) -> Launch:
        """A launch of this person; operators reach all.

        Raises
        ------
        RequestError
            ``launch_not_found`` for an unknown one and for somebody else's alike.
        """
        launch = await self.app.db.run(lambda s: store.get(s, launch_id))
        if launch is None or (launch.person_id != self.person.id and not self.person.is_operator):
            raise refusals.launch_unknown()
        return launch


class NotFoundHandler(BaseHandler):
    """Every other address."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here."""

    def prepare(self) -> None:
        """Answer any method alike.

        Raises
        ------
        RequestError
            Always, with ``http_404``.
        """
        raise RequestError(
            Problem("http_404", 404, "Not found", "There is nothing at this address.", "Go to your sessions.")
        )
