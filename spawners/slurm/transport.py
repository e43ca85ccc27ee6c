"""How one talks to a Slurm cluster: the interface behind which slurmrestd and the CLI stand.

A site may name a class of its own. Every call is one question; nothing is cached here (the watcher
does that). Calls as a person carry that person's token; queries carry the service account's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from spawners.slurm.models import (
    AccountedJob,
    Association,
    Job,
    JobSpec,
    Node,
    Partition,
    Qos,
    Reservation,
)


class SlurmError(Exception):
    """Slurm refused; the text is Slurm's own, bounded, plain."""


class SlurmUnavailableError(Exception):
    """No answer, or none that can be understood: nothing is known."""


class Tokens(Protocol):
    """Where short tokens come from (`spawners.slurm.gateway`)."""

    async def token(self, user: str) -> str:
        """A JWT for one user, fresh enough to use now; cached by the implementation.

        Raises
        ------
        SlurmError
            If the user may have none.
        SlurmUnavailableError
            If the gateway does not answer.
        """
        ...

    def forget(self, user: str) -> None:
        """The last token was not accepted: mint another next time."""
        ...


class Transport(Protocol):
    """One cluster. Every method raises `SlurmUnavailableError` where nothing is known."""

    async def submit(self, spec: JobSpec) -> int:
        """Submit as ``spec.user``; returns the job id.

        Raises
        ------
        SlurmError
            If it was refused: nothing was submitted.
        SlurmUnavailableError
            If it is not known whether it was.
        """
        ...

    async def cancel(self, job_id: int, *, user: str) -> None:
        """Cancel as the job's user; a job that is over is no error."""
        ...

    async def set_time_limit(self, job_id: int, limit: timedelta) -> None:
        """Set a job's time limit as the service account (an operator in Slurm's accounting).

        Raises
        ------
        SlurmError
            If it is refused.
        """
        ...

    async def jobs(self) -> tuple[Job, ...]:
        """All jobs that slurmctld knows, in one query; those that ended for ``MinJobAge`` too."""
        ...

    async def nodes(self) -> tuple[Node, ...]:
        """All nodes."""
        ...

    async def partitions(self) -> tuple[Partition, ...]:
        """All partitions."""
        ...

    async def reservations(self) -> tuple[Reservation, ...]:
        """All reservations that have not ended."""
        ...

    async def associations(self) -> tuple[Association, ...]:
        """All associations of this cluster, from slurmdbd."""
        ...

    async def qos(self) -> tuple[Qos, ...]:
        """All qualities of service, from slurmdbd."""
        ...

    async def accounted(self, job_ids: Collection[int]) -> tuple[AccountedJob, ...]:
        """Every run of the given jobs, from slurmdbd, in one query; runs of requeued jobs apart."""
        ...

    async def accounted_since(self, since: datetime) -> tuple[AccountedJob, ...]:
        """Every run of our jobs (by comment, see `models.marked`) that lived since then, from slurmdbd."""
        ...

    async def expected_start(self, spec: JobSpec) -> datetime | None:
        """When the scheduler would start such a job, without submitting it; None: it cannot say.

        Raises
        ------
        SlurmError
            If it would refuse the job.
        """
        ...

    async def ping(self) -> None:
        """Return if slurmctld answers."""
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...
