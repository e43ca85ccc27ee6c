"""The launch path: every way in meets here.

``dry_run`` and ``register`` serve our pages and API, ``claim`` and ``start`` the hub (and with it
plain hub REST). All of them go through `Planner.prepare`; there is no second way. Refusals are
`RequestError`; they are kept with the launch, so that every page can show them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.feed import Feed, wait_for_news
from hub.launch.handover import HandOver
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.planner import Planner, Prepared
from hub.launch.runner import Runner, hash_secret, sentence, utcnow
from hub.launch.states import BEFORE_HOLD, MAY_RUN, EndReason, LaunchState, Target
from hub.launch.store import Launch
from hub.launch.summary import Summary
from hub.problems import Problem, RequestError
from spawners.plan import LaunchId

log = logging.getLogger(__name__)


class LaunchService:
    """What pages, API and hub ask of the launch path."""

    def __init__(
        self,
        *,
        db: Database,
        planner: Planner,
        books: Books,
        runner: Runner,
        feed: Feed,
        hand_over: HandOver,
        extend_step: timedelta,
    ) -> None:
        self._db = db
        self._planner = planner
        self._books = books
        self._runner = runner
        self._feed = feed
        self._hand_over = hand_over
        self.extend_step = extend_step

    # --- ways in: pages and API ---------------------------------------------------------------

    async def dry_run(self, person: Person, request: LaunchRequest) -> Summary:
        """What would start, by the same code that starts it.

        Raises
        ------
        RequestError
            Exactly as the start would.
        """
        launch_id = new_launch_id()
        prepared = await self._planner.prepare(person, request, launch_id=launch_id, server_name="preview")
        await self._refuse_over_quota(person, prepared)
        return prepared.summary

    async def summarise(
        self, person: Person, request: LaunchRequest
    ) -> tuple[Summary | None, Problem | None]:
        """`dry_run` for a page: the summary even where quota refuses, and the refusal."""
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=new_launch_id(), server_name="preview"
            )
        except RequestError as error:
            return None, error.problem
        try:
            await self._refuse_over_quota(person, prepared)
        except RequestError as error:
            return prepared.summary, error.problem
        return prepared.summary, None

    async def register(
        self, person: Person, request: LaunchRequest, *, origin: str, idempotency_key: str | None = None
    ) -> tuple[Launch, bool]:
        """Plan a launch and ask the hub to start it. The second value: whether it is new.

        Raises
        ------
        RequestError
            If it is refused, or the key was used with another request (422).
        """
        body = request.model_dump(mode="json")
        digest = _digest(body)
        if idempotency_key is not None:
            known = await self._db.run(lambda s: store.by_idempotency_key(s, person.id, idempotency_key))
            if known is not None:
                return _same_or_refuse(known, digest), False
        launch_id = new_launch_id()
        server_name = f"s-{launch_id[:12]}"
        columns: dict[str, Any] = {
            **_common_columns(person, launch_id, server_name, request, origin),
            "idempotency_key": idempotency_key,
            "idempotency_hash": digest if idempotency_key else None,
        }
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=launch_id, server_name=server_name
            )
            await self._refuse_over_quota(person, prepared)
        except RequestError as error:
            return await self._refuse_new(person, columns, error.problem), False
        columns |= {
            "summary": prepared.summary.model_dump(mode="json"),
            "proposal": prepared.proposal,
            "place": prepared.plan.place,
            "display_name": request.display_name or prepared.display_name,
        }

        def add(session: Session) -> Launch:
            launch = store.insert(session, **columns, state=LaunchState.REQUESTED)
            store.add_event(session, launch_id, "checked", "Access and quota checked.", launch.created_at)
            return launch

        try:
            launch = await self._db.run(add)
        except IntegrityError:
            # The same key came twice at once: the other one won.
            known = await self._db.run(
                lambda s: store.by_idempotency_key(s, person.id, idempotency_key or "")
            )
            if known is None:
                raise
            return _same_or_refuse(known, digest), False
        self._runner.tell(launch)
        self._hand_over.begin(launch)
        return launch, True

    # --- ways in: the hub ---------------------------------------------------------------------

    async def claim(self, person: Person | None, server_name: str, options: object) -> Launch:
        """Plan what the hub is about to start; whatever way it came there.

        Called from the spawner's ``apply_user_options``, so a refusal here is the 4xx of the
        hub's own REST API too.
        """
        if person is None or person.is_blocked:
            raise refusals.login_required()
        refusals.check_server_name(server_name)
        try:
            request = parse_request(options)
        except RequestError as error:
            # Kept without what was asked for: it may be anything.
            columns = _common_columns(person, new_launch_id(), server_name, LaunchRequest(), "hub")
            await self._refuse(None, columns, error.problem)
            raise
        launch = await self._claimable(person, server_name, request)
        launch_id = launch.id if launch is not None else new_launch_id()
        columns = _common_columns(person, launch_id, server_name, request, "hub")
        try:
            prepared = await self._planner.prepare(
                person, request, launch_id=launch_id, server_name=server_name
            )
            await self._refuse_over_quota(person, prepared)
        except RequestError as error:
            await self._refuse(launch, columns, error.problem)
            raise
        planned: dict[str, Any] = {
            "plan": prepared.plan.to_json(),
            "holds": prepared.holds_json(),
            "summary": prepared.summary.model_dump(mode="json"),
            "proposal": prepared.proposal,
            "place": prepared.plan.place,
            "planned_at": utcnow(),
        }
        return await self._save_plan(launch, columns, planned, request.display_name or prepared.display_name)

    async def _save_plan(
        self, launch: Launch | None, columns: dict[str, Any], planned: dict[str, Any], display_name: str
    ) -> Launch:
        def save(session: Session) -> Launch | None:
            if launch is not None:
                moved = store.move(session, launch.id, LaunchState.PLANNED, **planned)
                # The hub asks for the same start once more: the newer plan takes the older's place.
                return moved or store.change(session, launch.id, only_in={LaunchState.PLANNED}, **planned)
            row = {**columns, **planned, "display_name": display_name}
            return store.insert(session, **row, state=LaunchState.PLANNED)

        try:
            saved = await self._db.run(save)
        except IntegrityError as error:
            raise refusals.session_exists(columns["server_name"]) from error
        if saved is None:
            raise refusals.launch_over()
        self._runner.tell(saved)
        return saved

    async def _claimable(self, person: Person, server_name: str, request: LaunchRequest) -> Launch | None:
        """The registered launch that the hub came for, or None for a start by plain hub REST."""
        known = await self._db.run(
            lambda s: (
                store.live_by_server(s, person.username, server_name)
                or store.latest_by_server(s, person.username, server_name)
            )
        )
        if known is None:
            return None
        if not known.is_live:
            if known.origin != "hub" and known.planned_at is None:
                # Cancelled while the hub was on its way here to start it: it must not start after all.
                raise refusals.launch_over()
            return None
        is_same = known.request == request.model_dump(mode="json")
        if known.state in BEFORE_HOLD and is_same:
            return known
        if known.state is LaunchState.PLANNED:
            # The hub gave up between plan and start, without telling; nothing was held or ran.
            ended = await self._runner.end_unstarted(
                known.id, EndReason.NOT_HANDED_OVER, only_from={LaunchState.PLANNED}
            )
            if ended:
                return None
        raise refusals.session_exists(server_name)

    async def start(self, launch_id: str, environment: Mapping[str, str]) -> Launch:
        """Hold quota and submit. A repeated call goes on with what the first began."""
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        if launch is None:
            raise refusals.launch_unknown()
        if launch.state is LaunchState.PLANNED:
            launch = await self._hold(launch)
        if launch.state is LaunchState.HELD and launch.handle is None and launch.target is Target.RUN:
            if launch.report_hash is None:
                self._runner.submit(launch, environment)
            # With a report hash a submit was begun by a service that died: the reconciler asks the
            # backend whether it took place before anything is started again.
        elif not launch.is_live:
            raise RequestError(ended_problem(launch))
        return launch

    async def _hold(self, launch: Launch) -> Launch:
        now = utcnow()

        def hold(session: Session) -> Launch | None:
            moved = store.move(session, launch.id, LaunchState.HELD, held_at=now)
            if moved is not None:
                self._books.hold(session, moved, now)
                store.add_event(session, launch.id, "held", "Quota held.", now)
            return moved

        try:
            held = await self._db.run(hold)
        except RequestError as error:
            await self._refuse(launch, {}, error.problem)
            raise
        current = held or await self._db.run(lambda s: store.get(s, launch.id))
        assert current is not None, "a launch is never deleted"
        self._runner.tell(current)
        return current

    async def wait(self, launch_id: str, timeout_s: float) -> Launch:
        """The launch once it runs or is over, or has to be started again by the hub.

        The last after a crash of the service: the session's environment was in its memory alone.
        After ``timeout_s`` seconds the launch as it is.
        """

        def is_enough(launch: Launch) -> bool:
            lacks_start = (
                launch.state is LaunchState.HELD
                and launch.target is Target.RUN
                and launch.report_hash is None
                and not self._runner.is_submitting(launch.id)
            )
            return launch.state is LaunchState.RUNNING or not launch.is_live or lacks_start

        return await self._wait_until(launch_id, timeout_s, is_enough)

    async def wait_for_end(self, launch_id: str, timeout_s: float) -> Launch:
        """The launch once it is over, or as it is after ``timeout_s`` seconds."""
        return await self._wait_until(launch_id, timeout_s, lambda x: not x.is_live)

    async def _wait_until(
        self, launch_id: str, timeout_s: float, is_enough: Callable[[Launch], bool]
    ) -> Launch:
        deadline = utcnow() + timedelta(seconds=timeout_s)
        with self._feed.listen(launch_id) as news:
            while True:
                launch = await self._db.run(lambda s: store.get(s, launch_id))
                if launch is None:
                    raise refusals.launch_unknown()
                if is_enough(launch):
                    return launch
                left = (deadline - utcnow()).total_seconds()
                if left <= 0 or not await wait_for_news(news, left):
                    return launch

    async def report(self, launch_id: str, secret: str, port: int) -> None:
        """Take the one report of a session's port.

        Raises
        ------
        RequestError
            401 for a wrong secret (or launch), 409 for a second report.
        """
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        expected = launch.report_hash if launch is not None else None
        if expected is None or not hmac.compare_digest(expected, hash_secret(secret)):
            raise refusals.wrong_report_secret()
        assert launch is not None
        if launch.url is not None or launch.state not in MAY_RUN:
            raise refusals.already_reported()
        await self._runner.reported(launch, port)

    # --- while it lives -----------------------------------------------------------------------

    async def stop(self, launch: Launch, *, reason: EndReason, by: str | None) -> Launch:
        """Ask for the end of a launch; returns at once, the end follows."""
        ended = await self._runner.end_unstarted(launch.id, EndReason.CANCELLED, only_from=BEFORE_HOLD)
        if not ended:
            if launch.running_at is None and reason is EndReason.STOPPED_BY_USER:
                reason = EndReason.CANCELLED

            def want(session: Session) -> Launch | None:
                current = store.get(session, launch.id)
                if current is None or current.target is Target.STOP:
                    return current
                return store.change(session, launch.id, target=Target.STOP, stop_by=by, end_reason=reason)

            wanted = await self._db.run(want)
            if wanted is not None and wanted.is_live:
                self._runner.tell(wanted)
                self._runner.stop(wanted)
        current = await self._db.run(lambda s: store.get(s, launch.id))
        assert current is not None, "a launch is never deleted"
        self._hand_over.abandon(current)
        return current

    async def extend(self, person: Person, launch: Launch, seconds: int, *, key: str | None) -> Launch:
        """Let a running session go on longer, within its profile's limit and the quota.

        Access is decided anew: who lost it cannot extend.
        """
        if launch.state is not LaunchState.RUNNING or launch.deadline is None:
            raise refusals.not_running()
        request = LaunchRequest.model_validate(launch.request)
        prepared = await self._planner.prepare(
            person, request, launch_id=launch.id, server_name=launch.server_name
        )
        now = utcnow()

        def hold(session: Session) -> Launch | None:
            current = store.get(session, launch.id)
            if current is None or current.state is not LaunchState.RUNNING:
                raise refusals.not_running()
            if not self._books.extend(session, current, seconds, key or secrets.token_hex(8), now):
                return current
            assert current.deadline is not None
            assert current.plan is not None
            walltime = current.launch_plan().walltime + timedelta(seconds=seconds)
            if walltime > prepared.walltime_max:
                raise refusals.walltime_exceeded(walltime, prepared.walltime_max)
            new_plan = {**current.plan, "walltime": int(walltime.total_seconds())}
            changed = store.change(
                session,
                launch.id,
                only_in={LaunchState.RUNNING},
                deadline=current.deadline + timedelta(seconds=seconds),
                plan=new_plan,
            )
            if changed is None:
                raise refusals.not_running()
            store.add_event(session, launch.id, "extended", f"Extended by {_minutes(seconds)}.", now)
            return changed

        extended = await self._db.run(hold)
        assert extended is not None
        assert extended.deadline is not None
        await self._runner.set_deadline(extended)
        self._runner.tell(extended)
        return extended

    # --- small helpers ------------------------------------------------------------------------

    async def _refuse_over_quota(self, person: Person, prepared: Prepared) -> None:
        now = utcnow()
        await self._db.run(lambda s: self._books.check(s, prepared.holds, person, now))

    async def _refuse_new(self, person: Person, columns: dict[str, Any], problem: Problem) -> Launch:
        """Keep the refusal of a launch that our pages or API asked for, and raise it."""
        try:
            await self._refuse(None, columns, problem)
        except IntegrityError:
            # The same key came twice at once: the other one's answer is the answer.
            key, digest = columns["idempotency_key"], columns["idempotency_hash"]
            known = await self._db.run(lambda s: store.by_idempotency_key(s, person.id, key or ""))
            if known is not None:
                return _same_or_refuse(known, digest)
        raise RequestError(problem)

    async def _refuse(self, launch: Launch | None, columns: dict[str, Any], problem: Problem) -> None:
        def refuse(session: Session) -> Launch | None:
            if launch is None:
                return _insert_refused(session, columns, problem)
            moved = store.move(
                session, launch.id, LaunchState.REFUSED, problem=problem.to_json(), ended_at=utcnow()
            )
            if moved is not None:
                store.add_event(session, launch.id, "refused", problem.detail, utcnow())
            return moved

        refused = await self._db.run(refuse)
        if refused is not None:
            self._runner.tell(refused)


def new_launch_id() -> LaunchId:
    """A fresh launch id: 64 random bits in 16 hexadecimal digits."""
    return LaunchId(secrets.token_hex(8))


def parse_request(options: object) -> LaunchRequest:
    """Validate what came from the network as a launch request.

    Raises
    ------
    RequestError
        ``invalid_request`` with the keys and causes, bounded in length, never echoing values.
    """
    try:
        return LaunchRequest.model_validate(options if options is not None else {})
    except ValidationError as error:
        raise refusals.invalid_request(error) from error


def ended_problem(launch: Launch) -> Problem:
    """Why a launch that is over does not run."""
    if launch.problem is not None:
        return Problem.from_json(launch.problem)
    reason = EndReason(launch.end_reason) if launch.end_reason else EndReason.START_FAILED
    return Problem(
        code=f"launch_{reason.value}",
        status=409 if reason is EndReason.CANCELLED else 500,
        title="The session did not start",
        detail=launch.end_message or sentence(reason),
        hint="Open your sessions to see its log, then start it again.",
    )


def _common_columns(
    person: Person, launch_id: str, server_name: str, request: LaunchRequest, origin: str
) -> dict[str, Any]:
    return {
        "id": launch_id,
        "person_id": person.id,
        "username": person.username,
        "server_name": server_name,
        "display_name": request.display_name or "",
        "origin": origin,
        "request": request.model_dump(mode="json"),
        "created_at": utcnow(),
    }


def _insert_refused(session: Session, columns: dict[str, Any], problem: Problem) -> Launch:
    now: datetime = columns["created_at"]
    launch = store.insert(
        session, **columns, state=LaunchState.REFUSED, problem=problem.to_json(), ended_at=now
    )
    store.add_event(session, launch.id, "refused", problem.detail, now)
    return launch


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _same_or_refuse(known: Launch, digest: str) -> Launch:
    if known.idempotency_hash != digest:
        raise refusals.idempotency_mismatch()
    if known.problem is not None:
        raise RequestError(Problem.from_json(known.problem))
    return known


def _minutes(seconds: int) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h"] if hours else []
    return " ".join([*parts, f"{minutes} min"] if minutes or not hours else parts)
