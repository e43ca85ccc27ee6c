"""What the hub and sessions say to the service; no browser comes here.

The hub proves itself by the internal secret. A session has a one-use secret of its own, for one
report of its port. The proxy does show these paths to the world, so every one of them checks.
"""

from __future__ import annotations

import hmac
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hub.api.base import BaseHandler
from hub.api.models import ReportBody
from hub.identity import persons
from hub.identity.persons import IdentityConflictError, PersonError
from hub.identity.report import IdentityReport
from hub.launch import store
from hub.launch.news import utcnow
from hub.launch.refusing import ended_problem
from hub.launch.states import LIVE, EndReason
from hub.launch.store import Launch
from hub.problems import Problem, RequestError

_MAX_WAIT_S = 30.0
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")


class PlanBody(BaseModel):
    """The hub is about to start a server; ``options`` are as they came from the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: Annotated[str, Field(max_length=255)]
    server_name: Annotated[str, Field(max_length=255)]
    options: Any = None


class StartBody(BaseModel):
    """Environment that the hub gives the session, its token among it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: dict[str, str] = Field(repr=False)


class StopBody(BaseModel):
    """The hub stops a server.

    ``cause``: ``asked`` by somebody; ``no_answer`` to the hub after the start; ``unreachable`` for a hub
    that restarted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str
    server_name: str
    cause: Literal["asked", "no_answer", "unreachable"]


class InternalHandler(BaseHandler):
    """A handler for the hub."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is looked at here."""

    def prepare(self) -> None:
        """Check the internal secret.

        Raises
        ------
        RequestError
            401, for a wrong and for a missing secret alike.
        """
        if not hmac.compare_digest(bearer(self).encode(), self.app.internal_secret.encode()):
            raise RequestError(Problem("wrong_secret", 401, "Not accepted", "This path is for the hub."))

    def number(self, name: str, default: float) -> float:
        """A query argument that is a number of a few digits.

        Raises
        ------
        RequestError
            ``invalid_request`` for anything else.
        """
        text = self.get_query_argument(name, "")
        if text and not _NUMBER.match(text):
            raise RequestError(
                Problem("invalid_request", 400, "The request is not valid", f"{name} is not a number.")
            )
        return float(text) if text else default

    async def answer(self, launch: Launch) -> None:
        """Tell the hub where a launch is."""
        problem = None if launch.is_live else ended_problem(launch).to_json()
        self.finish(
            {
                "launch_id": launch.id,
                "state": launch.state.value,
                "target": launch.target.value,
                "url": launch.url,
                "problem": problem,
            }
        )


class PersonsHandler(InternalHandler):
    """``PUT /internal/persons``: somebody has signed in, or their groups changed."""

    async def put(self) -> None:
        """Record the person; refuse a name or subject that belongs to another."""
        identity = self.read_model(IdentityReport).to_identity()
        now = utcnow()
        try:
            person = await self.app.db.run(lambda s: persons.record_login(s, identity, now))
        except PersonError as error:
            code = "identity_conflict" if isinstance(error, IdentityConflictError) else "person_blocked"
            raise RequestError(Problem(code, 403, "Not let in", str(error))) from error
        self.finish({"person_id": person.id})


class PlansHandler(InternalHandler):
    """``POST /internal/plans``: may this start, and what is it?"""

    async def post(self) -> None:
        """Plan a launch for the spawner's ``apply_user_options``."""
        body = self.read_model(PlanBody)
        person = await self.app.db.run(lambda s: persons.by_username(s, body.username))
        launch = await self.app.launches.claim(person, body.server_name, body.options)
        await self.answer(launch)


class StartHandler(InternalHandler):
    """``POST /internal/launches/{id}/start?wait=``: hold and submit, then wait."""

    async def post(self, launch_id: str) -> None:
        """Begin, or go on with, the start of a planned launch.

        Answers when the session runs or is over, or after ``wait`` seconds.
        """
        timeout_s = min(self.number("wait", 0), _MAX_WAIT_S)
        body = self.read_model(StartBody)
        environment = {**body.environment, **self.app.session_environment}
        launch = await self.app.launches.start(launch_id, environment)
        await self.answer(await self.app.launches.wait(launch.id, timeout_s))


class ProgressHandler(InternalHandler):
    """``GET /internal/launches/{id}/events?after=``: lines of progress for the hub's own page."""

    async def get(self, launch_id: str) -> None:
        """All lines after a number."""
        after = int(self.number("after", 0))
        events = await self.app.db.run(lambda s: store.events_after(s, launch_id, after))
        self.finish({"events": [{"seq": e.seq, "message": e.message} for e in events]})


class StopsHandler(InternalHandler):
    """``POST /internal/stops``: the hub wants a server ended."""

    async def post(self) -> None:
        """Stop what was asked to stop, but keep a session that runs.

        The hub also stops what it cannot reach after its own restart. Nobody asked for that: a
        session that is not gone for its backend goes on.
        """
        body = self.read_model(StopBody)
        launch = await self.app.db.run(lambda s: store.live_by_server(s, body.username, body.server_name))
        if launch is None:
            self.finish({"stopped": True})
            return
        if body.cause == "unreachable" and await self.app.runner.may_run(launch):
            await self.app.runner.note(
                launch, "running", "The hub lost sight of the session; it goes on running."
            )
            self.finish({"stopped": False})
            return
        is_asked = body.cause == "asked"
        reason = EndReason.STOPPED_BY_USER if is_asked else EndReason.START_TIMEOUT
        launch = await self.app.launches.stop(launch, reason=reason, by=body.username if is_asked else None)
        ended = await self.app.launches.wait_for_end(launch.id, _MAX_WAIT_S)
        self.finish({"stopped": not ended.is_live})


class SessionsHandler(InternalHandler):
    """``GET /internal/sessions``: one status answer for all of the hub's spawners."""

    async def get(self) -> None:
        """State of every live launch by ``username/server_name``."""
        launches = await self.app.db.run(lambda s: store.positions(s, LIVE))
        self.finish(
            {
                "sessions": {
                    f"{launch.username}/{launch.server_name}": {
                        "launch_id": launch.id,
                        "state": launch.state.value,
                        "url": launch.url,
                    }
                    for launch in launches
                }
            }
        )


class ReportHandler(BaseHandler):
    """``POST /internal/reports/{id}``: a session tells its port, once."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is looked at here."""

    async def post(self, launch_id: str) -> None:
        """Take the report: 401 for a wrong secret, 409 for a second one."""
        body = self.read_model(ReportBody)
        await self.app.launches.report(launch_id, bearer(self), body.port)
        self.set_status(204)
        self.finish()


def bearer(handler: BaseHandler) -> str:
    """The bearer token of a request, or nothing."""
    scheme, _, token = handler.request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""
