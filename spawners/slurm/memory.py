"""What the engine's side remembers of a cluster's sessions between two looks; nothing that must last."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawners.backend import Handle, InnerJob, State, Status
from spawners.plan import LaunchId
from spawners.slurm.look import Look, has_begun_to_end
from spawners.slurm.models import ALIVE, Job, marked
from spawners.slurm.statuses import LONGEST_END, inner_job, status_of

log = logging.getLogger(__name__)

_INNER_MOST = 50
"""Jobs from inside one session that its card can show; the newest."""


@dataclass(frozen=True, slots=True)
class Link:
    """A handle, read: the job of a session and whose it is."""

    job: int
    user: str

    def handle(self, cluster: str) -> Handle:
        """JSON to be stored."""
        return {"cluster": cluster, "job": self.job, "user": self.user}


def link_of(handle: Handle, cluster: str) -> Link | None:
    """Read a handle; None if it is not one of this cluster."""
    job, user = handle.get("job"), handle.get("user")
    is_ours = handle.get("cluster") == cluster and isinstance(job, int) and isinstance(user, str)
    return Link(job, user) if is_ours and isinstance(job, int) and isinstance(user, str) else None


class Memory:
    """Sessions of one cluster: their jobs, when they were submitted, that they were seen to end."""

    def __init__(self) -> None:
        self.links: dict[LaunchId, Link] = {}
        self.stopped: set[int] = set()
        self._submitted: dict[int, datetime] = {}
        self._gone: dict[int, Status] = {}
        self._ending: dict[int, float] = {}
        self._inner: dict[LaunchId, dict[str, InnerJob]] = {}
        self._strangers: set[int] = set()

    def submitted(self, launch_id: LaunchId, link: Link, at: datetime) -> None:
        """A job was submitted: looks from before do not have it."""
        self.links[launch_id] = link
        self._submitted[link.job] = at
        # Ids begin anew after a cluster has lost its state.
        self._gone.pop(link.job, None)

    def is_newer(self, job_id: int, look: Look) -> bool:
        """Whether a job was submitted after a look was taken."""
        at = self._submitted.get(job_id)
        return at is not None and look.taken_at <= at

    def listed(self, launch_id: LaunchId, link: Link, look: Look) -> Job | None:
        """The session's job as it is listed; None if it is not, or if its id is another's by now."""
        job = look.jobs.get(link.job)
        if job is None or job.user != link.user or marked(job.comment) not in (None, launch_id):
            return None
        return job

    def judge(self, job: Job, look: Look) -> Status:
        """Status of a listed job; that it is gone is remembered, as Slurm forgets it."""
        status = status_of(job, look)
        if has_begun_to_end(job):
            began = self._ending.setdefault(job.id, time.monotonic())
            if timedelta(seconds=time.monotonic() - began) > LONGEST_END:
                status = Status(State.GONE, "It ended, and its node does not finish cleaning up.")
        if status.state is State.GONE:
            self._gone[job.id] = status
        else:
            self._gone.pop(job.id, None)  # requeued by hand after its end
        return status

    def gone(self, job_id: int) -> Status | None:
        """What is remembered of a job that ended."""
        return self._gone.get(job_id)

    def set_gone(self, job_id: int, status: Status) -> None:
        """Slurm's accounting says that a job ended."""
        self._gone[job_id] = status

    def is_owner(self, launch_id: LaunchId, job: Job) -> bool:
        """Whether a job with a launch's mark may be of the launch's account: anybody can write a comment."""
        link = self.links.get(launch_id)
        if link is None or link.user == job.user:
            return True
        if job.id not in self._strangers:
            self._strangers.add(job.id)
            log.warning(
                "Job %d of %s carries the mark of %s, which is not theirs", job.id, job.user, launch_id
            )
        return False

    def inner(self, launch_id: LaunchId, user: str, look: Look | None) -> tuple[InnerJob, ...]:
        """Jobs from inside a session, oldest first; ended ones stay after Slurm has forgotten them."""
        known = self._inner.setdefault(launch_id, {})
        listed = look.inner.get(launch_id, ()) if look is not None else ()
        jobs = [job for job in listed if job.user == user]
        here = {one.id: one for one in map(inner_job, jobs)}
        alive = {state.value for state in ALIVE}
        # One that was alive when last seen and is listed no more: nobody knows how it ended.
        kept = {key: one for key, one in known.items() if look is None or one.state not in alive}
        merged = {**kept, **here}
        newest = dict(list(merged.items())[-_INNER_MOST:])
        self._inner[launch_id] = newest
        return tuple(newest.values())

    def forget(self, launch_id: LaunchId, job_id: int | None) -> None:
        """Remember nothing of a session."""
        self.links.pop(launch_id, None)
        self._inner.pop(launch_id, None)
        if job_id is not None:
            self.stopped.discard(job_id)
            for kept in (self._submitted, self._gone, self._ending):
                kept.pop(job_id, None)
