"""What Slurm's programs print, as models. Pure functions of their output.

squeue and sacct print fields that people write (names, comments), in which any separator may occur;
so each question has a separator of its own that nobody can know (`separator`). scontrol has none:
of ``key=value`` pairs the first with a key counts, since text of administrators comes last.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping

from spawners.slurm import parse
from spawners.slurm.models import (
    ALIVE,
    AccountedJob,
    Association,
    Job,
    JobState,
    Node,
    Partition,
    Qos,
    Reservation,
)
from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.states import accounted_state, job_state

_NULL = frozenset({"(null)", "N/A"})


def separator() -> str:
    """Text that occurs in no answer: a letter first, since squeue reads digits as a width."""
    return f"z{secrets.token_hex(8)}z"


def records(text: str, mark: str, width: int) -> list[list[str]]:
    """Records of ``width`` fields, each field ended by the separator, each record by a new line.

    Raises
    ------
    NotUnderstoodError
        If the answer is cut or has other fields.
    """
    fields = text.split(mark)
    last = fields.pop()
    if last.strip() or len(fields) % width:
        raise NotUnderstoodError(f"{len(fields)} fields are no records of {width}")
    found = [fields[at : at + width] for at in range(0, len(fields), width)]
    for record in found[1:]:
        if not record[0].startswith("\n"):
            raise NotUnderstoodError("a record that does not begin on a line of its own")
    for record in found:
        record[0] = record[0].strip()
    return found


# fmt: off
SQUEUE = (
    "JobID", "State", "UserName", "Name", "Reason", "Account", "Partition", "QOS", "Comment", "WCKey",
    "Reservation", "NodeList", "NumCPUs", "tres-alloc", "tres-per-node", "tres-per-job", "tres-per-task",
    "SubmitTime", "StartTime", "EndTime", "TimeLimit", "exit_code", "restartcnt", "ArrayTaskID",
)
"""Fields of squeue(1) ``--Format``; a width of 0 is "as wide as it is"."""
# fmt: on


def squeue_format(mark: str) -> str:
    """Argument of ``--Format`` with the separator after each field."""
    return ",".join(f"{name}:0{mark}" for name in SQUEUE)


def jobs(text: str, mark: str) -> tuple[Job, ...]:
    """Jobs of squeue."""
    return tuple(_job(dict(zip(SQUEUE, record, strict=True))) for record in records(text, mark, len(SQUEUE)))


def _job(said: Mapping[str, str]) -> Job:
    state, flags = job_state([said["State"]])
    tres = parse.tres(_null(said["tres-alloc"]))
    asked = parse.gres_gpus(
        ",".join(_null(said[name]) for name in ("tres-per-node", "tres-per-job", "tres-per-task"))
    )
    code, signal = _exit(said["exit_code"]) if state not in ALIVE else (None, None)
    return Job(
        id=int(said["JobID"]),
        state=state,
        user=said["UserName"],
        name=_null(said["Name"]),
        flags=flags,
        reason=parse.said(said["Reason"]),
        account=_null(said["Account"]),
        partition=_null(said["Partition"]),
        qos=_null(said["QOS"]),
        comment=_null(said["Comment"]),
        # "*" stands before a default one.
        wckey=_null(said["WCKey"]).removeprefix("*"),
        reservation=_null(said["Reservation"]),
        nodes=parse.expand_hosts(said["NodeList"]),
        cpus=parse.tres_int(tres, "cpu") or _int(said["NumCPUs"]),
        memory_mib=parse.tres_memory(tres) or 0,
        gpus=parse.tres_gpus(tres, asked),
        submitted_at=parse.moment(said["SubmitTime"]),
        starts_at=parse.moment(said["StartTime"]),
        ends_at=parse.moment(said["EndTime"]),
        time_limit=parse.duration(said["TimeLimit"]),
        exit_code=code,
        signal=signal,
        restarts=_int(said["restartcnt"]),
        array_task=int(said["ArrayTaskID"]) if said["ArrayTaskID"].isdigit() else None,
    )


def _exit(text: str) -> tuple[int | None, int | None]:
    # 22.05 prints the status of wait(2), later ones "code:signal".
    return parse.exit_code(text) if ":" in text else parse.wait_status(_int(text))


# fmt: off
SACCT = (
    "JobIDRaw", "State", "User", "Account", "Partition", "Comment", "Submit", "Start", "End", "ElapsedRaw",
    "AllocTRES", "NodeList", "ExitCode", "MaxRSS", "Reason",
)
"""Fields of sacct(1)."""
# fmt: on

_CANCELLED_BY = re.compile(r"CANCELLED by (\d{1,10})")


def accounted(text: str, mark: str) -> tuple[AccountedJob, ...]:
    """Runs of jobs, of sacct with steps; ``cancelled_by`` is a uid here."""
    found: list[AccountedJob] = []
    largest: int | None = None
    run: Mapping[str, str] | None = None
    for record in records(text, mark, len(SACCT)):
        said = dict(zip(SACCT, record, strict=True))
        if "." in said["JobIDRaw"]:
            # The steps of a run follow it.
            if said["MaxRSS"]:
                largest = max(largest or 0, parse.memory_mib(said["MaxRSS"], unit="B"))
            continue
        if run is not None:
            found.append(_accounted(run, largest))
        run, largest = said, None
    if run is not None:
        found.append(_accounted(run, largest))
    return tuple(found)


def _accounted(said: Mapping[str, str], largest: int | None) -> AccountedJob:
    cancelled = _CANCELLED_BY.fullmatch(said["State"].strip())
    state, reason = accounted_state([said["State"].split(" ")[0]], parse.said(said["Reason"]))
    tres = parse.tres(said["AllocTRES"])
    has_ended = state not in ALIVE
    # Of a job that was cancelled while it waited the start is the cancellation, or what was expected.
    has_run = bool(tres) and state != JobState.PENDING
    code, signal = parse.exit_code(said["ExitCode"]) if has_ended else (None, None)
    job_id, _, _ = said["JobIDRaw"].partition("+")
    return AccountedJob(
        id=int(job_id),
        state=state,
        user=said["User"],
        account=said["Account"],
        partition=said["Partition"],
        comment=said["Comment"],
        submitted_at=parse.moment(said["Submit"]),
        started_at=parse.moment(said["Start"]) if has_run else None,
        ended_at=parse.moment(said["End"]) if has_ended else None,
        elapsed_s=_int(said["ElapsedRaw"]) if has_run else 0,
        cpus=parse.tres_int(tres, "cpu") or 0,
        memory_mib=parse.tres_memory(tres) or 0,
        gpus=sum(parse.tres_gpus(tres).values()),
        nodes=parse.expand_hosts(said["NodeList"]),
        exit_code=code,
        signal=signal,
        cancelled_by=cancelled[1] if cancelled else "",
        max_rss_mib=largest,
        reason=reason,
    )


# scontrol show … --oneliner

_PAIR = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_/:]*)=")


def pairs(line: str) -> dict[str, str]:
    """``key=value`` pairs of a line; of a key that comes again, the first."""
    found: dict[str, str] = {}
    keys = list(_PAIR.finditer(line))
    for number, match in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(line)
        found.setdefault(match[1], line[match.end() : end].strip())
    return found


def _lines(text: str, key: str) -> Iterable[dict[str, str]]:
    for line in text.splitlines():
        if line.startswith(f"{key}="):
            yield pairs(line)
        elif line.strip() and not line.startswith("No "):
            raise NotUnderstoodError(f"{parse.plain(line, 80)!r} in place of {key}")


def nodes(text: str) -> tuple[Node, ...]:
    """Nodes of ``scontrol --details show node``."""
    return tuple(_node(said) for said in _lines(text, "NodeName"))


def _node(said: Mapping[str, str]) -> Node:
    # "IDLE+DRAIN", "DOWN*": a sign after the state is a flag that the words say too.
    states = {word.rstrip("*~#!%$@^-") for word in said["State"].upper().split("+")}
    if "*" in said["State"]:
        states.add("NOT_RESPONDING")
    return Node(
        name=said["NodeName"],
        address=_null(said.get("NodeAddr", "")),
        architecture=_null(said.get("Arch", "")),
        cpus=_int(said.get("CPUEfctv") or said["CPUTot"]),
        cpus_used=_int(said["CPUAlloc"]),
        memory_mib=_int(said["RealMemory"]),
        memory_mib_used=_int(said["AllocMem"]),
        gpus=parse.gres_gpus(said.get("Gres", "")),
        gpus_used=parse.gres_gpus(said.get("GresUsed", "")),
        states=frozenset(states - {""}),
        partitions=parse.words(said.get("Partitions", "")),
    )


def partitions(text: str) -> tuple[Partition, ...]:
    """Partitions of ``scontrol show partition``."""
    return tuple(_partition(said) for said in _lines(text, "PartitionName"))


def _partition(said: Mapping[str, str]) -> Partition:
    return Partition(
        name=said["PartitionName"],
        nodes=parse.expand_hosts(said["Nodes"]),
        is_up=said["State"].upper() == "UP",
        is_default=said.get("Default") == "YES",
        max_time=parse.duration(said["MaxTime"]),
        default_time=parse.duration(
            _null(said.get("DefaultTime", "")) if said.get("DefaultTime") != "NONE" else ""
        ),
        max_nodes=_limit(said["MaxNodes"]),
        max_memory_per_node_mib=_limit(said.get("MaxMemPerNode", "")),
        max_memory_per_cpu_mib=_limit(said.get("MaxMemPerCPU", "")),
        allowed_accounts=parse.words(said.get("AllowAccounts", "")),
        denied_accounts=parse.words(said.get("DenyAccounts", "")),
        allowed_qos=parse.words(said.get("AllowQos", "")),
        denied_qos=parse.words(said.get("DenyQos", "")),
        allowed_groups=parse.words(said.get("AllowGroups", "")),
        qos=parse.said(said.get("QoS", "")),
    )


def reservations(text: str) -> tuple[Reservation, ...]:
    """Reservations of ``scontrol show reservation``; those without an end are left out."""
    found = []
    for said in _lines(text, "ReservationName"):
        starts_at, ends_at = parse.moment(said["StartTime"]), parse.moment(said["EndTime"])
        if starts_at is None or ends_at is None:
            continue
        found.append(
            Reservation(
                name=said["ReservationName"],
                users=parse.words(said.get("Users", "")),
                accounts=parse.words(said.get("Accounts", "")),
                groups=parse.words(said.get("Groups", "")),
                nodes=parse.expand_hosts(said.get("Nodes", "")),
                starts_at=starts_at,
                ends_at=ends_at,
                partition=parse.said(said.get("PartitionName", "")),
            )
        )
    return tuple(found)


# sacctmgr --parsable2: names that administrators give, without "|".

# fmt: off
ASSOCIATIONS = (
    "Cluster", "Account", "User", "Partition", "ParentName", "DefaultQOS", "QOS", "MaxTRES", "GrpTRES",
    "MaxWall", "MaxJobs", "MaxSubmit",
)
# fmt: on
QOS = ("Name", "Priority", "MaxWall", "MaxTRES", "MaxTRESPU", "GrpTRES", "MaxJobsPU", "Preempt", "Flags")
DEFAULTS = ("User", "DefaultAccount")

_QOS_FLAGS = {
    "DENYONLIMIT": "DENY_LIMIT",
    "ENFORCEUSAGETHRESHOLD": "ENFORCE_USAGE_THRESHOLD",
    "NODECAY": "NO_DECAY",
    "NORESERVE": "NO_RESERVE",
    "OVERPARTQOS": "OVERRIDE_PARTITION_QOS",
    "PARTITIONMAXNODES": "PARTITION_MAXIMUM_NODE",
    "PARTITIONMINNODES": "PARTITION_MINIMUM_NODE",
    "PARTITIONTIMELIMIT": "PARTITION_TIME_LIMIT",
    "REQUIRESRESERVATION": "REQUIRED_RESERVATION",
    "USAGEFACTORSAFE": "USAGE_FACTOR_SAFE",
}
"""Flags of a QOS under the names that slurmrestd has for them."""


def table(text: str, names: tuple[str, ...]) -> list[dict[str, str]]:
    """Lines of ``sacctmgr --parsable2 --noheader``."""
    found = []
    for line in text.splitlines():
        values = line.split("|")
        if len(values) != len(names):
            raise NotUnderstoodError(f"{len(values)} columns in place of {len(names)}")
        found.append(dict(zip(names, values, strict=True)))
    return found


def associations(text: str, defaults: str) -> tuple[Association, ...]:
    """Associations; ``defaults`` are the users with their default accounts."""
    default = {said["User"]: said["DefaultAccount"] for said in table(defaults, DEFAULTS)}
    return tuple(
        Association(
            account=said["Account"],
            user=said["User"],
            partition=said["Partition"],
            parent=said["ParentName"],
            is_default=bool(said["User"]) and default.get(said["User"]) == said["Account"],
            qos=parse.words(said["QOS"]),
            default_qos=said["DefaultQOS"],
            max_tres_per_job=parse.limits(said["MaxTRES"]),
            group_tres=parse.limits(said["GrpTRES"]),
            max_wall=parse.duration(said["MaxWall"]),
            max_jobs=_limit(said["MaxJobs"]),
            max_submit_jobs=_limit(said["MaxSubmit"]),
        )
        for said in table(text, ASSOCIATIONS)
    )


def qos(text: str) -> tuple[Qos, ...]:
    """Qualities of service."""
    return tuple(
        Qos(
            name=said["Name"],
            priority=_int(said["Priority"]),
            max_wall=parse.duration(said["MaxWall"]),
            max_tres_per_job=parse.limits(said["MaxTRES"]),
            max_tres_per_user=parse.limits(said["MaxTRESPU"]),
            group_tres=parse.limits(said["GrpTRES"]),
            max_jobs_per_user=_limit(said["MaxJobsPU"]),
            preempts=parse.words(said["Preempt"]),
            flags=frozenset(
                _QOS_FLAGS.get(flag.upper(), flag.upper()) for flag in parse.words(said["Flags"])
            ),
        )
        for said in table(text, QOS)
    )


_TO_START = re.compile(r"Job \d+ to start at (\S+) ")


def expected_start(text: str) -> str | None:
    """Time in the answer of ``sbatch --test-only``."""
    match = _TO_START.search(text)
    return match[1] if match else None


def _null(text: str) -> str:
    return "" if text in _NULL else text


def _int(text: str) -> int:
    if not text.isdigit():
        if parse.said(text):
            raise NotUnderstoodError(f"number {parse.plain(text, 40)!r}")
        return 0
    return int(text)


def _limit(text: str) -> int | None:
    return None if not parse.said(text) or text.strip().upper() in {"UNLIMITED", "INFINITE"} else _int(text)
