"""What tests do with the cluster's jobs: submit, wait, look into accounting, reserve."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from hub.demo.slurm.configuration import NODES
from hub.demo.slurm.people import PosixPeople
from hub.demo.slurm.release import SlurmDemoError

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
)
"""States in which a job has ended (squeue(1), JOB STATE CODES)."""

_PROBE_S = 0.05
_SACCT = (
    "JobIDRaw,JobName,User,Account,Partition,QOS,State,ExitCode,ElapsedRaw,ReqTRES,AllocTRES,NodeList,"
    "Submit,Start,End,TimelimitRaw,Comment,Reason"
)


class Jobs(ABC):
    """Part of `SlurmCluster`; every command is run by root, who is Slurm's administrator."""

    @property
    @abstractmethod
    def people(self) -> PosixPeople:
        """The demo's people."""

    @abstractmethod
    def output(self, job_id: int | str) -> Path:
        """File with the output of a job of `submit_for_test`."""

    @abstractmethod
    def run(
        self,
        *argv: str,
        user: str | None = None,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the cluster's programs are."""

    def checked(
        self,
        *argv: str,
        user: str | None = None,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
    ) -> str:
        """Output of a command.

        Raises
        ------
        SlurmDemoError
            If it fails; what it said is in the text.
        """
        done = self.run(*argv, user=user, input=input)
        if done.returncode != 0:
            said = f"{done.stdout.strip()} {done.stderr.strip()}".strip()
            raise SlurmDemoError(f"{argv[0]} failed with code {done.returncode}: {said}")
        return done.stdout

    def submit_for_test(self, user: str, script: str, **options: str | int) -> int:
        """Job id of a script submitted by a person's sbatch(1); ``options`` are its long options.

        The script runs in the person's home and writes to `output`, unless an option says else.

        Raises
        ------
        SlurmDemoError
            If Slurm refuses; its words are in the text.
        """
        home = str(self.people.home(user))
        words = {"chdir": home, "output": str(self.output("%j")), **options}
        argv = [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]
        text = script if script.startswith("#!") else f"#!/bin/sh\n{script}\n"
        return int(self.checked("sbatch", "--parsable", *argv, user=user, input=text).split(";")[0])

    def job_state(self, job_id: int) -> str:
        """State of a job, of accounting when the scheduler has forgotten it; "" if nobody knows it."""
        done = self.run("scontrol", "--oneliner", "show", "job", str(job_id))
        for word in done.stdout.split():
            if word.startswith("JobState="):
                return word.removeprefix("JobState=")
        return self.sacct(job_id).get("State", "").split(" ")[0]

    def wait_job(self, job_id: int, *states: str, timeout_s: float = 20.0) -> str:
        """State of a job as soon as it is one of ``states``; without any, as soon as it has ended.

        Raises
        ------
        SlurmDemoError
            If it ends in another state, or not in time.
        """
        wanted = states or ENDED
        deadline = time.monotonic() + timeout_s
        while (state := self.job_state(job_id)) not in wanted:
            if state in ENDED or time.monotonic() > deadline:
                detail = self.run("scontrol", "show", "job", str(job_id)).stdout
                raise SlurmDemoError(f"Job {job_id} is {state or 'unknown'}, not {wanted}.\n{detail}")
            time.sleep(_PROBE_S)
        return state

    def sacct(self, job_id: int, *, has_ended: bool = False, timeout_s: float = 10.0) -> dict[str, str]:
        """The allocation's record in accounting, by sacct's field names; empty if there is none.

        ``has_ended`` waits until it has its end: slurmctld tells slurmdbd a little later.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            argv = ("sacct", "-X", "-n", "-P", f"--jobs={job_id}", f"--format={_SACCT}")
            lines = self.checked(*argv).splitlines()
            record = dict(zip(_SACCT.split(","), lines[-1].split("|"), strict=True)) if lines else {}
            # Of a job that ends within seconds slurmdbd hears the end first; its start, with the
            # partition and what was asked for, follows up to 5 s later.
            is_whole = bool(record.get("Partition")) and record["End"] != "Unknown"
            is_done = is_whole and record["State"].split(" ")[0] in ENDED
            if not has_ended or is_done:
                return record
            if time.monotonic() > deadline:
                raise SlurmDemoError(f"Accounting does not know that job {job_id} has ended: {record}")
            time.sleep(_PROBE_S)

    def reserve(
        self,
        name: str,
        *,
        users: tuple[str, ...],
        nodes: tuple[str, ...],
        start: datetime | None = None,
        duration: timedelta = timedelta(hours=1),
    ) -> None:
        """Make a reservation of whole nodes for people, from ``start`` (aware; now by default).

        Raises
        ------
        SlurmDemoError
            If Slurm refuses.
        """
        begins = "now" if start is None else start.astimezone().strftime("%Y-%m-%dT%H:%M:%S")
        self.checked(
            "scontrol",
            "create",
            f"ReservationName={name}",
            f"Users={','.join(users)}",
            f"Nodes={','.join(nodes)}",
            f"StartTime={begins}",
            f"Duration={int(duration.total_seconds() // 60)}",
            # Running jobs stay where they are.
            "Flags=IGNORE_JOBS",
        )

    def remove_reservation(self, name: str) -> None:
        """End a reservation."""
        self.checked("scontrol", "delete", f"ReservationName={name}")

    def cancel_all(self, timeout_s: float = 20.0) -> None:
        """Cancel every job, and wait until all have ended.

        Raises
        ------
        SlurmDemoError
            If they have not in time.
        """
        deadline = time.monotonic() + timeout_s
        while ids := self.checked("squeue", "--noheader", "--format=%A").split():
            if time.monotonic() > deadline:
                raise SlurmDemoError(f"Jobs {', '.join(ids)} do not end.")
            # One that has ended by now is no error.
            self.run("scancel", *ids)
            time.sleep(_PROBE_S)

    def set_node(self, name: str, state: Literal["down", "drain", "resume"]) -> None:
        """Tell slurmctld what a node is: the jobs of one that is down have failed."""
        self.checked("scontrol", "update", f"NodeName={name}", f"State={state}", "Reason=test")

    def node_states(self) -> dict[str, str]:
        """State of each node as sinfo(1) says it, such as "idle", "mixed", "down*"."""
        lines = self.checked("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
        return dict(sorted({(name, state) for name, state in (line.split() for line in lines)}))

    def wait_tres(self, name: str, timeout_s: float = 20.0) -> None:
        """Wait until accounting knows a kind of resource, such as "gres/gpu".

        Raises
        ------
        SlurmDemoError
            If it does not in time.
        """
        deadline = time.monotonic() + timeout_s
        argv = ("sacctmgr", "--noheader", "--parsable2", "show", "tres", "format=type,name")
        while name.replace("/", "|") not in self.checked(*argv).splitlines():
            if time.monotonic() > deadline:
                raise SlurmDemoError(f"Accounting does not know {name}.")
            time.sleep(_PROBE_S)

    def wait_nodes(self, *states: str, nodes: tuple[str, ...] = NODES, timeout_s: float = 30.0) -> None:
        """Wait until nodes are in one of ``states`` ("idle" by default).

        Raises
        ------
        SlurmDemoError
            If they are not in time.
        """
        wanted = states or ("idle",)
        deadline = time.monotonic() + timeout_s
        while True:
            now = self.node_states()
            if all(now.get(node) in wanted for node in nodes):
                return
            if time.monotonic() > deadline:
                raise SlurmDemoError(f"The nodes are {now}, not {wanted}.")
            time.sleep(_PROBE_S)
