"""Compares the session table with what the backends say, and mends the difference.

It runs at start and every minute: it finds sessions whose handle a crash kept from the table,
releases holds of launches that nobody completes, repeats stops and removals that did not get
through, and ends what no row speaks for. *Unknown* changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from hub.database import Database
from hub.launch import store
from hub.launch.handover import HandOver
from hub.launch.ledgering import Books
from hub.launch.news import utcnow
from hub.launch.runner import Runner
from hub.launch.states import BEFORE_HOLD, LIVE, MAY_RUN, EndReason, LaunchState, Target
from hub.launch.steering import AT_BACKEND, logged, want_stop
from hub.launch.store import Launch
from spawners.backend import Backend, BackendError, Handle
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

_FIRST_PATIENCE_S = 5.0
"""A scheduler that is down does not keep the service from its start for longer."""

_WITHOUT_HANDLE = frozenset({LaunchState.HELD, LaunchState.ENDING})
"""States in which it may be unknown whether anything was started."""


class Reconciler:
    """Brings session table, backends, ledger and hub into agreement."""

    def __init__(
        self,
        *,
        db: Database,
        books: Books,
        runner: Runner,
        hand_over: HandOver,
        grace: timedelta,
    ) -> None:
        self._db = db
        self._books = books
        self._runner = runner
        self._hand_over = hand_over
        self._grace = grace
        self._to_ask_for: set[LaunchId] = set()
        self._not_ours: set[LaunchId] = set()
        self._comparing: dict[str, asyncio.Task[None]] = {}

    async def at_start(self) -> None:
        """What a service does before it serves: go on where the last one stopped."""
        # A stop that the hub asked for while no service ran is known to the hub alone.
        live = await self._db.run(lambda s: store.in_states(s, AT_BACKEND))
        self._to_ask_for = {launch.id for launch in live}
        await self.reconcile(patience_s=_FIRST_PATIENCE_S)
        live = await self._db.run(lambda s: store.in_states(s, AT_BACKEND))
        for launch in live:
            if launch.state is LaunchState.SUBMITTED and launch.url is not None:
                self._runner.watch_answer(launch)
        await self._runner.timing.set_all(live)

    async def reconcile(self, *, patience_s: float | None = None) -> None:
        """One round; a fault in one part does not keep the others from theirs.

        Places that have not answered after ``patience_s`` are compared in the background.
        """
        for place, backend in self._runner.backends.items():
            if place not in self._comparing:
                task = asyncio.create_task(self._compare_or_log(place, backend), name=f"compare-{place}")
                self._comparing[place] = task
                task.add_done_callback(lambda _, key=place: self._comparing.pop(key, None))  # type: ignore[misc]
        if self._comparing:
            await asyncio.wait(set(self._comparing.values()), timeout=patience_s)
        for part in (
            self._hand_over_again,
            self._repeat_stops,
            self._runner.timing.repeat,
            self._settle_leftovers,
            self._ask_hub,
            self._hand_over.sweep,
        ):
            async with logged(f"the reconciler ({part.__name__.strip('_')})"):
                await part()

    async def aclose(self) -> None:
        """Leave what is under way; the next life does it again."""
        for task in (tasks := set(self._comparing.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _compare_or_log(self, place: str, backend: Backend) -> None:
        async with logged(f"the comparison with place {place}"):
            await self._compare(place, backend)

    async def _compare(self, place: str, backend: Backend) -> None:
        # Read before the backend is asked: what is submitted meanwhile is not missing.
        without = await self._db.run(lambda s: store.in_states(s, {LaunchState.HELD, LaunchState.ENDING}))
        without = [x for x in without if x.handle is None and not self._runner.is_submitting(x.id)]
        try:
            found = dict(await backend.find())
        except BackendError as error:
            log.warning("Place %s does not say what runs there: %s", place, error)
            return
        rows = await self._db.run(lambda s: {key: store.get(s, key) for key in found})
        for launch_id, handle in list(found.items()):
            launch = rows[launch_id]
            if launch is None or is_foreign(launch, handle):
                self._leave_alone(place, launch_id)
                # What somebody else runs under a mark of ours says nothing of the launch itself.
                del found[launch_id]
            elif not launch.is_live:
                await self._end_orphan(place, launch_id, handle)
            elif launch.handle is None and not self._runner.is_submitting(launch_id):
                await self._runner.submitted(launch, dict(handle), "Found again after a restart.")
        missing = [x for x in without if x.place == place and x.id not in found]
        ended = await self._ended(place, backend, missing)
        for launch in missing if ended is not None else ():
            if was := (ended or {}).get(launch.id):
                await self._runner.submitted(launch, dict(was), "Found again after it had ended.")
            else:
                await self._not_found(launch)

    async def _ended(
        self, place: str, backend: Backend, missing: Sequence[Launch]
    ) -> Mapping[LaunchId, Handle] | None:
        """Of launches that may have been submitted, those that ran and ended meanwhile; None: unknown."""
        asked = {x.id: x.launch_plan().account.name for x in missing if x.report_hash is not None}
        if not asked:
            return {}
        try:
            return await backend.find_ended(asked)
        except BackendError as error:
            log.warning("Place %s does not say what has ended there: %s", place, error)
            return None

    def _leave_alone(self, place: str, launch_id: LaunchId) -> None:
        """What no row of ours can have started is somebody else's: another site's on the same cluster.

        Every row is written before its submit and none is ever deleted.
        """
        if launch_id not in self._not_ours:
            log.warning("Place %s has %s, which is not of this site: left alone", place, launch_id)
            self._not_ours.add(launch_id)

    async def _end_orphan(self, place: str, launch_id: LaunchId, handle: Handle) -> None:
        """End what runs although its launch is over."""
        log.warning("Place %s has %s, which no live session speaks for: ending it", place, launch_id)
        try:
            await self._runner.backends[place].stop(launch_id, handle)
            await self._runner.backends[place].forget(launch_id, handle)
        except BackendError as error:
            log.warning("Orphan %s is not ended yet: %s", launch_id, error)

    async def _not_found(self, launch: Launch) -> None:
        """A launch without a handle that its backend does not have: nothing was started."""
        submit = launch.report_hash or ""
        if launch.target is Target.STOP or launch.state is LaunchState.ENDING:
            await self._runner.end_unstarted(
                launch.id, EndReason.CANCELLED, only_from=_WITHOUT_HANDLE, submit=submit
            )
        elif launch.held_at is not None and utcnow() - launch.held_at > self._grace:
            await self._runner.end_unstarted(
                launch.id, EndReason.NOT_HANDED_OVER, only_from=_WITHOUT_HANDLE, submit=submit
            )
        elif submit:
            # The hub asks again with the session's environment; then it is submitted anew.
            await self._runner.let_submit_again(launch)

    async def _hand_over_again(self) -> None:
        """Go on with launches that the hub has not come for, and give up those it had time for."""
        for launch in await self._db.run(lambda s: store.in_states(s, BEFORE_HOLD)):
            if utcnow() - (launch.planned_at or launch.created_at) <= self._grace:
                if launch.state is LaunchState.REQUESTED:
                    self._hand_over.begin(launch)
            elif launch.state is LaunchState.REQUESTED:
                await self._hand_over.give_up(launch)
            else:
                await self._runner.end_unstarted(
                    launch.id, EndReason.NOT_HANDED_OVER, only_from={LaunchState.PLANNED}
                )

    async def _repeat_stops(self) -> None:
        for launch in await self._db.run(lambda s: store.in_states(s, MAY_RUN)):
            if launch.target is Target.STOP:
                self._runner.stop(launch)

    async def _ask_hub(self) -> None:
        """End sessions that the hub let go of while no service ran to be told: nobody can reach them."""
        live = await self._db.run(lambda s: store.in_states(s, AT_BACKEND))
        for launch in live:
            if launch.id not in self._to_ask_for:
                continue
            is_known = await self._hand_over.is_known(launch)
            if is_known is None:
                continue  # the hub does not answer, or knows nobody of that name: no reason to end anything
            self._to_ask_for.discard(launch.id)
            if not is_known:
                log.warning("The hub has let go of %s: ending it", launch.id)
                await want_stop(self._db, self._runner, launch, EndReason.STOPPED_BY_USER)
        self._to_ask_for &= {launch.id for launch in live}

    async def _settle_leftovers(self) -> None:
        """Close holds of launches that are over: a crash between two transactions left them."""

        def leftovers(session: Session) -> None:
            for launch_id in self._books.open_launches(session):
                launch = store.get(session, launch_id)
                if launch is None or launch.state not in LIVE:
                    log.warning("Hold of %s was left open; releasing it", launch_id)
                    self._books.release_id(session, launch_id, utcnow())

        await self._db.run(leftovers)


def is_foreign(launch: Launch, handle: Handle) -> bool:
    """Whether a thing with a launch's mark runs as somebody else: people can write any mark they know."""
    return launch.plan is not None and handle.get("user") not in (None, launch.launch_plan().account.name)
