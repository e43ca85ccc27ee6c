"""Why a session ended, in the words of people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hub.launch.states import EndReason
from hub.launch.store import Launch
from spawners.backend import EndCause, Handle, Usage
from spawners.kubernetes.handles import is_pod

_REASONS = {
    EndCause.STOPPED: EndReason.STOPPED_BY_USER,
    EndCause.EXITED: EndReason.EXITED,
    EndCause.OUT_OF_MEMORY: EndReason.OUT_OF_MEMORY,
    EndCause.TIME_LIMIT: EndReason.TIME_LIMIT,
    EndCause.PREEMPTED: EndReason.PREEMPTED,
    EndCause.NODE_FAILURE: EndReason.NODE_FAILURE,
    EndCause.EVICTED: EndReason.EVICTED,
    EndCause.CANCELLED: EndReason.CANCELLED_BY_SCHEDULER,
    EndCause.LOST: EndReason.LOST,
}

_SENTENCES = {
    EndReason.STOPPED_BY_USER: "You stopped the session.",
    EndReason.STOPPED_BY_OPERATOR: "An operator stopped the session.",
    EndReason.CANCELLED: "The start was cancelled.",
    EndReason.TIME_LIMIT: "The session reached the end of its time.",
    EndReason.EXITED: "The session's server ended by itself.",
    EndReason.OUT_OF_MEMORY: "The session used more memory than its size has; choose a larger size.",
    EndReason.PREEMPTED: "The scheduler ended the session to make room for a job of higher priority; "
    "start it again, or take another place or QOS.",
    EndReason.NODE_FAILURE: "The node of the session failed; start it again, it will run on another node.",
    EndReason.EVICTED: "The session's node had to put it out: it ran short of memory or disk, or is being "
    "emptied for maintenance. Start it again, it will run on another node.",
    EndReason.CANCELLED_BY_SCHEDULER: "The session's job was cancelled at the scheduler, not here; "
    "ask the cluster's operators if it was not you.",
    EndReason.LOST: "The session ended without a word: the machine or its supervisor was lost.",
    EndReason.START_FAILED: "The session could not be started.",
    EndReason.START_TIMEOUT: "The session did not answer in time and was ended.",
    EndReason.NOT_HANDED_OVER: "The start was not completed and was given up; nothing ran.",
    EndReason.ACCESS_LOST: "You may no longer read the session's data, so it was ended.",
    EndReason.SERVICE_STOPPED: "The service was shut down and ended its sessions.",
    EndReason.IDLE: "Nobody used the session, so it was ended; what was saved is kept.",
}

_SENTENCES_OF_PODS = {
    EndReason.PREEMPTED: "The cluster ended the session to make room for something of higher priority; "
    "start it again, or take another place.",
    EndReason.CANCELLED_BY_SCHEDULER: "The session's pod was deleted at the cluster, not here; "
    "ask the cluster's operators if it was not you.",
}
"""Where there are no jobs and no QOS."""

_OWN_DOING = {
    EndReason.STOPPED_BY_USER,
    EndReason.STOPPED_BY_OPERATOR,
    EndReason.CANCELLED,
    EndReason.START_TIMEOUT,
    EndReason.ACCESS_LOST,
    EndReason.SERVICE_STOPPED,
    EndReason.IDLE,
}
"""Ends that we brought about: what the scheduler saw of them is no news."""


def sentence(reason: EndReason, handle: Handle | None = None) -> str:
    """What a person reads about an end."""
    return (is_pod(handle) and _SENTENCES_OF_PODS.get(reason)) or _SENTENCES[reason]


def end_reason(launch: Launch, usage: Usage) -> EndReason:
    """Why a session ended: what was asked for comes before what the backend saw of it."""
    if launch.end_reason is not None:
        return EndReason(launch.end_reason)
    if launch.running_at is None and usage.cause is EndCause.EXITED:
        return EndReason.START_FAILED
    return _REASONS[usage.cause]


def end_message(reason: EndReason, usage: Usage, handle: Handle | None = None) -> str:
    """What a person reads about the end of a session that ran."""
    text = sentence(reason, handle)
    if usage.detail and reason not in _OWN_DOING:
        who = "cluster" if is_pod(handle) else "scheduler"
        return f"{text} The {who} says: {usage.detail.rstrip('.')}."[:2000]
    if reason in {EndReason.EXITED, EndReason.START_FAILED} and usage.exit_code is not None:
        text += f" Its exit code was {usage.exit_code}."
    return text


def usage_json(usage: Usage) -> dict[str, Any]:
    """Usage as stored with the launch."""
    raw = asdict(usage)
    raw["started_at"] = usage.started_at.isoformat()
    raw["ended_at"] = usage.ended_at.isoformat()
    raw["cause"] = usage.cause.value
    return raw
