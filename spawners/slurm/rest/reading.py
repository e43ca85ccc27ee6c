"""slurmrestd's answers as models: what both generations of its API have in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache

from spawners.slurm import parse
from spawners.slurm.models import ALIVE, AccountedJob, Association, Job, JobState, Node, Qos, Reservation
from spawners.slurm.rest import shapes
from spawners.slurm.rest.wire import no_errors, read, tres_limits, tres_used
from spawners.slurm.states import accounted_state, job_state

_NOTHING_FOUND = frozenset({9003})
"""ESLURM_REST_EMPTY_RESULT: 0.0.38 knows none of these jobs."""


def jobs(body: bytes) -> tuple[Job, ...]:
    """Answer of ``jobs/``."""
    answer = read(shapes.JOBS, body)
    no_errors(answer)
    return tuple(_job(said) for said in answer["jobs"])


def _job(said: shapes.Job) -> Job:
    state, flags = job_state(said["job_state"])
    tres = parse.tres(said.get("tres_alloc_str") or said.get("tres_req_str") or "")
    asked = parse.gres_gpus(
        ",".join(
            text
            for text in (
                said.get("tres_per_node"),
                said.get("tres_per_job"),
                said.get("tres_per_task"),
            )
            if text
        )
    )
    code, signal = _exit(said.get("exit_code")) if state not in ALIVE else (None, None)
    return Job(
        id=said["job_id"],
        state=state,
        user=said["user_name"],
        name=said.get("name") or "",
        flags=flags,
        reason=parse.said(said.get("state_reason") or ""),
        account=said.get("account") or "",
        partition=said.get("partition") or "",
        qos=said.get("qos") or "",
        comment=said.get("comment") or "",
        wckey=(said.get("wckey") or "").removeprefix("*"),
        reservation=said.get("resv_name") or "",
        nodes=parse.expand_hosts(said.get("nodes") or ""),
        cpus=parse.tres_int(tres, "cpu") or said.get("cpus") or 0,
        memory_mib=parse.tres_memory(tres) or 0,
        gpus=parse.tres_gpus(tres, asked),
        submitted_at=parse.epoch(said.get("submit_time")),
        starts_at=parse.epoch(said.get("start_time")),
        ends_at=parse.epoch(said.get("end_time")),
        time_limit=_minutes(said.get("time_limit")),
        exit_code=code,
        signal=signal,
        restarts=said.get("restart_cnt") or 0,
        array_task=said.get("array_task_id"),
    )


def _exit(said: shapes.Exit | None) -> tuple[int | None, int | None]:
    if said is None:
        return None, None
    signal = said.get("signal") or {}
    number = signal.get("id") or signal.get("signal_id") or None
    code = said.get("return_code")
    return (0 if code is None and number else code), number


def _minutes(number: int | None) -> timedelta | None:
    # 0.0.38 says -1, or a number near 2^32, for "no limit".
    return None if number is None or not 0 < number < 0xFFFFFFF0 else timedelta(minutes=number)


def nodes(body: bytes) -> tuple[Node, ...]:
    """Answer of ``nodes/``."""
    answer = read(shapes.NODES, body)
    no_errors(answer)
    return tuple(_node(said) for said in answer["nodes"])


@lru_cache(maxsize=4096)
def _states(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.upper() for word in words) - {"INVALID"}


@lru_cache(maxsize=65536)
def _kept(names: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for all that are equal: less to build, and to send."""
    return names


def _node(said: shapes.Node) -> Node:
    return Node(
        name=said["name"],
        address=said.get("address") or "",
        architecture=said.get("architecture") or "",
        cpus=said.get("effective_cpus") or said["cpus"],
        cpus_used=said["alloc_cpus"],
        memory_mib=said["real_memory"],
        memory_mib_used=said["alloc_memory"],
        gpus=parse.gres_gpus(said.get("gres") or ""),
        gpus_used=parse.gres_gpus(said.get("gres_used") or ""),
        states=_states((*said["state"], *said.get("state_flags", ()))),
        partitions=_kept(tuple(said["partitions"])),
    )


def reservations(body: bytes) -> tuple[Reservation, ...]:
    """Answer of ``reservations/``."""
    answer = read(shapes.RESERVATIONS, body)
    no_errors(answer)
    found = []
    for said in answer["reservations"]:
        starts_at, ends_at = parse.epoch(said.get("start_time")), parse.epoch(said.get("end_time"))
        if starts_at is None or ends_at is None:
            continue
        found.append(
            Reservation(
                name=said["name"],
                users=parse.words(said.get("users") or ""),
                accounts=parse.words(said.get("accounts") or ""),
                groups=parse.words(said.get("groups") or ""),
                nodes=parse.expand_hosts(said.get("node_list") or ""),
                starts_at=starts_at,
                ends_at=ends_at,
                partition=said.get("partition") or "",
            )
        )
    return tuple(found)


def associations(body: bytes, cluster: str) -> tuple[Association, ...]:
    """Answer of ``associations/``, of one cluster: slurmdbd has those of all."""
    answer = read(shapes.ASSOCIATIONS, body)
    no_errors(answer)
    return tuple(_association(said) for said in answer["associations"] if said["cluster"] == cluster)


def _association(said: shapes.Association) -> Association:
    most = said["max"]
    user = said["user"] or ""
    return Association(
        account=said["account"],
        user=user,
        partition=said["partition"] or "",
        parent=said["parent_account"] or "",
        # Newer ones say it of accounts too, where it means nothing.
        is_default=bool(said["is_default"]) and bool(user),
        qos=tuple(sorted(said["qos"])),
        default_qos=said["default"].get("qos") or "",
        max_tres_per_job=tres_limits(most["tres"]["per"]["job"]),
        group_tres=tres_limits(most["tres"]["total"]),
        max_wall=_minutes(most["jobs"]["per"]["wall_clock"]),
        max_jobs=most["jobs"]["active"],
        max_submit_jobs=most["jobs"]["total"],
    )


def qos(said: Iterable[shapes.Qos]) -> tuple[Qos, ...]:
    """Entries of ``qos/``."""
    return tuple(_qos(entry) for entry in said)


def _qos(said: shapes.Qos) -> Qos:
    most = said["limits"]["max"]
    return Qos(
        name=said["name"],
        priority=said["priority"] or 0,
        max_wall=_minutes(most["wall_clock"]["per"]["job"]),
        max_tres_per_job=tres_limits(most["tres"]["per"]["job"]),
        max_tres_per_user=tres_limits(most["tres"]["per"]["user"]),
        group_tres=tres_limits(most["tres"]["total"]),
        max_jobs_per_user=most["jobs"]["active_jobs"]["per"]["user"],
        preempts=tuple(said["preempt"]["list"]),
        flags=frozenset(flag.upper() for flag in said["flags"]),
    )


def clusters(body: bytes) -> tuple[str, ...]:
    """Names in the answer of ``clusters/``."""
    answer = read(shapes.CLUSTERS, body)
    no_errors(answer)
    return tuple(said["name"] for said in answer["clusters"])


def is_up(body: bytes) -> bool:
    """Whether an answer of ``ping`` says that a slurmctld answers."""
    answer = read(shapes.PINGS, body)
    no_errors(answer)
    return any("UP" in (said.get("ping"), said.get("pinged")) for said in answer["pings"])


def accounted(body: bytes, *, are_codes_true: bool = True) -> tuple[AccountedJob, ...]:
    """Runs in slurmdbd. ``are_codes_true``: whether an exit code of 0 of a failed job can be believed."""
    answer = read(shapes.ACCOUNTED, body)
    no_errors(answer, _NOTHING_FOUND)
    return tuple(_accounted(said, are_codes_true) for said in answer.get("jobs", ()))


def _accounted(said: shapes.Accounted, are_codes_true: bool) -> AccountedJob:
    state, reason = accounted_state(said["state"]["current"], parse.said(said["state"]["reason"] or ""))
    time = said["time"]
    cpus, memory_mib, gpus = tres_used(said["tres"]["allocated"])
    has_run = bool(cpus) and state != JobState.PENDING
    code, signal = _exit(said["exit_code"]) if state not in ALIVE else (None, None)
    if not are_codes_true and state == JobState.FAILED and not code and not signal:
        code = None
    largest = [
        item["count"]
        for step in said["steps"]
        for item in step["tres"]["requested"]["max"]
        if item["type"] == "mem" and item.get("count") is not None and (item["count"] or 0) > 0
    ]
    return AccountedJob(
        id=said["job_id"],
        state=state,
        user=said["user"] or "",
        account=said["account"] or "",
        partition=said["partition"] or "",
        comment=said["comment"]["job"] or "",
        submitted_at=parse.epoch(time["submission"]),
        started_at=parse.epoch(time["start"]) if has_run else None,
        ended_at=parse.epoch(time["end"]) if state not in ALIVE else None,
        elapsed_s=(time["elapsed"] or 0) if has_run else 0,
        cpus=cpus,
        memory_mib=memory_mib,
        gpus=gpus,
        nodes=parse.expand_hosts(said["nodes"] or ""),
        exit_code=code,
        signal=signal,
        cancelled_by=(said["kill_request_user"] or "") if state == JobState.CANCELLED else "",
        # Bytes.
        max_rss_mib=-(-max(count or 0 for count in largest) // 1024**2) if largest else None,
        reason=reason,
    )
