"""What the adapters share. An adapter is pure, frozen and can be sent to the decoding process."""

from __future__ import annotations

from typing import Any

from spawners.slurm.models import AccountedJob, Association, Job, JobSpec, Node, Reservation
from spawners.slurm.rest import reading


class Common:
    """Answers that have one form in all versions (`spawners.slurm.rest.adapters.Adapter`)."""

    def is_up(self, body: bytes) -> bool:
        return reading.is_up(body)

    def jobs(self, body: bytes) -> tuple[Job, ...]:
        return reading.jobs(body)

    def nodes(self, body: bytes) -> tuple[Node, ...]:
        return reading.nodes(body)

    def reservations(self, body: bytes) -> tuple[Reservation, ...]:
        return reading.reservations(body)

    def associations(self, body: bytes, cluster: str) -> tuple[Association, ...]:
        return reading.associations(body, cluster)

    def clusters(self, body: bytes) -> tuple[str, ...]:
        return reading.clusters(body)

    def accounted(self, body: bytes) -> tuple[AccountedJob, ...]:
        return reading.accounted(body)


def submitted_fields(spec: JobSpec) -> dict[str, Any]:
    """Fields of a submission that have one name in all versions."""
    fields = {
        "name": spec.name,
        "comment": spec.comment,
        "partition": spec.partition,
        "tasks": 1,
        "cpus_per_task": spec.cpus,
        "current_working_directory": spec.workdir,
        "standard_output": spec.log,
        "open_mode": "append",
        "account": spec.account,
        "qos": spec.qos,
        "reservation": spec.reservation,
        "constraints": spec.constraint,
    }
    return {name: value for name, value in fields.items() if value is not None}
