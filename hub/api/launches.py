"""The spawn API: launches by REST, for data portals and scripts.

Handlers translate only; the rules are in `hub.launch.service`.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from tornado.iostream import StreamClosedError

from hub.api.base import PersonHandler
from hub.api.models import (
    DryRunOut,
    ExtendBody,
    InnerJobOut,
    JobList,
    LaunchBody,
    LaunchList,
    LaunchOut,
    event_json,
)
from hub.launch import store
from hub.launch.feed import wait_for_news
from hub.launch.outlook import Outlook
from hub.launch.states import EndReason
from hub.launch.store import Event, Launch
from hub.problems import Problem, RequestError

_KEY = re.compile(r"[\x21-\x7e]{1,80}\Z")
_KEEPALIVE_S = 15.0
"""A comment this often keeps proxies from closing a silent stream."""


class LaunchHandler(PersonHandler):
    """What the handlers of launches share."""

    async def show(self, launch: Launch, status: int = 200) -> None:
        """Answer with one launch."""
        self.write_model(self.view(launch, await self.app.outlooks.of(launch)), status)

    def view(self, launch: Launch, outlook: Outlook) -> LaunchOut:
        """A launch as the API shows it."""
        return LaunchOut.of(launch, public_url=self.app.public_url, prefix=self.app.prefix, outlook=outlook)

    def idempotency_key(self) -> str | None:
        """The request's ``Idempotency-Key``, if it has one."""
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not _KEY.match(key):
            raise RequestError(
                Problem(
                    "invalid_idempotency_key",
                    400,
                    "Not an idempotency key",
                    "An Idempotency-Key has 1 to 80 printable ASCII characters without spaces.",
                    "Send a UUID.",
                )
            )
        return key


class LaunchesHandler(LaunchHandler):
    """``/launches``"""

    async def get(self) -> None:
        """The caller's launches, newest first."""
        launches = await self.app.db.run(lambda s: store.of_person(s, self.person.id, limit=100))
        outlooks = await self.app.outlooks.of_all(launches)
        self.write_model(LaunchList(items=tuple(self.view(x, outlooks[x.id]) for x in launches)))

    async def post(self) -> None:
        """Start a session, or say what would start."""
        body = self.read_model(LaunchBody)
        key = self.idempotency_key()
        request = body.to_request()
        if body.dry_run:
            summary = await self.app.launches.dry_run(self.person, request)
            self.write_model(DryRunOut(summary=summary))
            return
        launch, is_new = await self.app.launches.register(
            self.person, request, origin="api", idempotency_key=key
        )
        self.set_header("Location", f"{self.app.prefix}/api/v1/launches/{launch.id}")
        await self.show(launch, 202 if is_new else 200)


class OneLaunchHandler(LaunchHandler):
    """``/launches/{id}``"""

    async def get(self, launch_id: str) -> None:
        """One launch."""
        await self.show(await self.own_launch(launch_id))

    async def delete(self, launch_id: str) -> None:
        """Cancel or stop it; repeated calls change nothing."""
        launch = await self.own_launch(launch_id)
        if launch.is_live:
            is_own = launch.person_id == self.person.id
            reason = EndReason.STOPPED_BY_USER if is_own else EndReason.STOPPED_BY_OPERATOR
            launch = await self.app.launches.stop(launch, reason=reason, by=self.person.username)
        await self.show(launch, 202 if launch.is_live else 200)


class ExtendHandler(LaunchHandler):
    """``/launches/{id}/extend``"""

    async def post(self, launch_id: str) -> None:
        """Let it run longer."""
        body = self.read_model(ExtendBody)
        launch = await self.own_launch(launch_id)
        owner = await self.app.owner_of(launch)
        extended = await self.app.launches.extend(owner, launch, body.seconds, key=self.idempotency_key())
        await self.show(extended)


class JobsHandler(LaunchHandler):
    """``/launches/{id}/jobs``"""

    async def get(self, launch_id: str) -> None:
        """Jobs that the person submitted from inside the session; none once it is over."""
        outlook = await self.app.outlooks.of(await self.own_launch(launch_id))
        self.write_model(JobList(items=tuple(InnerJobOut.model_validate(job) for job in outlook.jobs)))


class EventStream(PersonHandler):
    """Base of server-sent event streams."""

    async def open_stream(self) -> None:
        """Send the headers of a stream."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        await self.flush()

    async def send(self, data: object, *, event: str | None = None, number: int | None = None) -> None:
        """Send one event."""
        lines = [f"id: {number}"] if number is not None else []
        if event is not None:
            lines.append(f"event: {event}")
        lines.append(f"data: {json.dumps(data)}")
        self.write("\n".join(lines) + "\n\n")
        await self.flush()

    async def keep_alive(self) -> None:
        """Send a comment."""
        self.write(": still here\n\n")
        await self.flush()

    def last_event_id(self) -> int:
        """Number of the last event the client has, 0 for none."""
        text = self.request.headers.get("Last-Event-ID") or self.get_query_argument("after", "0")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


class LaunchEventsHandler(EventStream):
    """``/launches/{id}/events``: progress, and each change of state, until the launch is over."""

    state_event = "state"
    end_event = "done"

    async def get(self, launch_id: str) -> None:
        """Stream; a client that comes back with Last-Event-ID goes on where it was."""
        launch = await self.own_launch(launch_id)
        seen = self.last_event_id()
        with self.app.feed.listen(launch.id) as news:
            try:
                await self.open_stream()
                while True:
                    seen = await self._send_new(launch_id, seen)
                    launch = await self.own_launch(launch_id)
                    await self.send(self._state(launch), event=self.state_event)
                    if not launch.is_live:
                        await self._send_new(launch_id, seen)
                        await self.send({"state": launch.state}, event=self.end_event)
                        return
                    while not await wait_for_news(news, _KEEPALIVE_S):
                        await self.keep_alive()
            except StreamClosedError:
                return

    def _state(self, launch: Launch) -> dict[str, object]:
        waiting = self.app.outlooks.waiting(launch)
        return {
            "state": launch.state,
            "target": launch.target,
            "deadline": _iso(launch.deadline),
            "expected_start": _iso(waiting.expected_start),
            "pending_reason": waiting.pending_reason,
        }

    async def _send_new(self, launch_id: str, seen: int) -> int:
        events: list[Event] = list(await self.app.db.run(lambda s: store.events_after(s, launch_id, seen)))
        for event in events:
            await self.send(event_json(event), event="progress", number=event.seq)
        return events[-1].seq if events else seen


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
