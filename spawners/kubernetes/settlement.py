"""What an ended session used and why it ended, from its pod. Pure.

Used is the time of the container, from its start to its end as the kubelet says it, times the size that
was planned. One that never started used nothing. Of one whose node was lost the last moment is taken at
which it was known to run.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spawners.backend import EndCause, Usage
from spawners.kubernetes import reasons
from spawners.kubernetes.models import Pod
from spawners.session import exits

_KILLED = 137
"""Exit code after SIGKILL: the kernel's way to get memory back, and the kubelet's after the grace."""

_KUBELET_S = 60
"""What a busy kubelet may take from a container's end until it asks for the removal of its pod."""

_BY_CODE = {exits.TIME_LIMIT: EndCause.TIME_LIMIT, exits.OUT_OF_MEMORY: EndCause.OUT_OF_MEMORY}
"""What the first process in the pod says itself."""

_DISRUPTIONS = {
    "PreemptionByScheduler": EndCause.PREEMPTED,
    "DeletionByTaintManager": EndCause.NODE_FAILURE,
    "DeletionByPodGC": EndCause.NODE_FAILURE,
    "EvictionByEvictionAPI": EndCause.EVICTED,
    "DeletionByDeviceTaintManager": EndCause.NODE_FAILURE,
}
"""Reasons of the condition DisruptionTarget (kubernetes.io, Pod disruption conditions)."""


def cause_of(pod: Pod, *, was_stopped: bool = False) -> EndCause:
    """Why a pod ended. ``was_stopped``: we deleted it."""
    container = pod.container
    if pod.given_up:
        return EndCause.EXITED
    if pod.disruption is not None and pod.disruption.status == "True":
        if pod.disruption.reason in _DISRUPTIONS:
            return _DISRUPTIONS[pod.disruption.reason]
        if pod.disruption.reason == "TerminationByKubelet":
            return _by_kubelet(pod.reason)
    if container.reason == "OOMKilled" and container.exit_code != 0 and not was_stopped:
        return EndCause.OUT_OF_MEMORY
    if pod.reason == "Evicted":
        return EndCause.EVICTED
    if pod.reason == "DeadlineExceeded":
        return EndCause.TIME_LIMIT
    if pod.reason in ("NodeLost", "NodeShutdown", "Terminated"):
        return EndCause.NODE_FAILURE
    if container.exit_code in _BY_CODE:
        return _BY_CODE[container.exit_code]
    if was_stopped:
        return EndCause.STOPPED
    if pod.deleted_at is not None and not _ended_before_deletion(pod):
        return EndCause.CANCELLED
    if container.state == "terminated" and container.reason == "ContainerStatusUnknown":
        return EndCause.LOST
    return EndCause.EXITED


def _by_kubelet(reason: str) -> EndCause:
    if reason == "Evicted":
        return EndCause.EVICTED
    return EndCause.PREEMPTED if reason == "Preempting" else EndCause.NODE_FAILURE


def _ended_before_deletion(pod: Pod) -> bool:
    finished = pod.container.finished_at
    return finished is not None and pod.deleted_at is not None and finished < _asked(pod)


def _asked(pod: Pod) -> datetime:
    """When its removal was asked for, at the earliest: the time stamp is that of the end of its grace.

    Once the pod has ended, the kubelet asks again, without grace; that writes its own time over the first.
    """
    assert pod.deleted_at is not None
    return pod.deleted_at - timedelta(seconds=pod.deletion_grace_s or _KUBELET_S)


def settle(pod: Pod, now: datetime, *, was_stopped: bool = False) -> Usage:
    """Usage of a pod that is gone. ``now`` is taken for its end where nothing says more."""
    began = pod.container.started_at
    ended = _ended_at(pod, now)
    cause = cause_of(pod, was_stopped=was_stopped)
    return Usage(
        started_at=began if began is not None else ended,
        ended_at=max(ended, began) if began is not None else ended,
        elapsed_seconds=max(int((ended - began).total_seconds()), 0) if began is not None else 0,
        cpus=pod.cpus,
        memory_mib=pod.memory_mib,
        gpus=pod.gpus,
        cause=cause,
        exit_code=pod.container.exit_code,
        detail=_detail(pod, cause),
    )


def _ended_at(pod: Pod, now: datetime) -> datetime:
    if pod.container.finished_at is not None:
        return pod.container.finished_at
    lost = pod.ready.at if pod.ready is not None and pod.ready.status != "True" else None
    disrupted = pod.disruption.at if pod.disruption is not None else None
    known = [at for at in (lost, disrupted, pod.deleted_at) if at is not None]
    return min([*known, now]) if known else now


def _detail(pod: Pod, cause: EndCause) -> str:
    """What the cluster says of the end, beyond its cause; empty where that is all."""
    container = pod.container
    if pod.given_up:
        return pod.given_up
    if cause is EndCause.OUT_OF_MEMORY:
        return f"{container.reason or 'Error'}, exit code {container.exit_code}"
    if cause is EndCause.EVICTED:
        said = pod.message or (pod.disruption.message if pod.disruption is not None else "")
        return reasons.evicted(said)
    if cause in (EndCause.NODE_FAILURE, EndCause.PREEMPTED) and pod.disruption is not None:
        return " ".join(pod.disruption.message.split())[:300]
    if pod.reason:
        return reasons.by_kubelet(pod.reason, pod.message)
    if cause is EndCause.EXITED and container.exit_code:
        return _exit_words(pod)
    return ""


def _exit_words(pod: Pod) -> str:
    container = pod.container
    code = container.exit_code or 0
    if code in exits.SENTENCES:
        return exits.SENTENCES[code]
    if container.reason in ("StartError", "ContainerCannotRun"):
        return reasons.container_failed(container.reason, container.message)
    if code == _KILLED:
        return "it was killed (exit code 137): often because the node had no memory left"
    return f"exit code {code}"


def ended_words(pod: Pod) -> str:
    """Why a session is gone, for a person who looks at it."""
    if pod.given_up:
        return pod.given_up
    cause = cause_of(pod)
    said = _CAUSES.get(cause, "The session's server ended by itself.")
    if cause is EndCause.EXITED and pod.container.exit_code:
        return f"It ended: {_exit_words(pod).rstrip('.')}."
    return said


_CAUSES = {
    EndCause.OUT_OF_MEMORY: "It used more memory than it had and was ended. Choose a size with more memory.",
    EndCause.TIME_LIMIT: "It reached the end of its time.",
    EndCause.PREEMPTED: "It had to make room for something of higher priority. Start it again later.",
    EndCause.NODE_FAILURE: "Its node failed. Nothing of yours was wrong: start it again.",
    EndCause.EVICTED: "Its node had to put it out. Start it again: it runs on another node.",
    EndCause.CANCELLED: "Its pod was deleted at the cluster.",
    EndCause.LOST: "Its node no longer knows how it ended.",
}
