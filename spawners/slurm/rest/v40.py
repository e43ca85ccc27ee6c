"""slurmrestd 0.0.40 to 0.0.45 (Slurm 23.11 to 26.05)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from spawners.slurm import parse
from spawners.slurm.models import JobSpec, Partition, Qos
from spawners.slurm.rest import reading, shapes
from spawners.slurm.rest.common import Common, submitted_fields
from spawners.slurm.rest.wire import no_errors, read


@dataclass(frozen=True)
class V40(Common):
    """Numbers that may be unset are structs; everything of a job is inside ``job``."""

    version: str
    answers_name_authentication: bool = True

    def submission(self, spec: JobSpec) -> dict[str, Any]:
        job = submitted_fields(spec) | {
            "script": spec.script,
            "minimum_nodes": 1,
            "maximum_nodes": 1,
            "environment": [f"{name}={value}" for name, value in spec.environment.items()],
            "memory_per_node": _set(spec.memory_mib),
            "time_limit": _set(parse.whole_minutes(spec.time_limit)),
            "requeue": False,
        }
        if spec.gpus:
            name = f"gres/gpu:{spec.gpu_type}" if spec.gpu_type else "gres/gpu"
            job["tres_per_node"] = f"{name}:{spec.gpus}"
        return {"job": job}

    def cancellation(self, job_id: int) -> tuple[str, dict[str, Any] | None]:
        # DELETE of one job says 200 and nothing of a refusal (0.0.40 and 0.0.41 of 24.11.5).
        return "jobs/", {"jobs": [str(job_id)]}

    def time_limit(self, minutes: int) -> dict[str, Any]:
        return {"time_limit": _set(minutes)}

    def accounted_query(self, job_ids: list[int]) -> list[tuple[str, str]]:
        # Documented as a list with commas; only one with repeated keys is taken (24.11.5).
        return [("step", str(job_id)) for job_id in job_ids] + [("show_duplicates", "true")]

    def accounted_since_query(self, since: int) -> list[tuple[str, str]]:
        return [("start_time", f"uts{since}"), ("show_duplicates", "true")]

    def partitions(self, body: bytes) -> tuple[Partition, ...]:
        answer = read(shapes.PARTITIONS, body)
        no_errors(answer)
        return tuple(_partition(said) for said in answer["partitions"])

    def qos(self, body: bytes) -> tuple[Qos, ...]:
        answer = read(shapes.QOS, body)
        no_errors(answer)
        return reading.qos(answer["qos"])


def _set(number: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": number}


def _partition(said: shapes.Partition) -> Partition:
    maximums, defaults = said.get("maximums", {}), said.get("defaults", {})
    accounts, qos, groups = said.get("accounts", {}), said.get("qos", {}), said.get("groups", {})
    return Partition(
        name=said["name"],
        nodes=parse.expand_hosts(said["nodes"]["configured"] or ""),
        is_up="UP" in said["partition"]["state"],
        # Not said before 0.0.43.
        is_default="DEFAULT" in said.get("flags", ()),
        max_time=_minutes(maximums.get("time")),
        default_time=_minutes(defaults.get("time")),
        max_nodes=maximums.get("nodes") or None,
        # 0 is "no limit".
        max_memory_per_node_mib=maximums.get("partition_memory_per_node") or None,
        max_memory_per_cpu_mib=maximums.get("partition_memory_per_cpu") or None,
        allowed_accounts=parse.words(accounts.get("allowed") or ""),
        denied_accounts=parse.words(accounts.get("deny") or ""),
        allowed_qos=parse.words(qos.get("allowed") or ""),
        denied_qos=parse.words(qos.get("deny") or ""),
        allowed_groups=parse.words(groups.get("allowed") or ""),
        qos=qos.get("assigned") or "",
    )


def _minutes(number: int | None) -> timedelta | None:
    return timedelta(minutes=number) if number else None
