"""The launch path: every way in meets here.

``dry_run`` and ``register`` serve our pages and API, ``claim`` and ``start`` the hub (and with it
plain hub REST). All of them go through `Planner.prepare`; there is no second way. Refusals are
`RequestError`; they are kept with the launch, so that every page can show them.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.identity.models import Person
from hub.launch import refusals, store
from hub.launch.claim import Claiming
from hub.launch.extend import Extending
from hub.launch.feed import Feed, wait_for_news
from hub.launch.handover import HandOver
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.news import utcnow
from hub.launch.planner import Planner
from hub.launch.refusing import Refusing
from hub.launch.register import Registering
from hub.launch.runner import Runner
from hub.launch.states import BEFORE_HOLD, MAY_RUN, EndReason, LaunchState, Target
from hub.launch.store import Launch
from hub.launch.submitting import hash_secret
from hub.launch.summary import Summary
from hub.problems import Problem


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
        self._runner = runner
        self._feed = feed
        self._hand_over = hand_over
        self.extend_step = extend_step
        refusing = Refusing(db=db, books=books, runner=runner)
        self._registering = Registering(
            db=db, planner=planner, refusing=refusing, runner=runner, hand_over=hand_over
        )
        self._claiming = Claiming(db=db, planner=planner, books=books, refusing=refusing, runner=runner)
        self._extending = Extending(db=db, planner=planner, books=books, runner=runner)

    # --- ways in: pages and API ---------------------------------------------------------------

    async def dry_run(self, person: Person, request: LaunchRequest) -> Summary:
        """What would start, by the same code that starts it.

        Raises
        ------
        RequestError
            Exactly as the start would.
        """
        return await self._registering.dry_run(person, request)

    async def summarise(
        self, person: Person, request: LaunchRequest
    ) -> tuple[Summary | None, Problem | None]:
        """`dry_run` for a page: the summary even where quota refuses, and the refusal."""
        return await self._registering.summarise(person, request)

    async def register(
        self, person: Person, request: LaunchRequest, *, origin: str, idempotency_key: str | None = None
    ) -> tuple[Launch, bool]:
        """Plan a launch and ask the hub to start it. The second value: whether it is new.

        Raises
        ------
        RequestError
            If it is refused, or the key was used with another request (422).
        """
        return await self._registering.register(
            person, request, origin=origin, idempotency_key=idempotency_key
        )

    # --- ways in: the hub ---------------------------------------------------------------------

    async def claim(self, person: Person | None, server_name: str, options: object) -> Launch:
        """Plan what the hub is about to start; whatever way it came there."""
        return await self._claiming.claim(person, server_name, options)

    async def start(self, launch_id: str, environment: Mapping[str, str]) -> Launch:
        """Hold quota and submit. A repeated call goes on with what the first began."""
        return await self._claiming.start(launch_id, environment)

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
            401 for a wrong secret (or launch), 409 for a second report, 503 while it is not known where
            the session runs (it reports again).
        """
        launch = await self._db.run(lambda s: store.get(s, launch_id))
        expected = launch.report_hash if launch is not None else None
        if expected is None or not hmac.compare_digest(expected, hash_secret(secret)):
            raise refusals.wrong_report_secret()
        assert launch is not None
        if launch.url is not None or launch.state not in MAY_RUN:
            raise refusals.already_reported()
        if launch.handle is None:
            # A submit that a crash cut off: the reconciler finds the session, and with it its address.
            raise refusals.backend_unavailable(launch.place or "")
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
        """Let a running session go on longer, within its profile's limit and the quota."""
        return await self._extending.extend(person, launch, seconds, key=key)
