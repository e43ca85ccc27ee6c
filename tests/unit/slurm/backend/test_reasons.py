"""Slurm's words become sentences that say what to do."""

from __future__ import annotations

import pytest

from spawners.session.exits import NO_ENGINE, SENTENCES
from spawners.slurm.models import JobState
from spawners.slurm.reasons import ended, waiting, word

WAITING = {
    "Priority": "Waiting behind jobs of higher priority.",
    "Resources": "Waiting for free resources.",
    "(Resources)": "Waiting for free resources.",
    "": "Waiting for the scheduler",
    "None": "Waiting for the scheduler",
    "ReqNodeNotAvail, UnavailableNodes:cpu[1-2]": "Not available: cpu[1-2].",
    "ReqNodeNotAvail": "under maintenance",
    "Reservation": "Waiting for its reservation",
    "BeginTime": "Waiting for its time to begin",
    "Dependency": "Waiting for another job",
    "PartitionDown": "switched off. Choose another place",
    "JobHeldUser": "scontrol release",
    "JobHeldAdmin": "An administrator holds it",
    "NodeDown": "is down",
    "launch_failed_requeued_held": "could not be launched",
    # Limits that end by themselves.
    "QOSMaxCpuPerUserLimit": "Your limit of CPU cores at once is reached. It starts when other jobs of",
    "QOSMaxJobsPerUserLimit": "Your limit of running jobs at once is reached",
    "QOSMaxGRESPerUser": "Your limit of GPUs at once is reached",
    "QOSMaxMemoryPerUser": "Your limit of memory at once is reached",
    "AssocMaxJobsLimit": "Your limit of running jobs at once is reached",
    "AssocGrpCpuLimit": "Your account's limit of CPU cores at once is reached",
    "AssocGrpMemLimit": "Your account's limit of memory at once is reached",
    "AssocGrpGRES": "Your account's limit of GPUs at once is reached",
    "QOSGrpNodeLimit": "The QOS's limit of nodes at once is reached",
    "QOSGrpJobsLimit": "The QOS's limit of running jobs at once is reached",
    "MaxJobsPerAccount": "Your account's limit of running jobs at once is reached",
    # Limits of one job: waiting does not help.
    "QOSMaxCpuPerJobLimit": "more CPU cores than the QOS's limit for one job. It will not start as it is",
    "QOSMaxWallDurationPerJobLimit": "choose a shorter time",
    "AssocMaxWallDurationPerJobLimit": "more time than your account's limit for one job",
    "QOSMaxGRESPerJob": "choose a smaller size",
    "QOSMaxCpuMinutesPerJobLimit": "choose a shorter time",
    "QOSMinCpuNotSatisfied": "choose a larger size",
    "QOSMinGRES": "least of GPUs is not reached",
    # Budgets.
    "AssocGrpCPUMinutesLimit": "Your account's budget of CPU cores over time is used up",
    "QOSGrpGRESMinutes": "The QOS's budget of GPUs over time is used up",
    "AssocGrpCPURunMinutesLimit": "is reserved by running jobs",
    "AssocGrpBillingMinutes": "budget of billing units over time is used up",
}


@pytest.mark.parametrize(("code", "part"), WAITING.items())
def test_a_reason_for_waiting_is_a_sentence(code: str, part: str) -> None:
    sentence = waiting(code)
    assert part in sentence
    assert sentence.endswith(".")
    assert "Slurm says" not in sentence


@pytest.mark.parametrize("code", ["SomethingNew", "Site plugin: <b>no\x1b[0m\nmore"])
def test_an_unknown_reason_is_shown_as_slurms_own_word(code: str) -> None:
    sentence = waiting(code)
    assert code.split("\x1b")[0] in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("state", [state for state in JobState if state.value not in ("PENDING", "RUNNING")])
def test_every_end_has_a_sentence(state: JobState) -> None:
    sentence = ended(state, cancelled_by="root", exit_code=3)
    assert sentence.endswith(".")
    assert ("Slurm says" in sentence) is (state is JobState.SUSPENDED)


def test_who_cancelled_and_how_it_exited_is_said() -> None:
    assert ended(JobState.CANCELLED, cancelled_by="root") == "It was cancelled by root."
    assert ended(JobState.CANCELLED) == "It was cancelled."
    assert "exit code 3" in ended(JobState.FAILED, exit_code=3)
    assert ended(JobState.FAILED, exit_code=NO_ENGINE) == SENTENCES[NO_ENGINE]
    assert "signal 9" in ended(JobState.FAILED, exit_code=0, signal=9)
    assert word(JobState.CANCELLED, cancelled_by="anna") == "CANCELLED by anna"
    assert word(JobState.FAILED, exit_code=3) == "FAILED, exit code 3"
    assert word(JobState.COMPLETED, exit_code=0) == "COMPLETED"
    assert word(JobState.NODE_FAIL) == "NODE_FAIL"
    assert word(JobState.OUT_OF_MEMORY, exit_code=0, signal=125) == "OUT_OF_MEMORY"  # as Slurm has it
