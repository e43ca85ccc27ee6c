"""May running sessions still see their data? Asked again and again, while they run.

A person leaves a team, an embargo is extended, an account is blocked: the session that was
granted before is ended, since a process cannot be made to forget what it has open. A catalogue
that cannot answer says nothing, so nothing happens; data that was moved away is no loss of access.
"""

from __future__ import annotations

import logging

from hub.access.service import AccessService
from hub.database import Database
from hub.identity import persons
from hub.launch import store
from hub.launch.models import LaunchRequest
from hub.launch.runner import Runner
from hub.launch.states import EndReason, LaunchState, Target
from hub.launch.steering import want_stop
from hub.launch.store import Launch
from hub.problems import RequestError
from spawners.plan import Mount, MountMode

log = logging.getLogger(__name__)

_RUNS = {LaunchState.SUBMITTED, LaunchState.RUNNING}

_DENIALS = {"not_found_or_not_entitled", "embargoed_until", "account_not_usable"}
"""Refusals that mean *no longer yours*; any other (no catalogue, not on disk) means *not known*."""


class AccessRecheck:
    """Ends running sessions whose data their person may no longer read."""

    def __init__(self, *, db: Database, runner: Runner, access: AccessService) -> None:
        self._db = db
        self._runner = runner
        self._access = access

    async def look(self) -> None:
        """Decide anew on every running session."""
        for launch in await self._db.run(lambda s: store.in_states(s, _RUNS)):
            if launch.target is Target.STOP:
                continue
            why = await self._lost(launch)
            if why:
                log.info("Launch %s: access is lost: %s", launch.id, why)
                await self._runner.note(launch, "access", why)
                await want_stop(self._db, self._runner, launch, EndReason.ACCESS_LOST)

    async def _lost(self, launch: Launch) -> str:
        """What is no longer granted, for the person to read; empty where all is, or nothing is known."""
        person = await self._db.run(lambda s: persons.by_id(s, launch.person_id))
        if person is None or person.is_blocked:
            return "Your account is blocked, so the session is ended."
        shown = launch.launch_plan().mounts
        if not shown:
            return ""
        inputs = LaunchRequest.model_validate(launch.request).inputs
        try:
            granted = await self._access.mounts_now(person, inputs)
        except RequestError as error:
            if error.problem.code not in _DENIALS:
                return ""
            return f"You may no longer read {launch.proposal}, so the session is ended."
        gone = [mount for mount in shown if not _covers(granted, mount)]
        return (
            f"You may no longer {_verb(gone[0])} {gone[0].target}, so the session is ended." if gone else ""
        )


def _covers(granted: tuple[Mount, ...], shown: Mount) -> bool:
    """Whether a mount of the session is still granted, with at least the right that it has."""
    modes = {mount.mode for mount in granted if mount.target == shown.target}
    return shown.mode in modes or MountMode.READ_WRITE in modes


def _verb(mount: Mount) -> str:
    return "write to" if mount.mode is MountMode.READ_WRITE else "read"
