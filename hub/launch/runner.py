"""Moves launches at their backends: submit, answer, stop, finish.

The row of the session table is written before each step and the backend's handle as soon as it
is known, so a crash between any two lines leaves a state from which the reconciler goes on. What
may be cancelled by whoever waits (submit, stop) runs in a task of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from hub.database import Database
from hub.launch import store
from hub.launch.feed import OPERATORS_TOPIC, Feed, person_topic
from hub.launch.ledgering import Books
from hub.launch.states import MAY_RUN, EndReason, LaunchState, Target
from hub.launch.store import Launch
from spawners.backend import (
    Backend,
    BackendError,
    BackendUnavailableError,
    EndCause,
    State,
    Status,
    SubmitError,
    Usage,
)
from spawners.plan import Credentials, LaunchId
from spawners.session.proof import TOKEN_VARIABLE, session_secret

log = logging.getLogger(__name__)

_LOG_LINES = 40

_NOT_STARTED = frozenset({LaunchState.HELD, LaunchState.ENDING})
"""Where a launch is that its backend refused or does not have."""

_REASONS = {
    EndCause.STOPPED: EndReason.STOPPED_BY_USER,
    EndCause.EXITED: EndReason.EXITED,
    EndCause.OUT_OF_MEMORY: EndReason.OUT_OF_MEMORY,
    EndCause.TIME_LIMIT: EndReason.TIME_LIMIT,
    EndCause.LOST: EndReason.LOST,
}

_SENTENCES = {
    EndReason.STOPPED_BY_USER: "You stopped the session.",
    EndReason.STOPPED_BY_OPERATOR: "An operator stopped the session.",
    EndReason.CANCELLED: "The start was cancelled.",
    EndReason.TIME_LIMIT: "The session reached the end of its time.",
    EndReason.EXITED: "The session's server ended by itself.",
    EndReason.OUT_OF_MEMORY: "The session used more memory than its size has; choose a larger size.",
    EndReason.LOST: "The session ended without a word: the machine or its supervisor was lost.",
    EndReason.START_FAILED: "The session could not be started.",
    EndReason.START_TIMEOUT: "The session did not answer in time and was ended.",
    EndReason.NOT_HANDED_OVER: "The start was not completed and was given up; nothing ran.",
    EndReason.ACCESS_LOST: "You may no longer read the session's data, so it was ended.",
    EndReason.SERVICE_STOPPED: "The service was shut down and ended its sessions.",
}


def utcnow() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


def sentence(reason: EndReason) -> str:
    """What a person reads about an end."""
    return _SENTENCES[reason]


class Runner:
    """Carries launches through their backends."""

    def __init__(
        self,
        *,
        db: Database,
        books: Books,
        feed: Feed,
        backends: Mapping[str, Backend],
        report_base_url: str,
        answers: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._db = db
        self._books = books
        self._feed = feed
        self.backends = backends
        self._report_base_url = report_base_url
        self._http = AsyncHTTPClient(force_instance=True)
        self._answers = answers or self._probe
        self._submits: dict[LaunchId, asyncio.Task[None]] = {}
        self._stops: dict[LaunchId, asyncio.Task[None]] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._deadlines: set[LaunchId] = set()

    # --- news -------------------------------------------------------------------------------

    def tell(self, launch: Launch) -> None:
        """Wake all who follow a launch."""
        self._feed.notify(launch.id, person_topic(launch.username), OPERATORS_TOPIC)

    async def note(self, launch: Launch, step: str, message: str) -> None:
        """Add a line of progress and wake its readers."""
        await self._db.run(lambda s: store.add_event(s, launch.id, step, message, utcnow()))
        self.tell(launch)

    # --- start ------------------------------------------------------------------------------

    def is_submitting(self, launch_id: LaunchId) -> bool:
        """Whether a submit of this process is under way."""
        return launch_id in self._submits

    def submit(self, launch: Launch, environment: Mapping[str, str]) -> None:
        """Hand a held launch to its backend, in a task that nobody's cancellation ends."""
        if launch.id in self._submits:
            return
        task = asyncio.create_task(self._submit(launch, environment), name=f"submit-{launch.id}")
        self._submits[launch.id] = task
        task.add_done_callback(lambda _: self._submits.pop(launch.id, None))

    async def _submit(self, launch: Launch, environment: Mapping[str, str]) -> None:
        backend = self.backends.get(launch.place or "")
        if backend is None:
            text = "Its place is no longer offered."
            await self.end_unstarted(launch.id, EndReason.START_FAILED, text, only_from=_NOT_STARTED)
            return
        # A batch job carries its token and nothing else secret, so both sides derive the rest from it.
        token = environment.get(TOKEN_VARIABLE)
        secret = session_secret(token, launch.id) if token else secrets.token_urlsafe(32)
        prepared = await self._db.run(
            lambda s: store.change(s, launch.id, only_in={LaunchState.HELD}, report_hash=hash_secret(secret))
        )
        if prepared is None:
            return
        credentials = Credentials(
            environment=environment,
            report_url=f"{self._report_base_url}/internal/reports/{launch.id}",
            report_secret=secret,
        )
        try:
            async for step in backend.start(launch.launch_plan(), credentials):
                await self.submitted(launch, dict(step.handle), step.message)
        except SubmitError as error:
            log.warning("Launch %s was not started: %s", launch.id, error)
            refused_in = {*_NOT_STARTED, LaunchState.SUBMITTED}
            await self.end_unstarted(
                launch.id, EndReason.START_FAILED, str(error), only_from=refused_in, nothing_runs=True
            )
        except BackendUnavailableError as error:
            # It may run or not: the reconciler looks for it by its launch id.
            log.warning("Launch %s: it is not known whether it was started: %s", launch.id, error)
            await self.note(launch, "starting", "The place does not answer; looking again.")
        except Exception:
            log.exception("Launch %s: fault while starting", launch.id)
            await self.note(launch, "starting", "A fault happened while starting; looking again.")
        await self._stop_if_wanted(launch.id)

    async def submitted(self, launch: Launch, handle: dict[str, Any], message: str) -> None:
        """Save a backend's handle; also for a session found again after a crash."""
        now = utcnow()
        walltime = launch.launch_plan().walltime

        def save(session: Session) -> Launch | None:
            moved = store.move(
                session,
                launch.id,
                LaunchState.SUBMITTED,
                handle=handle,
                submitted_at=now,
                deadline=now + walltime,
            )
            if moved is not None:
                store.add_event(session, launch.id, "starting", message, now)
                return moved
            return store.change(session, launch.id, only_in=MAY_RUN, handle=handle)

        saved = await self._db.run(save)
        if saved is not None:
            self.tell(saved)
            if saved.url is not None:
                # After a crash the session's report of its port may come before its handle is found.
                self.watch_answer(saved)

    async def _stop_if_wanted(self, launch_id: LaunchId) -> None:
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        if launch is not None and launch.is_live and launch.target is Target.STOP:
            self.stop(launch)

    # --- answer -----------------------------------------------------------------------------

    async def reported(self, launch: Launch, port: int) -> None:
        """Follow up a session's report of its port: look whether it answers, then it runs."""
        status = await self._status(launch)
        url = f"http://{status.host or '127.0.0.1'}:{port}"
        saved = await self._db.run(lambda s: store.change(s, launch.id, only_in=MAY_RUN, url=url))
        if saved is not None:
            self.watch_answer(saved)

    async def _status(self, launch: Launch) -> Status:
        backend = self.backends.get(launch.place or "")
        if launch.handle is None or backend is None:
            return Status(State.UNKNOWN)
        answers = await backend.status({launch.id: launch.handle})
        return answers.get(launch.id, Status(State.UNKNOWN))

    async def may_run(self, launch: Launch) -> bool:
        """Whether a session runs as far as its backend can tell: not known to be gone."""
        return launch.state is LaunchState.RUNNING and (await self._status(launch)).state is not State.GONE

    def watch_answer(self, launch: Launch) -> None:
        """Wait in the background until a submitted launch answers; for one whose port is known."""
        task = asyncio.create_task(self.confirm_answer(launch), name=f"answer-{launch.id}")
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def confirm_answer(self, launch: Launch) -> None:
        """Move a submitted launch to running once its server answers."""
        delay = 0.02
        while True:
            current = await self._db.run(lambda s: store.get(s, launch.id))
            if current is None or current.state is not LaunchState.SUBMITTED or current.url is None:
                return
            if await self._answers(session_api_url(current)):
                break
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 1.0)
        now = utcnow()

        def running(session: Session) -> Launch | None:
            moved = store.move(session, launch.id, LaunchState.RUNNING, running_at=now)
            if moved is not None:
                store.add_event(session, launch.id, "running", "The session answers.", now)
            return moved

        moved = await self._db.run(running)
        if moved is not None:
            self.tell(moved)

    async def _probe(self, url: str) -> bool:
        try:
            reply = await self._http.fetch(url, raise_error=False, connect_timeout=2, request_timeout=5)
        except (OSError, HTTPClientError):  # the second: a time-out, or a connection cut off
            return False
        return reply.code == 200

    # --- time -------------------------------------------------------------------------------

    async def set_deadline(self, launch: Launch) -> None:
        """Tell the backend until when a launch may run; `repeat_deadlines` does so again if it fails."""
        backend = self.backends.get(launch.place or "")
        if backend is None or launch.deadline is None or launch.handle is None:
            return
        try:
            await backend.set_deadline(launch.id, launch.handle, launch.deadline)
        except BackendError as error:
            self._deadlines.add(launch.id)
            log.warning("Launch %s: deadline is stored but not set yet: %s", launch.id, error)

    async def repeat_deadlines(self) -> None:
        """Set again the deadlines that did not get through."""
        again, self._deadlines = self._deadlines, set()
        for launch_id in again:
            launch = await self._db.run(lambda s, key=launch_id: store.get(s, key))  # type: ignore[misc]
            if launch is not None and launch.is_live:
                await self.set_deadline(launch)

    # --- stop and finish --------------------------------------------------------------------

    def stop(self, launch: Launch) -> asyncio.Task[None]:
        """Stop a launch whose target is to stop; a second call joins the first."""
        running = self._stops.get(launch.id)
        if running is not None:
            return running
        task = asyncio.create_task(self._stop_or_log(launch.id), name=f"stop-{launch.id}")
        self._stops[launch.id] = task
        task.add_done_callback(lambda _: self._stops.pop(launch.id, None))
        return task

    async def _stop_or_log(self, launch_id: LaunchId) -> None:
        try:
            await self._stop(launch_id)
        except Exception:
            log.exception("Launch %s: fault while stopping; it is tried again", launch_id)

    async def _stop(self, launch_id: LaunchId) -> None:
        submit = self._submits.get(launch_id)
        if submit is not None and submit is not asyncio.current_task():
            # The submit is never cut off half-way: what it starts is what is stopped.
            await asyncio.wait({submit})
        launch = await self._db.run(
            lambda s: store.move(s, launch_id, LaunchState.ENDING) or store.get(s, launch_id)
        )
        if launch is None or not launch.is_live:
            return
        self.tell(launch)
        if launch.handle is None:
            if launch.report_hash is None:  # never handed to the backend, and now never will be
                await self.end_unstarted(launch.id, EndReason.CANCELLED, only_from=_NOT_STARTED)
            # Else it is not known what was started: the reconciler asks before it gives it up.
            return
        try:
            await self.backends[launch.place or ""].stop(launch.id, launch.handle)
        except BackendError as error:
            log.warning("Launch %s: stop is not confirmed, will be tried again: %s", launch.id, error)
            return
        await self.finish(launch)

    async def finish(self, launch: Launch) -> bool:
        """Settle a session that is gone. False while its backend cannot yet say what ran."""
        backend = self.backends[launch.place or ""]
        handle = launch.handle or {}
        usage = await backend.usage(launch.id, handle)
        if usage is None:
            return False
        tail = list(await backend.log_tail(launch.id, handle, lines=_LOG_LINES))
        now = utcnow()

        def settle(session: Session) -> Launch | None:
            # Read anew: a stop may have said why meanwhile.
            current = store.get(session, launch.id)
            if current is None or not current.is_live:
                return None
            reason = end_reason(current, usage)
            self._books.settle(session, current, usage, now)
            moved = store.move(
                session,
                launch.id,
                LaunchState.ENDED,
                ended_at=usage.ended_at,
                end_reason=reason,
                end_message=_message(reason, usage),
                usage=usage_json(usage),
                log_tail=tail or current.log_tail,
            )
            if moved is not None:
                store.add_event(session, launch.id, "ended", moved.end_message, now)
            return moved

        moved = await self._db.run(settle)
        if moved is not None:
            await backend.forget(launch.id, handle)
            self.tell(moved)
        return True

    async def end_unstarted(
        self,
        launch_id: LaunchId,
        reason: EndReason,
        message: str = "",
        *,
        only_from: Collection[LaunchState],
        submit: str | None = None,
        nothing_runs: bool = False,
    ) -> bool:
        """End a launch of which nothing ran, and release its hold; whether it was so.

        It is not ended if it has left ``only_from``; if it has a handle by now, unless its backend
        itself said that ``nothing_runs``; or if it was submitted anew since ``submit`` (the report's
        hash of the submit that came to nothing). Why somebody stopped it comes before ``reason``.
        """
        now = utcnow()

        def release(session: Session) -> Launch | None:
            launch = store.get(session, launch_id)
            if launch is None or (launch.handle is not None and not nothing_runs):
                return None
            if submit is not None and (launch.report_hash or "") != submit:
                return None
            why = EndReason(launch.end_reason) if launch.end_reason else reason
            text = f"{sentence(why)} {message}".strip()[:2000]
            moved = store.move(
                session,
                launch_id,
                LaunchState.ENDED,
                only_from=only_from,
                ended_at=now,
                end_reason=why,
                end_message=text,
            )
            if moved is not None:
                self._books.release(session, moved, now)
                store.add_event(session, launch_id, "ended", text, now)
            return moved

        moved = await self._db.run(release)
        if moved is not None:
            self.tell(moved)
        return moved is not None

    async def let_submit_again(self, launch: Launch) -> None:
        """Forget a submit that came to nothing, so that the next call of the hub makes another."""

        def clear(session: Session) -> Launch | None:
            current = store.get(session, launch.id)
            if current is None or current.handle is not None or current.report_hash != launch.report_hash:
                return None
            return store.change(session, launch.id, only_in={LaunchState.HELD}, report_hash=None)

        cleared = await self._db.run(clear)
        if cleared is not None:
            self.tell(cleared)

    async def aclose(self) -> None:
        """Let submits that are under way hand over, then close; sessions go on."""
        if self._submits:
            await asyncio.wait(set(self._submits.values()), timeout=10)
        for task in (*self._stops.values(), *self._probes):
            task.cancel()
        self._http.close()


def hash_secret(secret: str) -> str:
    """Digest under which a one-use secret is stored: it has 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def session_api_url(launch: Launch) -> str:
    """Address of the session's version endpoint, which answers without authentication."""
    assert launch.url is not None
    return f"{launch.url}/user/{launch.username}/{launch.server_name}/api"


def end_reason(launch: Launch, usage: Usage) -> EndReason:
    """Why a session ended: what was asked for comes before what the backend saw of it."""
    if launch.end_reason is not None:
        return EndReason(launch.end_reason)
    if launch.running_at is None and usage.cause is EndCause.EXITED:
        return EndReason.START_FAILED
    return _REASONS[usage.cause]


def _message(reason: EndReason, usage: Usage) -> str:
    text = sentence(reason)
    if reason in {EndReason.EXITED, EndReason.START_FAILED} and usage.exit_code is not None:
        text += f" Its exit code was {usage.exit_code}."
    return text


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as stored with the launch."""
    raw = asdict(usage)
    raw["started_at"] = usage.started_at.isoformat()
    raw["ended_at"] = usage.ended_at.isoformat()
    raw["cause"] = usage.cause.value
    return raw
