"""The hub's own addresses that PaNHub answers otherwise; they come before JupyterHub's.

Its home and spawn pages lead to ours. Its REST calls to create a server without starting it and to
change one are refused: sessions are known by their name, and options that were stored aside of a
start would be of no use.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar
from urllib.parse import urlencode

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from pydantic import TypeAdapter, ValidationError
from tornado.web import HTTPError

from hub.launch import refusals
from hub.launch.models import Text
from hub.problems import RequestError
from hub.settings import SERVICE_PREFIX

_SERVER_KEYS = {"display_name", "user_options"}
_DISPLAY_NAME: TypeAdapter[str | None] = TypeAdapter(Text | None)

_MAX_DEPTH = 8
"""A launch request nests three deep, in a body of the hub's two more; recursion has its own limit."""


class ToSessions(BaseHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/home``: the sessions page."""

    def get(self, *_: str) -> None:
        """Redirect."""
        self.redirect(f"{SERVICE_PREFIX}/")


class ToNewSession(BaseHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/spawn``: the form. A GET never starts anything, and its POST is not used."""

    def get(self, *_: str) -> None:
        """Redirect, with the query that pre-fills the form; nothing else is taken from it."""
        known = ("dataset", "template", "profile", "size")
        given = {name: value for name in known if (value := self.get_query_argument(f"opt-{name}", ""))}
        self.redirect(f"{SERVICE_PREFIX}/new" + (f"?{urlencode(given)}" if given else ""))

    def post(self, *_: str) -> None:
        """Refuse.

        Raises
        ------
        HTTPError
            405.
        """
        raise HTTPError(405, "Start a session from the page New session.")


class ServerHandler(UserServerAPIHandler):  # type: ignore[misc, unused-ignore]
    """``/hub/api/users/…/servers/…`` as JupyterHub has it, but only to start, show and stop.

    What the hub itself would keep (a name, a display name, the options as they came) is checked
    before it creates anything; whether the start is granted is for the engine to say.
    """

    _starting: ClassVar[set[tuple[str, str]]] = set()
    _removing: ClassVar[dict[tuple[str, str], asyncio.Future[None]]] = {}

    @needs_scope("start:servers")  # type: ignore[misc, unused-ignore]
    async def post(self, user_name: str, server_name: str = "") -> None:
        """Start a session: JupyterHub's own way in, whose spawner asks the engine.

        JupyterHub has gaps between its look at a server and its start, in which a removal or a
        second start of the name would end in a fault; both are kept out here.
        """
        try:
            refusals.check_server_name(server_name)
        except RequestError as error:
            raise _refused(error.problem.status, error.problem.code, str(error)) from None
        key = (user_name, server_name)
        while key in self._removing:
            await asyncio.wait({self._removing[key]})
        if key in self._starting:
            self.set_status(202)  # as JupyterHub answers for one that is pending
            return
        self._starting.add(key)
        try:
            await super().post(user_name, server_name)
        except asyncio.CancelledError:
            # The hub cancels a start that is asked to stop; this request itself is never cancelled.
            raise _refused(409, "launch_cancelled", "The start was cancelled.") from None
        finally:
            self._starting.discard(key)

    async def put(self, user_name: str, server_name: str = "") -> None:
        """Refuse.

        Raises
        ------
        HTTPError
            405 with the code ``create_refused``.
        """
        raise _refused(405, "create_refused", "A session cannot be created without starting it; use POST.")

    async def patch(self, user_name: str, server_name: str = "") -> None:
        """Refuse.

        Raises
        ------
        HTTPError
            405 with the code ``change_refused``.
        """
        raise _refused(405, "change_refused", "A session cannot be renamed or changed; start another one.")

    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop or remove a server; with ``only_idle`` never one that is being started or looked for.

        The service clears away the servers of sessions that are over. Between its look at them and
        this call a person may have started one again: only here is it known.

        Raises
        ------
        HTTPError
            409 with the code ``server_busy``.
        """
        body = self.get_json_body()
        if isinstance(body, dict) and body.get("only_idle") and self._is_busy(user_name, server_name):
            raise _refused(409, "server_busy", "The server is being started.")
        key = (user_name, server_name)
        self._removing[key] = removal = asyncio.get_running_loop().create_future()
        try:
            await super().delete(user_name, server_name)
        finally:
            removal.set_result(None)
            if self._removing.get(key) is removal:
                del self._removing[key]

    def _is_busy(self, user_name: str, server_name: str) -> bool:
        if (user_name, server_name) in self._starting:
            return True
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user is not None else None
        return spawner is not None and spawner.pending in {"spawn", "check"}

    def get_json_body(self) -> object:
        """The request's body as JSON: a faulty one is the sender's matter, not one for a traceback."""
        return read_body(self.request.body)

    def get_server_json_body(self) -> dict[str, Any]:
        """Options and display name of a start; nothing that would be dropped in silence."""
        return server_body(self.get_json_body())

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer as JupyterHub does; its own refusals get a code too."""
        if 400 <= status_code < 500:
            self.set_header("X-PanHub-Code", f"http_{status_code}")
        super().write_error(status_code, **kwargs)


def read_body(body: bytes) -> object:
    """JSON of a request's body, None for none.

    Raises
    ------
    HTTPError
        400 with the code ``invalid_request`` if it is no JSON or nests deeper than any request does.
    """
    try:
        value = json.loads(body.decode()) if body.strip() else None
    except (ValueError, RecursionError):
        raise _refused(400, "invalid_request", "The request's body is not JSON.") from None
    if not _is_shallow(value, _MAX_DEPTH):
        raise _refused(400, "invalid_request", "The request's body is nested too deeply.")
    return value


def server_body(body: object) -> dict[str, Any]:
    """What JupyterHub goes on with: ``display_name`` and ``user_options``.

    As in JupyterHub, a body with neither of the two keys is the options; with one of them, all
    other keys are refused, where JupyterHub would drop them.

    Raises
    ------
    HTTPError
        400 with the code ``invalid_request``.
    """
    if body is None or body == {}:
        return {"display_name": None, "user_options": None}
    if not isinstance(body, dict):
        raise _refused(400, "invalid_request", "The request's body must be an object.")
    if not body.keys() & _SERVER_KEYS:
        body = {"user_options": body}
    if body.keys() - _SERVER_KEYS:
        raise _refused(400, "invalid_request", "Beside display_name, options stand in user_options.")
    options = body.get("user_options")
    if options is not None and not isinstance(options, dict):
        raise _refused(400, "invalid_request", "The key user_options must be an object.")
    try:
        name = _DISPLAY_NAME.validate_python(body.get("display_name"))
    except ValidationError:
        raise _refused(400, "invalid_request", "The key display_name must be one line of text.") from None
    return {"display_name": name, "user_options": options}


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return True
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in value)


def _refused(status: int, code: str, sentence: str) -> HTTPError:
    error = HTTPError(status, sentence)
    error.headers = {"X-PanHub-Code": code}  # type: ignore[attr-defined]  # the hub sends them
    return error


def hub_handlers() -> list[Any]:
    """Patterns below the hub's prefix."""
    return [
        (r"/home", ToSessions),
        (r"/spawn", ToNewSession),
        (r"/spawn/([^/]+)", ToNewSession),
        (r"/spawn/([^/]+)/([^/]+)", ToNewSession),
        (r"/api/users/([^/]+)/server", ServerHandler),
        (r"/api/users/([^/]+)/servers/([^/]*)", ServerHandler),
    ]
