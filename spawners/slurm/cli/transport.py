"""A Slurm cluster by its own programs (squeue, scontrol, sacct, sacctmgr, sbatch, scancel)."""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from spawners.ownthreads import OwnThreads
from spawners.slurm import parse
from spawners.slurm.cli import formats
from spawners.slurm.cli.programs import Done, Programs
from spawners.slurm.decode import Decoder
from spawners.slurm.models import (
    AccountedJob,
    Association,
    Job,
    JobSpec,
    Node,
    Partition,
    Qos,
    Reservation,
    marked,
)
from spawners.slurm.parse import NotUnderstoodError, plain
from spawners.slurm.refusals import is_no_answer
from spawners.slurm.settings import CliSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError

T = TypeVar("T")

_OVER = re.compile(r"already comp|Invalid job id specified", re.IGNORECASE)
_PREFIX = re.compile(
    r"^(?:sbatch|scancel|scontrol|slurm_update|squeue|sacct|sacctmgr)(?:: error)?: ?", re.MULTILINE
)
_SLURMS_WORDS = re.compile(
    r"(?:sbatch|scancel|scontrol|slurm_update\w*)(?:: error| error)?: |allocation failure: |for job \d"
)
_DIRECTORY_S = 5.0

_MOST_IDS = 1000
"""Job ids in one argument vector; more are several questions."""


class CliTransport:
    """`spawners.slurm.transport.Transport` by Slurm's programs."""

    def __init__(self, settings: CliSettings, service_account: str) -> None:
        self._programs = Programs(settings, service_account)
        self._decoder = Decoder()
        self._threads = OwnThreads("accounts")
        self._cluster: str | None = None

    async def submit(self, spec: JobSpec) -> int:
        """Submit by sbatch, run as the person; the environment arrives by a descriptor."""
        done = await self._programs.run_as(
            spec.user,
            "sbatch",
            # With a file of variables ALL means all of that file; NIL would have slurmd run the
            # person's login shell (22.05), or drop the file (24.11).
            ["--parsable", "--export=ALL", *_options(spec)],
            script=spec.script,
            environment=spec.environment,
        )
        if done.code != 0:
            raise _refusal(done)
        # "id" or "id;cluster"
        job_id = done.out.decode(errors="replace").strip().partition(";")[0]
        if not job_id.isdigit():
            raise SlurmUnavailableError(f"sbatch said {plain(job_id, 80)!r} in place of a job id.")
        return int(job_id)

    async def expected_start(self, spec: JobSpec) -> datetime | None:
        """Start that ``sbatch --test-only`` tells."""
        arguments = ["--test-only", "--export=ALL", *_options(spec)]
        done = await self._programs.run_as(spec.user, "sbatch", arguments, script=spec.script, environment={})
        if done.code != 0:
            raise _refusal(done)
        found = formats.expected_start(done.errors)
        return None if found is None else _understood(partial(parse.moment, found))

    async def cancel(self, job_id: int, *, user: str) -> None:
        """Cancel by scancel, run as the person."""
        done = await self._programs.run_as(user, "scancel", [str(job_id)])
        if (done.code != 0 or done.errors.strip()) and not _OVER.search(done.errors):
            raise _refusal(done)

    async def set_time_limit(self, job_id: int, limit: timedelta) -> None:
        """Set it by scontrol, run as the service account."""
        minutes = parse.whole_minutes(limit)
        done = await self._programs.ask("scontrol", "update", f"JobId={job_id}", f"TimeLimit={minutes}")
        if done.code != 0 or done.errors.strip():
            raise _refusal(done)

    async def jobs(self) -> tuple[Job, ...]:
        """Jobs of squeue."""
        mark = formats.separator()
        words = ("--noheader", "--all", "--states=all", f"--Format={formats.squeue_format(mark)}")
        return await self._ask(partial(formats.jobs, mark=mark), "squeue", *words)

    async def nodes(self) -> tuple[Node, ...]:
        """Nodes of scontrol."""
        return await self._ask(formats.nodes, "scontrol", "--all", "--oneliner", "--details", "show", "node")

    async def partitions(self) -> tuple[Partition, ...]:
        """Partitions of scontrol."""
        return await self._ask(formats.partitions, "scontrol", "--all", "--oneliner", "show", "partition")

    async def reservations(self) -> tuple[Reservation, ...]:
        """Reservations of scontrol."""
        found = await self._ask(
            formats.reservations, "scontrol", "--all", "--oneliner", "show", "reservation"
        )
        return tuple(reservation for reservation in found if reservation.ends_at > datetime.now(UTC))

    async def associations(self) -> tuple[Association, ...]:
        """Associations of sacctmgr, with the users' default accounts."""
        cluster = f"Cluster={await self._cluster_name()}"
        defaults = await self._text(
            "sacctmgr", *_TABLE, "show", "user", "withassoc", cluster, f"Format={','.join(formats.DEFAULTS)}"
        )
        words = ("show", "association", cluster, f"Format={','.join(formats.ASSOCIATIONS)}")
        return await self._ask(partial(formats.associations, defaults=defaults), "sacctmgr", *_TABLE, *words)

    async def qos(self) -> tuple[Qos, ...]:
        """Qualities of service of sacctmgr."""
        return await self._ask(
            formats.qos, "sacctmgr", *_TABLE, "show", "qos", f"Format={','.join(formats.QOS)}"
        )

    async def accounted(self, job_ids: Collection[int]) -> tuple[AccountedJob, ...]:
        """Runs of sacct, duplicates included."""
        ids = sorted(set(job_ids))
        found: list[AccountedJob] = []
        for at in range(0, len(ids), _MOST_IDS):
            found += await self._sacct(
                "--jobs=" + ",".join(str(job_id) for job_id in ids[at : at + _MOST_IDS])
            )
        # An id is given again after millions of jobs, and an array's id means all of its tasks.
        return tuple(job for job in found if job.id in set(ids))

    async def accounted_since(self, since: datetime) -> tuple[AccountedJob, ...]:
        """Runs of sacct; a comment reaches slurmdbd when its job ends, with ``AccountingStoreFlags``."""
        # sacct refuses an end before the start.
        start = min(since.astimezone(UTC), datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S")
        found = await self._sacct("--allusers", f"--starttime={start}", "--endtime=now")
        return tuple(job for job in found if marked(job.comment))

    async def _sacct(self, *words: str) -> tuple[AccountedJob, ...]:
        mark = formats.separator()
        fixed = ("--noheader", "--parsable", f"--delimiter={mark}", "--duplicates", "--noconvert")
        decode = partial(formats.accounted, mark=mark)
        found = await self._ask(decode, "sacct", *fixed, f"--format={','.join(formats.SACCT)}", *words)
        uids = {job.cancelled_by for job in found if job.cancelled_by}
        names = await self._names(uids) if uids else {}
        return tuple(replace(job, cancelled_by=names.get(job.cancelled_by, "")) for job in found)

    async def _names(self, uids: Collection[str]) -> dict[str, str]:
        try:
            return await self._threads.run(partial(_names, uids), timeout_s=_DIRECTORY_S)
        except TimeoutError:  # a number says it as well, and settlement does not wait for names
            return {uid: uid for uid in uids}

    async def ping(self) -> None:
        """Ask slurmctld by scontrol."""
        if " is UP" not in await self._text("scontrol", "ping"):
            raise SlurmUnavailableError("slurmctld does not answer.")

    async def aclose(self) -> None:
        """End the spare process."""
        await self._decoder.aclose()

    async def _cluster_name(self) -> str:
        if self._cluster is None:
            match = re.search(
                r"^ClusterName\s*=\s*(\S+)$", await self._text("scontrol", "show", "config"), re.MULTILINE
            )
            if match is None:
                raise SlurmUnavailableError("scontrol does not tell the cluster's name.")
            self._cluster = match[1]
        return self._cluster

    async def _text(self, program: str, *words: str) -> str:
        return (await self._answer(program, *words)).decode(errors="replace")

    async def _answer(self, program: str, *words: str) -> bytes:
        done = await self._programs.ask(program, *words)
        # An empty answer with an error is not "there are none", and one may be cut by an error.
        if done.code != 0 or "error:" in done.errors or (not done.out.strip() and done.errors.strip()):
            raise SlurmUnavailableError(_said(done) or f"{program} ended with code {done.code}.")
        return done.out

    async def _ask(self, decode: Callable[[str], T], program: str, *words: str) -> T:
        return await self._decoder.decode_text(decode, await self._answer(program, *words))


_TABLE = ("--noheader", "--parsable2")


def _options(spec: JobSpec) -> list[str]:
    given = {
        "job-name": spec.name,
        "comment": spec.comment,
        "partition": spec.partition,
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(spec.cpus),
        "mem": f"{spec.memory_mib}M",
        "time": str(parse.whole_minutes(spec.time_limit)),
        "chdir": spec.workdir,
        "output": spec.log,
        "open-mode": "append",
        "gres": f"gpu:{spec.gpu_type}:{spec.gpus}".replace("::", ":") if spec.gpus else None,
        "account": spec.account,
        "qos": spec.qos,
        "reservation": spec.reservation,
        "constraint": spec.constraint,
        # Not those of the process that submits.
        "propagate": "NONE",
    }
    return [f"--{name}={value}" for name, value in given.items() if value is not None] + ["--no-requeue"]


def _said(done: Done) -> str:
    text = _PREFIX.sub("", done.errors) or done.out[:2000].decode(errors="replace")
    return plain(" · ".join(line.strip() for line in text.splitlines() if line.strip()))


def _refusal(done: Done) -> SlurmError | SlurmUnavailableError:
    """What a failed change means: only Slurm's own words are a refusal."""
    said = _said(done)
    is_slurm = re.search(
        r"(?:sbatch|scancel|scontrol|slurm_update\w*)(?:: error| error)?: |allocation failure: |for job \d",
        done.errors,
    )
    if done.code < 0 or (done.code > 1 and not said) or not is_slurm or is_no_answer(said):
        return SlurmUnavailableError(said or f"A program of Slurm ended with code {done.code}.")
    for phrase in ("allocation failure: ", "Batch job submission failed: "):
        said = said.replace(phrase, "")
    return SlurmError(said)


def _understood(function: Callable[[], T]) -> T:
    try:
        return function()
    except NotUnderstoodError as e:
        raise SlurmUnavailableError(f"Not understood: {e}") from e


def _names(uids: Collection[str]) -> dict[str, str]:
    found = {}
    for uid in uids:
        try:
            found[uid] = pwd.getpwuid(int(uid)).pw_name
        except KeyError:
            found[uid] = uid
    return found
