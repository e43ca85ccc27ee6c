"""Adapters of slurmrestd's API versions."""

from __future__ import annotations

from typing import Any, Protocol

from spawners.slurm.models import AccountedJob, Association, Job, JobSpec, Node, Partition, Qos, Reservation
from spawners.slurm.rest.v38 import V38
from spawners.slurm.rest.v40 import V40


class Adapter(Protocol):
    """One API version: bodies and answers. Every function is pure.

    ``answers_name_authentication`` says whether a token that is not accepted is told from a daemon
    that does not answer, so that a submission may be repeated with a new one.
    """

    @property
    def version(self) -> str:
        """As in the addresses, ``v0.0.41``."""
        ...

    @property
    def answers_name_authentication(self) -> bool: ...

    def submission(self, spec: JobSpec) -> dict[str, Any]:
        """Body of ``POST job/submit``."""
        ...

    def cancellation(self, job_id: int) -> tuple[str, dict[str, Any] | None]:
        """Path and body of the ``DELETE`` that cancels a job."""
        ...

    def time_limit(self, minutes: int) -> dict[str, Any]:
        """Body of ``POST job/{id}``."""
        ...

    def accounted_query(self, job_ids: list[int]) -> list[tuple[str, str]]:
        """Query for the runs of jobs."""
        ...

    def accounted_since_query(self, since: int) -> list[tuple[str, str]]:
        """Query for all runs since a time [s since 1970]."""
        ...

    def is_up(self, body: bytes) -> bool:
        """Whether an answer of ``ping`` says that a slurmctld answers."""
        ...

    def jobs(self, body: bytes) -> tuple[Job, ...]: ...
    def nodes(self, body: bytes) -> tuple[Node, ...]: ...
    def partitions(self, body: bytes) -> tuple[Partition, ...]: ...
    def reservations(self, body: bytes) -> tuple[Reservation, ...]: ...
    def associations(self, body: bytes, cluster: str) -> tuple[Association, ...]: ...
    def qos(self, body: bytes) -> tuple[Qos, ...]: ...
    def clusters(self, body: bytes) -> tuple[str, ...]: ...
    def accounted(self, body: bytes) -> tuple[AccountedJob, ...]: ...


_ALL: tuple[Adapter, ...] = (*(V40(f"v0.0.{number}") for number in range(45, 39, -1)), V38())

ADAPTERS: dict[str, Adapter] = {adapter.version: adapter for adapter in _ALL}
"""By version, the newest first."""
