"""Which sessions does nobody use any more? They are warned, and ended when the warning was not heeded.

Use is what the session's own server tells the hub (`panhub_session.activity`): keys and mouse in its
pages and at its desktop, kernels that compute, changes by its API. A tab that is only open is no use.
The hub is asked once a period for all servers together.

Nothing is ended that was not warned for the whole of the warning's time, and nothing on a guess: while
the hub does not answer, and until it has answered long enough for every server to have told it of its
use, all go on. A warning that a restart of the service forgot begins anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from hub.database import Database
from hub.launch import store
from hub.launch.news import utcnow
from hub.launch.runner import Runner
from hub.launch.states import EndReason, LaunchState, Target
from hub.launch.steering import logged, want_stop
from hub.launch.store import Launch
from spawners.plan import LaunchId

log = logging.getLogger(__name__)

_LONGEST_REPORT_S = 300.0
"""JupyterHub's own interval of reports."""

_LATE = 1.5
"""A server reports up to a tenth later than told; this many intervals are enough for every one."""


@dataclass(frozen=True, slots=True)
class IdleRule:
    """``end_after`` without use a session ends; ``warn`` before that it is said."""

    end_after: timedelta
    warn: timedelta

    @property
    def report(self) -> timedelta:
        """How often a session's server tells the hub of its use: several times within a warning."""
        return min(timedelta(seconds=_LONGEST_REPORT_S), self.warn / 4)

    @property
    def environment(self) -> dict[str, str]:
        """What a session is told of the rule: its server reports by it, its pages warn by it."""
        return {
            "JUPYTERHUB_ACTIVITY_INTERVAL": str(max(1, round(self.report.total_seconds()))),
            "PANHUB_IDLE_END_S": str(round(self.end_after.total_seconds())),
            "PANHUB_IDLE_WARN_S": str(round(self.warn.total_seconds())),
        }


class Activities(Protocol):
    """Who knows the last use of servers."""

    async def last_activities(self) -> Mapping[tuple[str, str], datetime] | None:
        """Last use by person and server name, of servers that are ready; None if it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class _Warning:
    last_used: datetime
    ends_at: datetime


class IdleEnds:
    """Warns and ends sessions that nobody uses. Without a ``rule`` it does nothing."""

    def __init__(self, *, db: Database, runner: Runner, hub: Activities, rule: IdleRule | None) -> None:
        self._db = db
        self._runner = runner
        self._hub = hub
        self._rule = rule
        self._known_since: datetime | None = None
        self._warnings: dict[LaunchId, _Warning] = {}

    @property
    def period_s(self) -> float:
        """How often to look [s]."""
        return 60.0 if self._rule is None else min(60.0, self._rule.warn.total_seconds() / 4)

    def ends_at(self, launch_id: str) -> datetime | None:
        """When a session that was warned ends unless somebody uses it; None: it was not warned."""
        warning = self._warnings.get(LaunchId(launch_id))
        return None if warning is None else warning.ends_at

    async def look(self, now: datetime | None = None) -> None:
        """Ask the hub once, and warn and end what is due at ``now`` (by default the present)."""
        if self._rule is None:
            return
        now = now or utcnow()
        running = await self._db.run(lambda s: store.in_states(s, {LaunchState.RUNNING}))
        here = {launch.id for launch in running}
        self._warnings = {key: one for key, one in self._warnings.items() if key in here}
        if not running:
            return
        used = await self._hub.last_activities()
        if used is None:
            self._known_since = None
            return
        self._known_since = self._known_since or now
        for launch in running:
            last = used.get((launch.username, launch.server_name))
            # What the hub does not list, or lists without a time, is not known to be idle.
            if last is not None and launch.target is Target.RUN:
                async with logged(f"the idle end of {launch.id}"):
                    # A server of the same name may have been used before this session began.
                    await self._follow(self._rule, launch, max(last, launch.running_at or last), now)

    async def _follow(self, rule: IdleRule, launch: Launch, last: datetime, now: datetime) -> None:
        warning = self._warnings.get(launch.id)
        if warning is not None and last > warning.last_used:
            del self._warnings[launch.id]
            warning = None
            await self._runner.note(launch, "idle", "It is used again, so it goes on.")
        if now < last + rule.end_after - rule.warn:
            return
        if warning is None:
            ends_at = max(last + rule.end_after, now + rule.warn)
            self._warnings[launch.id] = _Warning(last, ends_at)
            since, until = (f"{one:%H:%M} UTC" for one in (last, ends_at))
            text = f"Nobody has used it since {since}; it ends at {until} unless somebody does."
            await self._runner.note(launch, "idle", text)
        elif self._is_certain(rule, warning.ends_at, now):
            log.info("Launch %s: not used since %s", launch.id, last)
            await want_stop(self._db, self._runner, launch, EndReason.IDLE)

    def _is_certain(self, rule: IdleRule, ends_at: datetime, now: datetime) -> bool:
        """Whether a use before ``ends_at`` would be known by now."""
        patience = _LATE * rule.report
        return self._known_since is not None and now >= max(ends_at, self._known_since) + patience
