"""What a session's node asks the engine: what it is, until when it may run; and the end of its log.

A node proves itself by `spawners.session.proof.session_secret`, of which the launch has the digest.
A wrong proof, an unknown launch and one that is over get the same answer.
"""

from __future__ import annotations

import hmac
import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.api.base import BaseHandler
from hub.api.internal import bearer
from hub.launch import refusals, store
from hub.launch.schema import LaunchRow
from hub.launch.states import LIVE
from hub.launch.submitting import hash_secret
from hub.problems import Problem, RequestError
from spawners.session.engine import MOST_LINES, MOST_TAIL_BYTES
from spawners.slurm.job import node_specification

_POLL_S = 30
"""How often a node asks for its deadline [s]: an extension is seen within a minute."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class LogBody(BaseModel):
    """Last lines of a session's log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: Annotated[tuple[str, ...], Field(max_length=MOST_LINES)]


class SessionHandler(BaseHandler):
    """A handler for the node of one session; `prepare` checks its proof."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is looked at here."""

    async def prepare(self) -> None:
        """Check that the launch lives and that this is its session.

        Raises
        ------
        RequestError
            401, whatever of it is wrong.
        """
        launch_id = self.path_kwargs["launch_id"]
        expected = await self.app.db.run(lambda s: _live_hash(s, launch_id))
        if not hmac.compare_digest(expected or "", hash_secret(bearer(self))):
            raise refusals.wrong_report_secret()


class SpecificationHandler(SessionHandler):
    """``GET /internal/launches/{id}/specification``: what the session is; nothing secret."""

    async def get(self, launch_id: str) -> None:
        """Answer with the parts of the stored plan that a node needs."""
        launch = await self.app.db.run(lambda s: store.get(s, launch_id))
        assert launch is not None, "a launch is never deleted"
        self.finish(node_specification(launch.launch_plan()))


class DeadlineHandler(SessionHandler):
    """``GET /internal/launches/{id}/deadline``: until when the session may run."""

    async def get(self, launch_id: str) -> None:
        """Answer with the deadline as it is now, null while it is not known."""
        query = select(LaunchRow.deadline).where(LaunchRow.id == launch_id)
        deadline = await self.app.db.run(lambda s: s.scalar(query))
        self.finish({"deadline": deadline.isoformat() if deadline else None, "poll_s": _POLL_S})


class LogHandler(SessionHandler):
    """``POST /internal/launches/{id}/log``: the last lines of the session's log."""

    async def post(self, launch_id: str) -> None:
        """Keep them in place of those before.

        Raises
        ------
        RequestError
            413 for too many bytes, 400 for too many lines or what is no such body.
        """
        if len(self.request.body) > MOST_TAIL_BYTES:
            text = f"A log's end has {MOST_TAIL_BYTES} bytes at most."
            raise RequestError(Problem("log_too_large", 413, "Too large", text))
        lines = [_CONTROL.sub("", line) for line in self.read_model(LogBody).lines]
        await self.app.db.run(lambda s: store.change(s, launch_id, log_tail=lines))
        self.set_status(204)
        self.finish()


def _live_hash(session: Session, launch_id: str) -> str | None:
    """Digest of a live launch's proof; None if it has none, is over or unknown."""
    query = select(LaunchRow.report_hash).where(LaunchRow.id == launch_id, LaunchRow.state.in_(LIVE))
    return session.scalar(query)
