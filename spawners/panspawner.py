"""The spawner in the hub: it asks the engine, and translates.

Nothing is decided or kept here. The session table of the engine is the truth; this class finds
its launch there by (user, server name), so a hub that lost its own state finds its sessions
again. What the hub does with a spawner's exceptions decides what may raise: ``poll``,
``get_url``, ``stop`` and ``progress`` never do (an exception would make the hub drop a session
that runs); an engine that does not answer is *unknown*, and unknown goes on running.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import ClientError, ClientTimeout, ServerDisconnectedError
from jupyterhub import orm
from jupyterhub.httpclient import fetch
from jupyterhub.spawner import Spawner, SpawnException
from jupyterhub.utils import url_escape_path, url_path_join
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import HTTPError
from traitlets import Float, Unicode, default

_PLAN_DEADLINE_S = 0.8
"""Over a second, the hub's form would show a pending page without the reason of a refusal."""

_SLICE_S = 0.1

_RETRY_S = 0.5
_WAIT_S = 20.0
_CALL_TIMEOUT_S = 40.0
"""Longer than the engine waits for a session before it answers that it is not there yet, or not gone."""

_GONE_TIMEOUT_S = 1
"""How long a hub that restarts looks for a session that the engine says is over."""

_SHARED_STATUS_S = 1.0
"""All spawners of the hub share one status answer this long."""


class EngineUnavailableError(Exception):
    """The engine did not answer: nothing is known."""


class LaunchRefusedError(SpawnException):  # type: ignore[misc, unused-ignore]
    """A refusal of the engine, as the hub's pages and REST API show it."""

    def __init__(self, problem: dict[str, Any]) -> None:
        text = " ".join(part for part in (problem.get("detail", ""), problem.get("hint", "")) if part)
        super().__init__(text, reason="not_entitled", status_code=int(problem.get("status", 400)))
        self.jupyterhub_message = text
        self.code = str(problem.get("code", "refused"))
        self.headers = {"X-PanHub-Code": self.code}

    def __str__(self) -> str:
        return str(self.jupyterhub_message)


class Engine:
    """The engine's internal interface, shared by all spawners of one hub."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._sessions: dict[str, Any] = {}
        self._sessions_at = 0.0
        self._asking: asyncio.Task[dict[str, Any]] | None = None

    async def call(self, method: str, path: str, body: object = None, *, timeout_s: float) -> dict[str, Any]:
        """One call; a refusal raises `LaunchRefusedError`, no answer `EngineUnavailableError`."""
        try:
            status, kind, text = await self._send(method, path, body, timeout_s)
        except (OSError, ClientError) as error:  # time-outs are of the first kind
            raise EngineUnavailableError(str(error) or type(error).__name__) from error
        if status >= 500 and "problem+json" not in kind:
            raise EngineUnavailableError(f"status {status}")
        try:
            answer = json.loads(text or b"{}")
        except ValueError as error:
            raise EngineUnavailableError("not JSON") from error
        if status >= 400:
            if answer.get("code", "").startswith("http_5"):
                raise EngineUnavailableError(answer["code"])
            raise LaunchRefusedError(answer)
        assert isinstance(answer, dict)
        return answer

    async def _send(self, method: str, path: str, body: object, timeout_s: float) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer.

        An engine that was restarted has closed the connection that the client kept for the next
        call. Every call may be made twice, so another is tried.
        """
        for is_last in (False, True):
            try:
                reply = await fetch(
                    f"{self._url}/internal/{path}",
                    method=method,
                    headers=self._headers,
                    data=None if body is None else json.dumps(body),
                    timeout=ClientTimeout(total=timeout_s),
                    raise_for_status=False,
                )
                return reply.status, reply.content_type, await reply.read()
            except (ServerDisconnectedError, ConnectionResetError):
                if is_last:
                    raise
        raise AssertionError("unreachable")

    async def session(self, key: str) -> dict[str, Any] | None:
        """The live launch of ``username/server_name``; one query a second serves all who ask.

        Raises
        ------
        EngineUnavailableError
            If the engine does not answer.
        """
        if time.monotonic() - self._sessions_at > _SHARED_STATUS_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self.call("GET", "sessions", timeout_s=5))
            asking = self._asking
            answer = await asyncio.shield(asking)
            if asking is not self._asking:  # something has started or ended since this was asked
                return await self.session(key)
            if "sessions" not in answer:
                raise EngineUnavailableError("not an answer of the engine")
            self._sessions, self._sessions_at = answer["sessions"], time.monotonic()
        found: dict[str, Any] | None = self._sessions.get(key)
        return found

    def forget(self) -> None:
        """Make the next question a fresh one."""
        self._sessions_at = 0.0
        self._asking = None


async def _answers(url: str) -> bool:
    """Whether a session's server answers at this address."""
    timeout = ClientTimeout(total=5, connect=2)
    try:
        reply = await fetch(url, raise_for_status=False, allow_redirects=False, timeout=timeout)
        reply.release()
    except (OSError, ClientError):
        return False
    return bool(reply.status < 500)


class PanSpawner(Spawner):  # type: ignore[misc, unused-ignore]
    """Starts sessions by the engine's launch path."""

    engine_url = Unicode(
        "http://127.0.0.1:8002",
        help="""Base URL of the engine's service, on its own port.

        The hub reaches it directly, not through the proxy.
        """,
    ).tag(config=True)

    engine_secret_file = Unicode(
        "",
        help="""File with the secret by which the hub proves itself to the engine.

        Only the hub's and the engine's account may read it. Required.
        """,
    ).tag(config=True)

    hand_over_timeout = Float(
        60.0,
        help="""Seconds for which a start goes on asking an engine that does not answer.

        After that the start fails; what the engine knows of it, it ends itself.
        """,
    ).tag(config=True)

    _engines: ClassVar[dict[tuple[str, str], Engine]] = {}

    launch_id = ""
    _adopts = False

    @property
    def engine(self) -> Engine:
        """The engine's client, one for all spawners with the same settings."""
        key = (self.engine_url, self.engine_secret_file)
        if key not in self._engines:
            secret = Path(self.engine_secret_file).read_text(encoding="utf-8").strip()
            self._engines[key] = Engine(self.engine_url, secret)
        return self._engines[key]

    @property
    def _key(self) -> str:
        return f"{self.user.name}/{self.name}"

    # --- what the hub asks before a start -----------------------------------------------------

    async def _run_apply_user_options(self, user_options: object) -> None:
        """Let the engine plan this start. Called by the hub for every way in.

        The trait ``apply_user_options`` is not used: its wrapper logs each refusal with a traceback.
        """
        body = {"username": self.user.name, "server_name": self.name, "options": user_options}
        try:
            call = self.engine.call("POST", "plans", body, timeout_s=_CALL_TIMEOUT_S)
            answer = await _within(call, _PLAN_DEADLINE_S)
        except EngineUnavailableError as error:
            self.log.warning("The engine did not plan %s: %s", self._log_name, error)
            raise LaunchRefusedError(_engine_down()) from None
        self.launch_id = answer["launch_id"]

    def options_from_query(self, query_data: dict[str, Any]) -> dict[str, Any]:
        """Refuse: a link may pre-fill our own form, but a GET never starts a session."""
        raise HTTPError(400, "A link does not start a session; open the page New session.")

    @default("options_form")
    def _default_options_form(self) -> str:
        # Never empty, or a GET of the hub's own form would start a session.
        return '<p><a href="/services/panhub/new">New session</a></p>'

    @default("options_from_form")
    def _default_options_from_form(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        # The hub's own form has no fields: its POST asks for the default session.
        return lambda _form: {}

    async def rename(self, old_name: str, new_name: str) -> None:
        """Refuse: the engine knows a session by its name."""
        raise HTTPError(400, "A session cannot be renamed; give it another display name.")

    # --- start --------------------------------------------------------------------------------

    async def start(self) -> str:
        """Ask the engine to start, and wait until the session answers."""
        self.engine.forget()
        environment = {key: str(value) for key, value in self.get_env().items()}
        path = f"launches/{self.launch_id}/start?wait={_WAIT_S:g}"
        while True:
            # Asked again, the engine goes on with what it began; restarted before it submitted, it
            # needs the environment again.
            answer = await self._insist("POST", path, {"environment": environment})
            if answer["state"] == "running":
                return str(answer["url"])
            if answer["problem"] is not None:
                raise LaunchRefusedError(answer["problem"])

    async def _insist(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call until the engine answers, for ``hand_over_timeout`` seconds of silence."""
        give_up = time.monotonic() + self.hand_over_timeout
        while True:
            try:
                return await self.engine.call(method, path, body, timeout_s=_CALL_TIMEOUT_S)
            except EngineUnavailableError as error:
                if time.monotonic() > give_up:
                    self.log.warning("The engine does not answer for %s: %s", self._log_name, error)
                    raise LaunchRefusedError(_engine_down()) from None
                await asyncio.sleep(_RETRY_S)

    # --- what never raises --------------------------------------------------------------------

    async def poll(self) -> int | None:
        """None while the session may run, 0 once the engine says it is over."""
        if self._start_pending and self.launch_id == "":
            return 0  # the engine refused it, or never saw it: there is nothing to stop
        try:
            found = await self.engine.session(self._key)
        except (EngineUnavailableError, LaunchRefusedError, OSError) as error:
            self.log.warning("The engine does not say how %s is: %s", self._log_name, error)
            return None
        # A hub that restarts need not wait for what it never came to start.
        nobodys = {"requested", "planned"} if self._check_pending else {"requested"}
        if self._start_pending or (found is not None and found["state"] not in nobodys):
            return None
        self._drop_tokens()
        return 0

    async def get_url(self) -> str:
        """Address of the session, once it answers. Called by a hub that restarts.

        It waits as long as the session is being started, or runs without an answer (a hub that gets
        none ends a session), and ends when the session does.
        """
        self._adopts = True
        while True:
            try:
                found = await self.engine.session(self._key)
            except (EngineUnavailableError, LaunchRefusedError, OSError) as error:
                self.log.warning("The engine does not say where %s is: %s", self._log_name, error)
                found = {"state": "unknown"}
            if found is None or self._stop_pending:
                # Nothing will answer: let the hub find that out soon.
                self.http_timeout = _GONE_TIMEOUT_S
                return str(self.server.url) if self.server else "http://127.0.0.1:1"
            if found["state"] == "running" and await self._answers(found["url"]):
                self.launch_id = found["launch_id"]
                return str(found["url"])
            await asyncio.sleep(_RETRY_S)

    async def _answers(self, url: str) -> bool:
        """Whether the hub will find the session at this address, looking where it looks itself."""
        return await _answers(f"{url}{self._base_path}api")

    @property
    def _base_path(self) -> str:
        return str(url_path_join(self.user.base_url, url_escape_path(self.name), "/"))

    async def stop(self, now: bool = False) -> None:
        """Ask the engine to end the session; it decides whether that is meant."""
        body = {"username": self.user.name, "server_name": self.name, "cause": self._stop_cause()}
        try:
            await self._insist("POST", "stops", body)
        except (LaunchRefusedError, OSError) as error:
            # An engine that comes back later asks the hub which sessions it let go of meanwhile.
            self.log.warning("The engine did not confirm the stop of %s: %s", self._log_name, error)
        self.engine.forget()
        self._drop_tokens()

    def _stop_cause(self) -> str:
        """Why the hub wants the end, as far as it can be told.

        After its restart it ends what it cannot reach; its own flags are reset by then, but the
        version of the session's server is known only once it has answered.
        """
        if self._waiting_for_response:
            return "no_answer"
        return "unreachable" if self._adopts and self._jupyterhub_version is None else "asked"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Lines of progress from the engine; plain text only."""
        seen, percent = 0, 5
        while True:
            try:
                answer = await self.engine.call(
                    "GET", f"launches/{self.launch_id}/events?after={seen}", timeout_s=5
                )
            except (EngineUnavailableError, LaunchRefusedError, OSError):
                answer = {"events": []}
            for event in answer["events"]:
                seen, percent = event["seq"], min(percent + 15, 90)
                yield {"progress": percent, "message": event["message"]}
            await asyncio.sleep(_RETRY_S)

    # --- state --------------------------------------------------------------------------------

    def get_state(self) -> dict[str, Any]:
        """What helps after a restart; the engine has the rest."""
        state: dict[str, Any] = super().get_state()
        if self.launch_id:
            state["launch_id"] = self.launch_id
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` gave."""
        super().load_state(state)
        self.launch_id = str(state.get("launch_id", ""))

    def clear_state(self) -> None:
        """Forget the launch: the next start is another one."""
        super().clear_state()
        self.launch_id = ""
        self._adopts = False

    async def delete_forever(self) -> None:
        """Leave no token of a server that the hub removes from its list."""
        self._drop_tokens()

    def _drop_tokens(self) -> None:
        """Delete the ended session's token.

        The hub keeps it in memory only: after a restart it no longer knows which it was, however
        early it was killed. The note that it gives a session's token when it makes it names the server.
        """
        db = self.user.db
        note = f"Server at {self._base_path}"
        try:
            for token in db.query(orm.APIToken).filter_by(user_id=self.user.orm_user.id, note=note):
                db.delete(token)
            db.commit()
        except SQLAlchemyError:
            self.log.exception("A token of %s could not be deleted", self._log_name)
            db.rollback()


async def _within(call: Coroutine[Any, Any, dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Answer of a call to the engine that comes in time.

    A hub whose own loop stands still (its commits wait for the disk) has not read an answer that is
    there: of such a pause, only one slice counts.

    Raises
    ------
    EngineUnavailableError
        If there is none in time.
    """
    asking = asyncio.create_task(call)
    try:
        for _ in range(round(seconds / _SLICE_S)):
            done, _pending = await asyncio.wait({asking}, timeout=_SLICE_S)
            if done:
                return asking.result()
    finally:
        asking.cancel()
    raise EngineUnavailableError(f"no answer within {seconds:g} s")


def _engine_down() -> dict[str, Any]:
    return {
        "code": "engine_unavailable",
        "status": 503,
        "detail": "The service that starts sessions does not answer; nothing was started.",
        "hint": "Try again in a minute. Sessions that run are not affected.",
    }
