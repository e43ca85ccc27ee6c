"""Slurm's words for waiting and ending, as sentences for a scientist that say what to do.

The codes are those of slurm.schedmd.com/job_reason_codes.html, of squeue(1) JOB REASON CODES and of
JOB STATE CODES. A code that is not known here is shown as Slurm's own word.
"""

from __future__ import annotations

import re

from spawners.session.exits import SENTENCES
from spawners.slurm.models import JobState
from spawners.slurm.parse import plain

_BY_ITSELF = "It starts by itself."
_SMALLER_SOONER = "It starts by itself; a smaller size or a shorter time may start sooner."
_SUPPORT = "Ask the facility's support if this lasts."
_CHANGE = "It will not start as it is: cancel it and choose"

_WAITING = {
    "": "Waiting for the scheduler to look at it.",
    "None": "Waiting for the scheduler to look at it.",
    "WaitingForScheduling": "Waiting for the scheduler to look at it.",
    "SchedDefer": "Waiting for the scheduler to look at it.",
    "Priority": f"Waiting behind jobs of higher priority. {_SMALLER_SOONER}",
    "Resources": f"Waiting for free resources. {_SMALLER_SOONER}",
    "ReqNodeNotAvail": (
        f"Waiting for nodes that are down, reserved or under maintenance. {_BY_ITSELF} "
        "A time that ends before an announced maintenance may start sooner, as may another place."
    ),
    "Reservation": f"Waiting for its reservation to begin or to have room. {_BY_ITSELF}",
    "ReservationInvalid": f"Its reservation is not valid. {_CHANGE} another reservation, or none.",
    "ReservationDeleted": f"Its reservation was removed. {_CHANGE} another reservation, or none.",
    "BeginTime": f"Waiting for its time to begin, as after it was put back into the queue. {_BY_ITSELF}",
    "Dependency": "Waiting for another job to end.",
    "DependencyNeverSatisfied": "It waits for a job that will never end well: cancel it.",
    "Licenses": f"Waiting for a software licence. {_BY_ITSELF}",
    "Cleaning": f"Its last run is still being cleaned up. {_BY_ITSELF}",
    "Prolog": "Its nodes are being prepared.",
    "PartitionDown": f"The partition is switched off. Choose another place, or wait. {_SUPPORT}",
    "PartitionInactive": f"The partition does not start jobs now. Choose another place, or wait. {_SUPPORT}",
    "PartitionConfig": f"The partition does not take such a job. {_CHANGE} another place or a smaller size.",
    "PartitionNodeLimit": (
        f"The partition has not enough nodes, or they are down. {_CHANGE} another place or a smaller size."
    ),
    "PartitionTimeLimit": f"Its time is longer than the partition allows. {_CHANGE} a shorter time.",
    "AccountNotAllowed": f"The partition does not take its account. {_CHANGE} another account or place.",
    "QOSNotAllowed": f"The partition does not take its QOS. {_CHANGE} another QOS or place.",
    "InvalidAccount": f"Its account is not valid. {_CHANGE} another account.",
    "InvalidQOS": f"Its QOS is not valid. {_CHANGE} another QOS.",
    "BadConstraints": f"No node is as it asks. {_CHANGE} another size or place.",
    "Constraints": f"No node is as it asks. {_CHANGE} another size or place.",
    "MaxMemPerLimit": f"It asks for more memory than the partition allows. {_CHANGE} less memory.",
    "JobHeldUser": "It is held (scontrol hold). Release it with scontrol release, or cancel it.",
    "JobHeldAdmin": f"An administrator holds it. {_SUPPORT}",
    "JobHoldMaxRequeue": f"It failed to start too often and is held. Cancel it and start anew. {_SUPPORT}",
    "NodeDown": f"A node that it needs is down. {_BY_ITSELF} Another place may start sooner.",
    "FrontEndDown": f"The cluster's front end is down. {_SUPPORT}",
    "PowerNotAvail": f"Waiting for nodes that are switched off. {_BY_ITSELF}",
    "PowerReserved": f"Waiting for nodes that are switched off. {_BY_ITSELF}",
    "BurstBufferResources": f"Waiting for room on the burst buffer. {_BY_ITSELF}",
    "BurstBufferStageIn": f"Its data are being staged to the burst buffer. {_BY_ITSELF}",
    "BurstBufferOperation": f"The burst buffer failed. Cancel it and start anew. {_SUPPORT}",
    "JobArrayTaskLimit": "Waiting for other tasks of its array.",
    "SystemFailure": f"Slurm, the network or a file system failed. {_SUPPORT}",
    "JobLaunchFailure": f"It could not be launched on its node. Cancel it and start anew. {_SUPPORT}",
    "AssociationJobLimit": f"As many jobs of your account as are allowed at once run already. {_BY_ITSELF}",
    "AssociationResourceLimit": f"Your account uses as much at once as it may. {_BY_ITSELF}",
    "AssociationTimeLimit": "Your account's time is used up. Choose another account, or ask its owner.",
    "QOSJobLimit": f"As many jobs as the QOS allows at once run already. {_BY_ITSELF}",
    "QOSResourceLimit": f"The QOS uses as much at once as it may. {_BY_ITSELF}",
    "QOSTimeLimit": "The QOS's time is used up. Choose another QOS.",
    "QOSUsageThreshold": "Your account has used too much for this QOS. Choose another QOS.",
    "AccountingPolicy": f"A limit of your account or QOS is reached. {_SMALLER_SOONER}",
    "FedJobLock": f"Waiting for another cluster of the federation. {_BY_ITSELF}",
    "launch failed requeued held": (
        f"It could not be launched on its node and is held. Cancel it and start anew. {_SUPPORT}"
    ),
    "job requeued in held state": "It was put back into the queue and is held. Cancel it, or ask support.",
    "user env retrieval failed requeued held": (
        f"Your shell's environment could not be read on the node. Cancel it and start anew. {_SUPPORT}"
    ),
}

_LIMIT = re.compile(
    r"(?P<whose>Assoc|QOS)?(?P<kind>Grp|Max|Min)(?P<what>[A-Za-z]+?)"
    r"(?P<minutes>Minutes|RunMinutes|CPUMinutes)?(?P<per>Per(?:Job|Node|User|Account))?"
    r"(?:Limit|NotSatisfied)?\Z"
)
"""Shape of the hundred codes of limits: whose, which kind, of what, over what."""

_WHAT = {
    "cpu": "CPU cores",
    "mem": "memory",
    "memory": "memory",
    "node": "nodes",
    "gres": "GPUs",
    "job": "running jobs",
    "jobs": "running jobs",
    "submitjob": "submitted jobs",
    "submitjobs": "submitted jobs",
    "wall": "time",
    "wallduration": "time",
    "license": "licences",
    "billing": "billing units",
    "energy": "energy",
    "bb": "burst buffer",
}


def waiting(code: str) -> str:
    """Why a job waits and what to do, from its reason as Slurm gives it.

    The reason may be a code with details behind a comma (``ReqNodeNotAvail, UnavailableNodes:cpu1``)
    or Slurm's own text with blanks or underscores; unknown ones are shown as they are, on one line.
    """
    code = code.strip().removeprefix("(").removesuffix(")")
    main, _, details = code.partition(",")
    sentence = _WAITING.get(main) or _WAITING.get(main.replace("_", " ")) or _limit(main)
    if sentence is None:
        return f"Waiting; Slurm says: {plain(code)}."
    nodes = details.strip().removeprefix("UnavailableNodes:")
    return f"{sentence} Not available: {plain(nodes)}." if main == "ReqNodeNotAvail" and nodes else sentence


def _limit(code: str) -> str | None:
    """Sentence for a limit of an association or QOS; None if the code is no such."""
    found = _LIMIT.match(code)
    if found is None or not (found["whose"] or found["per"] == "PerAccount"):
        return None
    what = _WHAT.get(found["what"].lower(), "a resource")
    whose = "The QOS's" if found["whose"] == "QOS" else "Your account's"
    if found["kind"] == "Min":
        return f"{whose} least of {what} is not reached. {_CHANGE} a larger size, or another QOS."
    if found["minutes"] == "RunMinutes":
        return (
            f"{whose} budget of {what} over time is reserved by running jobs. It starts when some of them "
            "end; a shorter time may start sooner."
        )
    if found["minutes"] and found["kind"] == "Grp":
        return (
            f"{whose} budget of {what} over time is used up. Choose another account or QOS, or ask support."
        )
    if _is_per_job(found):
        return f"It asks for more {what} than {whose.lower().replace('qos', 'QOS')} limit for one job. " + (
            f"{_CHANGE} a {'shorter time' if what == 'time' or found['minutes'] else 'smaller size'}, "
            "or another QOS."
        )
    if found["per"] == "PerUser" or (found["whose"] == "Assoc" and found["kind"] == "Max"):
        return f"Your limit of {what} at once is reached. It starts when other jobs of yours end."
    return f"{whose} limit of {what} at once is reached. It starts when other jobs of it end."


def _is_per_job(found: re.Match[str]) -> bool:
    """Whether a limit is on one job, so that waiting does not help."""
    if found["kind"] != "Max":
        return False
    counts_jobs = "job" in found["what"].lower()
    return found["per"] in ("PerJob", "PerNode") or (
        not found["per"]
        and not counts_jobs
        and found["what"].lower().startswith(("wall", "cpu", "node", "mem"))
    )


_ENDED = {
    JobState.COMPLETED: "The session's server ended by itself.",
    JobState.OUT_OF_MEMORY: "It used more memory than it had and was ended. Choose a size with more memory.",
    JobState.TIMEOUT: "It reached the end of its time.",
    JobState.DEADLINE: "It reached its deadline.",
    JobState.NODE_FAIL: "Its node failed. Nothing of yours was wrong: start it again.",
    JobState.BOOT_FAIL: "Its node did not start. Nothing of yours was wrong: start it again.",
    JobState.PREEMPTED: "It had to make room for a job of higher priority. Start it again later.",
}


def ended(
    state: JobState, *, cancelled_by: str = "", exit_code: int | None = None, signal: int | None = None
) -> str:
    """Why a job ended and what to do."""
    if state is JobState.CANCELLED:
        return f"It was cancelled by {plain(cancelled_by)}." if cancelled_by else "It was cancelled."
    if state is JobState.FAILED:
        said = SENTENCES.get(exit_code or 0) if not signal else None
        return said or f"It failed with {_exit_words(exit_code, signal)}. The end of its log may say why."
    return _ENDED.get(state, f"Slurm says: {state.value}.")


def word(
    state: JobState, *, cancelled_by: str = "", exit_code: int | None = None, signal: int | None = None
) -> str:
    """Slurm's own word of an end, with who cancelled it or how it failed."""
    if cancelled_by and state is JobState.CANCELLED:
        return f"{state.value} by {plain(cancelled_by)}"
    if state is JobState.FAILED:
        return f"{state.value}, {_exit_words(exit_code, signal)}"
    return state.value


def _exit_words(exit_code: int | None, signal: int | None) -> str:
    if signal:
        return f"signal {signal}"
    return f"exit code {exit_code}" if exit_code is not None else "no exit code"
