"""What an ended pod is charged, and why it ended."""

from __future__ import annotations

import pytest

from spawners.backend import EndCause
from spawners.kubernetes.models import Container
from spawners.kubernetes.settlement import cause_of, ended_words, settle
from spawners.session import exits
from tests.support.kubernetes_pods import NOW, a_pod, ago, condition, ended, running


def disrupted(reason, message="", **more):
    return ended(143, disruption=condition("True", reason, message, at=ago(20)), **more)


CAUSES = [
    (ended(), EndCause.EXITED),
    (ended(3), EndCause.EXITED),
    (ended(137, "OOMKilled"), EndCause.OUT_OF_MEMORY),
    (ended(0, "OOMKilled"), EndCause.EXITED),
    (ended(137), EndCause.EXITED),
    (ended(exits.OUT_OF_MEMORY), EndCause.OUT_OF_MEMORY),
    (ended(exits.TIME_LIMIT), EndCause.TIME_LIMIT),
    (ended(1, reason="", given_up="never"), EndCause.EXITED),
    (disrupted("PreemptionByScheduler"), EndCause.PREEMPTED),
    (disrupted("DeletionByTaintManager"), EndCause.NODE_FAILURE),
    (disrupted("DeletionByPodGC"), EndCause.NODE_FAILURE),
    (disrupted("EvictionByEvictionAPI"), EndCause.EVICTED),
    (disrupted("TerminationByKubelet"), EndCause.NODE_FAILURE),
    (a_pod(phase="Failed", reason="NodeShutdown"), EndCause.NODE_FAILURE),
    (a_pod(phase="Failed", reason="Evicted", message="low on resource: memory"), EndCause.EVICTED),
    (a_pod(phase="Failed", reason="DeadlineExceeded"), EndCause.TIME_LIMIT),
    (ended(143, deleted_at=ago(0), deletion_grace_s=45), EndCause.CANCELLED),
    (ended(0, deleted_at=ago(-40), deletion_grace_s=45), EndCause.EXITED),
    (ended(0, deleted_at=ago(7), deletion_grace_s=0), EndCause.CANCELLED),  # the kubelet's own last word
    (ended(0, deleted_at=ago(-60), deletion_grace_s=0), EndCause.EXITED),
    (a_pod(container=Container("terminated", "ContainerStatusUnknown", "", 137)), EndCause.LOST),
]


@pytest.mark.parametrize(("pod", "cause"), CAUSES)
def test_why_a_session_ended(pod, cause) -> None:
    assert cause_of(pod) is cause
    assert ended_words(pod)


def test_what_we_stopped_was_stopped_whatever_its_exit_code() -> None:
    pod = ended(143, deleted_at=ago(0), deletion_grace_s=45)
    assert cause_of(pod, was_stopped=True) is EndCause.STOPPED
    assert cause_of(ended(137, "OOMKilled"), was_stopped=True) is EndCause.STOPPED


def test_a_session_is_charged_by_its_container() -> None:
    used = settle(ended(gpus=1), NOW)
    assert (used.started_at, used.ended_at, used.elapsed_seconds) == (ago(70), ago(10), 60)
    assert (used.cpus, used.memory_mib, used.gpus) == (2, 4096, 1)


NEVER = [
    a_pod(node="", deleted_at=ago(3), deletion_grace_s=0),
    a_pod(given_up="no image", container=Container("terminated", "ContainerStatusUnknown", "", 137)),
    a_pod(phase="Failed", reason="OutOfcpu"),
]


@pytest.mark.parametrize("pod", NEVER)
def test_what_never_ran_costs_nothing(pod) -> None:
    used = settle(pod, NOW)
    assert used.elapsed_seconds == 0
    assert used.started_at == used.ended_at


LAST_KNOWN = [
    # The node was lost, then the pod was removed: it is known to have run until the node was.
    (running(ready=condition("False", at=ago(40)), deleted_at=ago(5), deletion_grace_s=0), 20),
    (running(disruption=condition("True", "DeletionByPodGC", at=ago(30)), phase="Failed"), 30),
    (running(deleted_at=ago(15), deletion_grace_s=0), 45),
    (running(phase="Failed"), 60),
]


@pytest.mark.parametrize(("pod", "seconds"), LAST_KNOWN)
def test_without_a_last_word_the_last_that_is_known_counts(pod, seconds) -> None:
    assert settle(pod, NOW).elapsed_seconds == seconds


DETAILS = [
    (ended(), ""),
    (ended(3), "exit code 3"),
    (ended(exits.NO_DATA), "Its data cannot be read on the node."),
    (ended(137), "it was killed (exit code 137): often because the node had no memory left"),
    (ended(137, "OOMKilled"), "OOMKilled, exit code 137"),
    (ended(128, "StartError"), "Its container cannot be made (StartError):"),
    (a_pod(given_up="No image."), "No image."),
    (
        a_pod(phase="Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage. x"),
        "its node ran short of disk of the node",
    ),
    (a_pod(phase="Failed", reason="OutOfcpu"), "Its node had no CPUs left"),
    (disrupted("PreemptionByScheduler", "default-scheduler: preempting"), "default-scheduler: preempting"),
]


@pytest.mark.parametrize(("pod", "words"), DETAILS)
def test_the_cluster_s_own_word_of_an_end_is_kept(pod, words) -> None:
    detail = settle(pod, NOW).detail
    assert detail.startswith(words)
    assert bool(detail) is bool(words)
