"""slurmrestd 0.0.38 (Slurm 22.05)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from spawners.slurm import parse
from spawners.slurm.models import AccountedJob, JobSpec, Partition, Qos
from spawners.slurm.rest import reading, shapes
from spawners.slurm.rest.common import Common, submitted_fields
from spawners.slurm.rest.wire import no_errors, read


@dataclass(frozen=True)
class V38(Common):
    """Its script stands beside the job; its errors do not tell a bad token from a daemon that is down."""

    version: str = "v0.0.38"
    answers_name_authentication: bool = False

    def submission(self, spec: JobSpec) -> dict[str, Any]:
        job = submitted_fields(spec) | {
            # Shortest and largest number.
            "nodes": [1, 1],
            "environment": dict(spec.environment),
            "memory_per_node": spec.memory_mib,
            "time_limit": parse.whole_minutes(spec.time_limit),
            # "requeue": false is taken for true.
            "no_requeue": True,
        }
        if spec.gpus:
            job["gres"] = f"gpu:{spec.gpu_type}:{spec.gpus}" if spec.gpu_type else f"gpu:{spec.gpus}"
        return {"script": spec.script, "job": job}

    def cancellation(self, job_id: int) -> tuple[str, dict[str, Any] | None]:
        return f"job/{job_id}", None

    def time_limit(self, minutes: int) -> dict[str, Any]:
        return {"time_limit": minutes}

    def accounted_query(self, job_ids: list[int]) -> list[tuple[str, str]]:
        # Any query includes duplicates.
        return [("step", ",".join(str(job_id) for job_id in job_ids))]

    def accounted_since_query(self, since: int) -> list[tuple[str, str]]:
        return [("start_time", f"uts{since}")]

    def partitions(self, body: bytes) -> tuple[Partition, ...]:
        answer = read(shapes.OLD_PARTITIONS, body)
        no_errors(answer)
        return tuple(_partition(said) for said in answer["partitions"])

    def qos(self, body: bytes) -> tuple[Qos, ...]:
        answer = read(shapes.OLD_QOS, body)
        no_errors(answer)
        return reading.qos(answer["QOS"])

    def accounted(self, body: bytes) -> tuple[AccountedJob, ...]:
        # It says 0 for a job that exited with 3 (22.05.8); signals are right.
        return reading.accounted(body, are_codes_true=False)


def _partition(said: shapes.OldPartition) -> Partition:
    return Partition(
        name=said["name"],
        nodes=parse.expand_hosts(said.get("nodes") or ""),
        is_up=said["state"].upper() == "UP",
        is_default="default" in said.get("flags", ()),
        max_time=_minutes(said.get("max_time_limit")),
        default_time=_minutes(said.get("default_time_limit")),
        max_nodes=_positive(said.get("maximum_nodes_per_job")),
        max_memory_per_node_mib=_positive(said.get("maximum_memory_per_node")),
        max_memory_per_cpu_mib=_positive(said.get("maximum_memory_per_cpu")),
        allowed_accounts=parse.words(said.get("allowed_accounts") or ""),
        denied_accounts=parse.words(said.get("denied_accounts") or ""),
        allowed_qos=parse.words(said.get("allowed_qos") or ""),
        denied_qos=parse.words(said.get("denied_qos") or ""),
        allowed_groups=parse.words(said.get("allowed_groups") or ""),
        qos=said.get("qos") or "",
    )


def _positive(number: int | None) -> int | None:
    return number if number is not None and 0 < number < 0xFFFFFFF0 else None


def _minutes(number: int | None) -> timedelta | None:
    found = _positive(number)
    return None if found is None else timedelta(minutes=found)
