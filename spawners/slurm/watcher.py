"""One watcher per cluster: all questions about all sessions by one query per period.

The jobs are asked for in one query, however many sessions there are, at the pace of
`spawners.slurm.pace`. Nodes, partitions and reservations are asked for only while somebody looks at
what is free, limits every few minutes. Readers take the last answer (`look`), or wait for one that was
asked for after a moment (`fresh`); all who wait share one query. Without an answer the last one stays,
and is stale after two periods.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from spawners.slurm.look import NEVER, Look, index, renewed
from spawners.slurm.outage import Outage
from spawners.slurm.pace import Pace, jittered
from spawners.slurm.snapshot import Snapshot
from spawners.slurm.transport import SlurmUnavailableError, Transport

log = logging.getLogger(__name__)

T = TypeVar("T")

_QUERY_TIMEOUT_S = 120.0
"""For a transport that forgets its own time limit."""

_RESOURCES_S = 30.0
_RESOURCES_CHANGED_S = 10.0
"""Least time between two looks at nodes: while nothing changed, and after a job did."""

_LOOKED_AT_S = 60.0
"""How long after a question about what is free somebody is taken to look."""

_LIMITS_S = 300.0
_LIMITS_RETRY_S = 5.0
_EXPECT_S = 30.0

_NOTHING = Snapshot(NEVER, NEVER, NEVER, (), (), (), (), (), ())


def utcnow() -> datetime:
    """Now, aware UTC."""
    return datetime.now(UTC)


class ClusterWatcher:
    """Keeps the last answers of one cluster. ``queries`` counts what it was asked, by method."""

    def __init__(self, name: str, transport: Transport, *, poll_s: float, poll_idle_s: float) -> None:
        self.name = name
        self.queries: Counter[str] = Counter()
        self.look: Look | None = None
        self._transport = transport
        self._pace = Pace(poll_s, poll_idle_s)
        self._tasks: list[asyncio.Task[None]] = []
        self._jobs_outage = Outage(f"Slurm's controller of cluster {name}")
        self._nodes_outage = Outage(f"The list of nodes of cluster {name}")
        self._limits_outage = Outage(f"Slurm's accounting of cluster {name}")
        self._limits: dict[str, Any] = {}
        self._tried_at = NEVER
        self._answered = -1e9
        self._took_s = 0.0
        self._round_s = 0.0
        self._planned_s = poll_s
        self._changed = time.monotonic()
        self._busy_until = 0.0
        self._resources_looked = time.monotonic()
        self._is_wanted = False
        self._are_resources_wanted = False
        self._poke = asyncio.Event()
        self._round_done = asyncio.Event()
        self._news = asyncio.Event()
        self._limits_known = asyncio.Event()

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look; a second call does nothing."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._watch(), name=f"slurm-watcher-{self.name}"),
                asyncio.create_task(self._watch_limits(), name=f"slurm-limits-{self.name}"),
            ]

    async def aclose(self) -> None:
        """Stop looking."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what readers use ---------------------------------------------------------------------

    @property
    def error(self) -> str:
        """Why there is no answer now; empty while there is."""
        return self._jobs_outage.error

    @property
    def is_stale(self) -> bool:
        """Whether the last answer says nothing about now: older than two periods, or none."""
        age = time.monotonic() - self._answered
        return self.look is None or age > self._pace.stale_after(self._planned_s, self._round_s)

    async def fresh(self, after: datetime, *, timeout_s: float = 20.0) -> Look:
        """A look whose query was sent at or after a moment; all who wait share one query.

        Raises
        ------
        SlurmUnavailableError
            If a query sent after that moment had no answer, or none came in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if self.look is not None and self.look.taken_at >= after:
                        return self.look
                    if self._tried_at >= after and self._jobs_outage.failures:
                        raise SlurmUnavailableError(self._jobs_outage.error)
                    await self._next_round()
        except TimeoutError as error:
            raise SlurmUnavailableError(f"Slurm did not answer within {timeout_s:g} s.") from error

    async def first(self, *, timeout_s: float) -> Look | None:
        """The last look; right after the start the first one, or None where it does not come in time."""
        if self.look is None:
            with contextlib.suppress(SlurmUnavailableError):
                await self.fresh(NEVER, timeout_s=timeout_s)
        return self.look

    async def with_resources(self, *, max_age_s: float, timeout_s: float) -> Look | None:
        """A look whose nodes are no older than that, or the best there is in time; None: none yet."""
        self._resources_looked = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.look is None or _age_s(self.look.snapshot.resources_at) > max_age_s:
                    self._are_resources_wanted = True
                    await self._next_round()
                    if self._jobs_outage.failures or self._nodes_outage.failures:
                        break
        return self.look

    async def with_limits(self, *, timeout_s: float) -> Snapshot | None:
        """The last snapshot once limits are known, or None where they do not come in time."""
        self.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._limits_known.wait()
        return self.look.snapshot if self.look is not None and self._limits else None

    def expect_change(self, for_s: float = _EXPECT_S) -> None:
        """Look often for a while: something of ours was submitted, cancelled or is about to end."""
        self._changed = time.monotonic()
        self._busy_until = max(self._busy_until, self._changed + for_s)
        self._poke.set()

    async def wait_for_news(self) -> Look:
        """The next look in which one of our jobs is not as it was before."""
        await self._news.wait()
        assert self.look is not None
        return self.look

    async def ask(self, what: str, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the transport, counted.

        Raises
        ------
        SlurmUnavailableError
            Also if it takes longer than any transport should.
        """
        self.queries[what] += 1
        try:
            async with asyncio.timeout(_QUERY_TIMEOUT_S):
                return await question()
        except TimeoutError as error:
            raise SlurmUnavailableError(f"No answer within {_QUERY_TIMEOUT_S:g} s.") from error

    # --- rounds -------------------------------------------------------------------------------

    async def _next_round(self) -> None:
        self.start()
        self._is_wanted = True
        self._poke.set()
        await self._round_done.wait()

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except Exception as error:  # a fault of a transport is an outage too, logged as such
                self._jobs_outage.failed(error)
            done, self._round_done = self._round_done, asyncio.Event()
            done.set()
            await self._pause()

    async def _look(self) -> None:
        self._is_wanted = False
        self._tried_at, began = utcnow(), time.monotonic()
        try:
            jobs = await self.ask("jobs", self._transport.jobs)
        finally:
            self._took_s = time.monotonic() - began
        before = self.look
        known = before.snapshot if before is not None else _NOTHING
        look = await asyncio.to_thread(index, replace(known, taken_at=self._tried_at, jobs=jobs))
        self._answered = began
        if before is not None:
            self._publish(look)
        if self._are_resources_due(look, before):  # they may take their time
            self._publish(look := await self._with_resources(look))
        self._jobs_outage.answered()
        self._round_s = time.monotonic() - began
        if before is None or before.our_fingerprint != look.our_fingerprint:
            self._changed = time.monotonic()
            news, self._news = self._news, asyncio.Event()
            news.set()
        self._planned_s = self._delay()

    def _publish(self, look: Look) -> None:
        self.look = renewed(look, replace(look.snapshot, **self._limits))  # they may have come meanwhile

    def _delay(self) -> float:
        now = time.monotonic()
        return self._pace.delay(
            is_changing=now < self._busy_until or (self.look is not None and self.look.is_changing()),
            quiet_s=now - self._changed,
            took_s=self._took_s,
            failures=self._jobs_outage.failures,
        )

    async def _pause(self) -> None:
        """Wait until it is time, or somebody wants an answer."""
        began, spread = time.monotonic(), jittered(1.0)
        await asyncio.sleep(self._pace.gap(took_s=self._took_s, failures=self._jobs_outage.failures))
        while not self._is_wanted:
            left = self._delay() * spread - (time.monotonic() - began)
            if left <= 0:
                return
            self._poke.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._poke.wait()

    # --- nodes and limits -----------------------------------------------------------------------

    def _are_resources_due(self, look: Look, before: Look | None) -> bool:
        if before is None or self._are_resources_wanted:
            return True
        age = _age_s(look.snapshot.resources_at)
        if look.lacks_node():
            return age >= _RESOURCES_CHANGED_S
        if time.monotonic() - self._resources_looked > _LOOKED_AT_S:
            return False
        has_changed = before.fingerprint != look.fingerprint
        return age >= (_RESOURCES_CHANGED_S if has_changed else _RESOURCES_S)

    async def _with_resources(self, look: Look) -> Look:
        at = utcnow()
        try:
            nodes = await self.ask("nodes", self._transport.nodes)
            partitions = await self.ask("partitions", self._transport.partitions)
            reservations = await self.ask("reservations", self._transport.reservations)
        except Exception as error:  # as in `_watch`; the jobs are known all the same
            self._nodes_outage.failed(error)
            return look
        self._nodes_outage.answered()
        self._are_resources_wanted = False
        return renewed(
            look,
            replace(
                look.snapshot, nodes=nodes, partitions=partitions, reservations=reservations, resources_at=at
            ),
        )

    async def _watch_limits(self) -> None:
        while True:
            delay = _LIMITS_S
            at = utcnow()
            try:
                associations = await self.ask("associations", self._transport.associations)
                qos = await self.ask("qos", self._transport.qos)
            except Exception as error:  # as in `_watch`
                self._limits_outage.failed(error)
                delay = min(_LIMITS_RETRY_S * 2 ** min(self._limits_outage.failures - 1, 10), _LIMITS_S)
            else:
                self._limits_outage.answered()
                self._limits = {"associations": associations, "qos": qos, "limits_at": at}
                if (look := self.look) is not None:
                    self.look = renewed(look, replace(look.snapshot, **self._limits))
                self._limits_known.set()
            await asyncio.sleep(jittered(delay))


def _age_s(moment: datetime) -> float:
    return (utcnow() - moment).total_seconds()
