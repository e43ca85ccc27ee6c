"""Where does a session run? In a partition of a Slurm cluster, as a job of the person.

One `SlurmBackend` stands for one place. All places of a cluster answer from the looks of its one
watcher (`spawners.slurm.watcher`), so asking about a thousand sessions costs Slurm nothing. The handle
of a session names cluster, job and user; the job's comment carries the launch id.

Gone is only what Slurm says has ended: slurmctld while it remembers, else slurmdbd. A job that neither
speaks for, or a cluster that has been silent for two periods, is *unknown*.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spawners.backend import (
    Ask,
    Availability,
    BackendError,
    BackendUnavailableError,
    Forecast,
    Handle,
    InnerJob,
    PlaceOffer,
    Started,
    State,
    Status,
    SubmitError,
    Usage,
    View,
)
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan
from spawners.slurm.deadline import limit_for
from spawners.slurm.finding import ended_in_look, in_accounting, in_look
from spawners.slurm.job import job_spec, session_view
from spawners.slurm.look import Look
from spawners.slurm.memory import Link, link_of
from spawners.slurm.models import ALIVE, JobSpec
from spawners.slurm.outlook import Outlook
from spawners.slurm.reasons import ended
from spawners.slurm.settings import ClusterSettings
from spawners.slurm.settlement import last_end, runs_of, settle
from spawners.slurm.statuses import ELSEWHERE, HANDED_OVER, NOT_LISTED, SILENT
from spawners.slurm.transport import SlurmError, SlurmUnavailableError
from spawners.slurm.watcher import utcnow

if TYPE_CHECKING:
    from spawners.slurm.cluster import SlurmCluster

log = logging.getLogger(__name__)

MakeSpec = Callable[[LaunchPlan, Credentials, ClusterSettings, str], JobSpec]

_FIRST_LOOK_S = 5.0
_ACCOUNTING_S = 2.0
"""What a question about all sessions waits for slurmdbd."""

_STOP_S = 90.0
"""Slurm gives a job KillWait (30 s by default) between SIGTERM and SIGKILL, then runs its epilog."""

_CANCEL_AGAIN_S = 15.0
_LOOK_BACK = timedelta(days=14)
"""How long an engine may be away and still find what ended meanwhile without a handle."""


class SlurmBackend:
    """Sessions in one partition; implements `spawners.backend.Backend`."""

    def __init__(self, cluster: SlurmCluster, partition: str, *, make_spec: MakeSpec = job_spec) -> None:
        self.partition = partition
        self._cluster = cluster
        self._watcher = cluster.watcher
        self._transport = cluster.transport
        self._memory = cluster.memory
        self._make_spec = make_spec
        self._outlook = Outlook(cluster.watcher, cluster.transport, cluster.settings, partition)

    # --- start --------------------------------------------------------------------------------

    async def start(self, plan: LaunchPlan, credentials: Credentials) -> AsyncIterator[Started]:
        """Submit the session's job; see `Backend.start`."""
        spec = self._make_spec(plan, credentials, self._cluster.settings, self.partition)
        try:
            job = await self._watcher.ask("submit", lambda: self._transport.submit(spec))
        except SlurmError as error:
            raise SubmitError(f"Slurm refused the session: {error}") from error
        except SlurmUnavailableError as error:
            raise BackendUnavailableError(f"Slurm does not answer: {error}") from error
        link = Link(job, spec.user)
        self._memory.submitted(plan.launch_id, link, utcnow())
        self._watcher.expect_change()
        yield Started(
            link.handle(self._cluster.name), f"Handed to Slurm as job {job} in partition {self.partition}."
        )

    def view(self, launch_id: LaunchId, account: Account) -> View:
        """Where the session would see its files; see `Backend.view`."""
        return session_view(launch_id, account, self._cluster.settings)

    # --- questions ----------------------------------------------------------------------------

    async def status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        """State of all given sessions from the last look; see `Backend.status`."""
        try:
            return await self._status(handles)
        except Exception:
            log.exception("The state of sessions on %s cannot be told", self._cluster.name)
            return dict.fromkeys(handles, SILENT)

    async def _status(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Status]:
        look = await self._watcher.first(timeout_s=_FIRST_LOOK_S)
        found: dict[LaunchId, Status] = {}
        unlisted: dict[LaunchId, Link] = {}
        for launch_id, handle in handles.items():
            link = link_of(handle, self._cluster.name)
            if link is None:
                found[launch_id] = ELSEWHERE
                continue
            self._memory.links[launch_id] = link
            status = self._by_look(launch_id, link, look)
            if status is None:
                unlisted[launch_id] = link
            else:
                found[launch_id] = status
        return {**found, **await self._by_accounting(unlisted)} if unlisted else found

    def _by_look(self, launch_id: LaunchId, link: Link, look: Look | None) -> Status | None:
        """Status by slurmctld's list; None if the job is not on it and was not seen to end."""
        if look is None or self._watcher.is_stale:
            return self._memory.gone(link.job) or SILENT
        job = self._memory.listed(launch_id, link, look)
        if job is not None:
            return self._memory.judge(job, look)
        if self._memory.is_newer(link.job, look):
            return HANDED_OVER
        return self._memory.gone(link.job)

    async def _by_accounting(self, links: Mapping[LaunchId, Link]) -> Mapping[LaunchId, Status]:
        """Status of jobs that slurmctld no longer lists."""
        final = await self._cluster.accounting.final(
            [link.job for link in links.values()], wait_s=_ACCOUNTING_S
        )
        found: dict[LaunchId, Status] = {}
        for launch_id, link in links.items():
            end = last_end(runs_of(final.get(link.job, ()), launch_id, link.user))
            if end is None:
                found[launch_id] = NOT_LISTED
                continue
            said = ended(end.state, cancelled_by=end.cancelled_by, exit_code=end.exit_code, signal=end.signal)
            found[launch_id] = Status(State.GONE, said)
            self._memory.set_gone(link.job, found[launch_id])
        return found

    async def locate(self, launch_id: LaunchId, handle: Handle) -> Status:
        """Status by a look taken now; see `Backend.locate`."""
        with contextlib.suppress(SlurmUnavailableError):
            await self._watcher.fresh(utcnow(), timeout_s=_FIRST_LOOK_S)
        return (await self.status({launch_id: handle}))[launch_id]

    async def find(self) -> Mapping[LaunchId, Handle]:
        """Every job of ours in this partition that lives, by a look taken now; see `Backend.find`."""
        look = await self._fresh()
        found = in_look(look, self.partition, self._memory.links, self._memory.is_owner)
        for launch_id, twin in found.twins:
            log.warning("Job %d was submitted a second time for %s: cancelling it", twin.job, launch_id)
            with contextlib.suppress(BackendError):
                await self._cancel(twin)
        return {launch_id: link.handle(self._cluster.name) for launch_id, link in found.links.items()}

    async def find_ended(self, missing: Mapping[LaunchId, str]) -> Mapping[LaunchId, Handle]:
        """Jobs of missing launches that have ended, by slurmctld or slurmdbd; see `Backend.find_ended`."""
        if not missing:
            return {}
        links = ended_in_look(await self._fresh(), self.partition, missing)
        lost = {launch_id: user for launch_id, user in missing.items() if launch_id not in links}
        if lost:
            since = utcnow() - _LOOK_BACK
            try:
                runs = await self._watcher.ask(
                    "accounted_since", lambda: self._transport.accounted_since(since)
                )
            except (SlurmUnavailableError, SlurmError) as error:
                raise BackendUnavailableError(f"Slurm's accounting does not answer: {error}") from error
            links |= in_accounting(runs, self.partition, lost)
        return {launch_id: link.handle(self._cluster.name) for launch_id, link in links.items()}

    async def _fresh(self) -> Look:
        try:
            return await self._watcher.fresh(utcnow())
        except SlurmUnavailableError as error:
            raise BackendUnavailableError(f"Slurm does not answer: {error}") from error

    async def usage(self, launch_id: LaunchId, handle: Handle) -> Usage | None:
        """What an ended session used, by slurmdbd; see `Backend.usage`."""
        link = link_of(handle, self._cluster.name)
        if link is None:
            return None
        look = self._watcher.look
        job = self._memory.listed(launch_id, link, look) if look is not None else None
        if job is not None and job.state in ALIVE:
            return None
        final = await self._cluster.accounting.final([link.job])
        runs = runs_of(final.get(link.job, ()), launch_id, link.user)
        return settle(runs, was_stopped=link.job in self._memory.stopped)

    async def log_tail(self, launch_id: LaunchId, handle: Handle, *, lines: int = 40) -> Sequence[str]:
        """Nothing: a node sends the end of its log to the engine itself."""
        return ()

    async def inner_jobs(self, handles: Mapping[LaunchId, Handle]) -> Mapping[LaunchId, Sequence[InnerJob]]:
        """Jobs that people submitted from inside their sessions, by their wckey. Never raises."""
        look = None if self._watcher.is_stale else self._watcher.look
        found = {}
        for launch_id, handle in handles.items():
            link = link_of(handle, self._cluster.name)
            if link is not None and (jobs := self._memory.inner(launch_id, link.user, look)):
                found[launch_id] = jobs
        return found

    # --- what could be started ----------------------------------------------------------------

    async def availability(self) -> Availability:
        """What is free now. Never raises."""
        return await self._outlook.availability()

    async def offer(self, account: Account) -> PlaceOffer:
        """What this person may use here; see `Backend.offer`."""
        return await self._outlook.offer(account)

    async def forecast(self, ask: Ask) -> Forecast:
        """When such a session would start. Never raises."""
        return await self._outlook.forecast(ask)

    async def admit(self, plan: LaunchPlan) -> None:
        """Refuse a plan that Slurm would refuse; see `Backend.admit`."""
        await self._outlook.admit(plan)

    # --- changes ------------------------------------------------------------------------------

    async def stop(self, launch_id: LaunchId, handle: Handle) -> None:
        """Cancel the session's job and return when it has left; see `Backend.stop`."""
        link = link_of(handle, self._cluster.name)
        if link is None:
            raise BackendUnavailableError(ELSEWHERE.reason)
        if self._memory.gone(link.job) is not None:
            return
        deadline, cancelled, pause = time.monotonic() + _STOP_S, 0.0, 0.1
        while time.monotonic() < deadline:
            if time.monotonic() - cancelled >= _CANCEL_AGAIN_S or not cancelled:
                await self._cancel(link)
                cancelled = time.monotonic()
            if await self._has_left(launch_id, link):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 2.0)
        raise BackendUnavailableError("The job does not end; trying again later.")

    async def _has_left(self, launch_id: LaunchId, link: Link) -> bool:
        look = await self._fresh()
        job = self._memory.listed(launch_id, link, look)
        return job is None or self._memory.judge(job, look).state is State.GONE

    async def _cancel(self, link: Link) -> None:
        """Cancel as the person, or as the service where they may no longer."""
        self._memory.stopped.add(link.job)
        self._watcher.expect_change()
        try:
            try:
                await self._watcher.ask("cancel", lambda: self._transport.cancel(link.job, user=link.user))
            except SlurmError:
                service = self._cluster.settings.service_account
                await self._watcher.ask("cancel", lambda: self._transport.cancel(link.job, user=service))
        except SlurmError as error:
            raise BackendUnavailableError(f"Slurm does not cancel the job: {error}") from error
        except SlurmUnavailableError as error:
            raise BackendUnavailableError(f"Slurm does not answer: {error}") from error

    async def set_deadline(self, launch_id: LaunchId, handle: Handle, deadline: datetime) -> None:
        """Set the job's time limit so that it may run until then; see `Backend.set_deadline`."""
        link = link_of(handle, self._cluster.name)
        look = await self._watcher.first(timeout_s=_FIRST_LOOK_S)
        if link is None or look is None or self._watcher.is_stale:
            raise BackendUnavailableError(SILENT.reason if link else ELSEWHERE.reason)
        job = self._memory.listed(launch_id, link, look)
        if job is None and self._memory.is_newer(link.job, look):
            raise BackendError("The session has not started yet; its time can be changed once it runs.")
        if job is None:
            raise BackendError("The session's job has ended.")
        limit = await asyncio.to_thread(limit_for, look.snapshot, job, deadline.astimezone(UTC))
        if limit is None:
            return
        try:
            await self._watcher.ask("set_time_limit", lambda: self._transport.set_time_limit(link.job, limit))
        except SlurmError as error:
            raise BackendError(f"Slurm does not change the session's time: {error}") from error
        except SlurmUnavailableError as error:
            raise BackendUnavailableError(f"Slurm does not answer: {error}") from error
        self._watcher.expect_change()

    async def forget(self, launch_id: LaunchId, handle: Handle) -> None:
        """Remember nothing of a settled session; Slurm keeps its own records."""
        link = link_of(handle, self._cluster.name)
        self._memory.forget(launch_id, link.job if link else None)
        if link is not None:
            self._cluster.accounting.forget(link.job)

    async def aclose(self) -> None:
        """Stop looking at the cluster; its other places go down with it, sessions go on."""
        await self._outlook.aclose()
        await self._cluster.aclose()
