"""From a pod as the API server has it to the status of a session. Pure.

Gone is a pod whose container has ended, or whose object was removed before it began; the finalizer keeps
the object until it is settled. A pod on a node that is not heard of any more is *unknown*: its
processes may run. A pod that cannot start, and that no waiting helps, is *hopeless*: the caller ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawners.backend import State, Status
from spawners.kubernetes import reasons
from spawners.kubernetes.models import Condition, Pod, PodEvent
from spawners.kubernetes.settlement import ended_words

FORCED_S = 30
"""A pod that was removed by force may still be ended by its node: so long is waited for its final times."""

_CUT_OFF_AFTER = timedelta(seconds=90)
_CONTAINER_PATIENCE = timedelta(seconds=60)
_FRESH = timedelta(minutes=15)
"""An event older than this says nothing about now."""

SILENT = Status(State.UNKNOWN, "The cluster does not answer; the session goes on meanwhile.")
ELSEWHERE = Status(State.UNKNOWN, "Its cluster is not one that this service knows.")
HANDED_OVER = Status(State.PENDING, "Handed to Kubernetes.")
VANISHED = Status(State.GONE, "Its pod was removed by somebody, and with it the record of its end.")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A status, and why a session that has not started never will (empty: it may)."""

    status: Status
    hopeless: str = ""


def is_gone(pod: Pod, now: datetime) -> bool:
    """Whether nothing of the pod runs any more, or ever will."""
    if pod.container.state == "terminated" or pod.phase in ("Succeeded", "Failed"):
        return True
    if pod.deleted_at is None:
        return False
    if not pod.node:
        return True
    is_forced = pod.deletion_grace_s == 0
    return is_forced and now - pod.deleted_at > timedelta(seconds=FORCED_S)


def is_half_made(pod: Pod, now: datetime) -> bool:
    """Whether the pod waits for its secret, and whoever made it may still bring it."""
    return pod.is_gated and pod.deleted_at is None and now - pod.created_at <= _CUT_OFF_AFTER


def is_node_lost(pod: Pod, is_node_ready: bool | None = None) -> bool:
    """Whether the pod's node is not heard of: then its state is the last that was known.

    The node controller makes such a pod not ready behind the kubelet's back, which therefore still says
    that its containers are. ``is_node_ready`` None: we may not see nodes.
    """
    if is_node_ready is False:
        return True
    said, heard = pod.ready, pod.containers_ready
    return (
        pod.container.state == "running"
        and said is not None
        and said.status != "True"
        and heard is not None
        and heard.status == "True"
    )


def judge(
    pod: Pod,
    events: Mapping[str, PodEvent],
    now: datetime,
    *,
    pull_patience: timedelta,
    is_node_ready: bool | None = None,
    is_starting: bool = False,
) -> Judgement:
    """Status of a pod. ``is_starting``: this process is handing it over right now."""
    if is_gone(pod, now):
        return Judgement(Status(State.GONE, ended_words(pod)))
    if pod.node and is_node_lost(pod, is_node_ready):
        text = f"Its node {pod.node} does not answer; whether it still runs is not known."
        return Judgement(Status(State.UNKNOWN, text, node=pod.node))
    if pod.container.state == "running":
        return Judgement(_running(pod))
    if pod.deleted_at is not None:
        return Judgement(Status(State.PENDING, pod.given_up or "It is being ended."))
    return _pending(pod, events, now, pull_patience, is_starting)


def _running(pod: Pod) -> Status:
    return Status(
        State.RUNNING,
        "It is ending." if pod.deleted_at is not None else "",
        host=pod.ip or None,
        started_at=pod.container.started_at,
        node=pod.node,
    )


def _pending(
    pod: Pod, events: Mapping[str, PodEvent], now: datetime, patience: timedelta, is_starting: bool
) -> Judgement:
    if pod.is_gated:
        if not is_starting and not is_half_made(pod, now):
            return Judgement(Status(State.PENDING, reasons.CUT_OFF), reasons.CUT_OFF)
        return Judgement(Status(State.PENDING, "It is being handed over."))
    if not pod.node:
        return Judgement(Status(State.PENDING, _room(pod, events, now)))
    waited = now - _since(pod.scheduled, pod.created_at)
    return _on_node(pod, events, now, waited, patience)


def _room(pod: Pod, events: Mapping[str, PodEvent], now: datetime) -> str:
    if pod.nominated_node:
        return f"Room is being made for it on {pod.nominated_node}."
    if _recent(events, "TriggeredScaleUp", now):
        return "Waiting for a new node, which the cluster is starting. It starts by itself."
    if pod.scheduled is not None and pod.scheduled.reason == "SchedulingGated":
        return "Waiting until the cluster's own queue lets it in. It starts by itself."
    if pod.scheduled is None or pod.scheduled.reason != "Unschedulable":
        return "Waiting for a node."
    return reasons.unschedulable(pod.scheduled.message)


def _on_node(
    pod: Pod, events: Mapping[str, PodEvent], now: datetime, waited: timedelta, patience: timedelta
) -> Judgement:
    reason, message = pod.container.reason, pod.container.message
    if reason in reasons.IMAGE_NEVER:
        return _hopeless(pod, reasons.image_failed(message, is_given_up=True))
    if reason in reasons.IMAGE:
        if waited > patience:
            return _hopeless(pod, reasons.image_failed(message, is_given_up=True))
        return Judgement(Status(State.PENDING, reasons.image_failed(message), node=pod.node))
    if reason in reasons.CONTAINER:
        text = reasons.container_failed(reason, message)
        return _hopeless(pod, text) if waited > _CONTAINER_PATIENCE else _waits(pod, text)
    for name, words in (
        ("FailedMount", reasons.mount_failed),
        ("FailedAttachVolume", reasons.mount_failed),
        ("FailedCreatePodSandBox", reasons.sandbox_failed),
    ):
        if (event := _recent(events, name, now)) is not None and not _is_past(event, events):
            text = words(event.message)
            return _hopeless(pod, text) if waited > patience else _waits(pod, text)
    if "Pulling" in events and "Pulled" not in events:
        return _waits(pod, f"Its image is being fetched by {pod.node}, which may take some minutes.")
    return _waits(pod, f"Its container is being made on {pod.node}.")


def _is_past(event: PodEvent, events: Mapping[str, PodEvent]) -> bool:
    """Whether the node came further since: volumes and network come before the image."""
    further = events.get("Pulled") or events.get("Pulling")
    return further is not None and event.at is not None and further.at is not None and further.at >= event.at


def _waits(pod: Pod, text: str) -> Judgement:
    return Judgement(Status(State.PENDING, text, node=pod.node))


def _hopeless(pod: Pod, text: str) -> Judgement:
    return Judgement(Status(State.PENDING, text, node=pod.node), text)


def _recent(events: Mapping[str, PodEvent], reason: str, now: datetime) -> PodEvent | None:
    event = events.get(reason)
    return event if event is not None and (event.at is None or now - event.at < _FRESH) else None


def _since(condition: Condition | None, otherwise: datetime) -> datetime:
    return condition.at if condition is not None and condition.at is not None else otherwise
