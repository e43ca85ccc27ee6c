"""Why a pod waits, cannot start or ended, as sentences for a scientist that say what to do.

The codes are those of the scheduler (its FailedScheduling message), of the kubelet
(``pkg/kubelet/images``, ``kuberuntime``: reasons of waiting containers) and of pod conditions
(DisruptionTarget). What is not known here is shown in the component's own words.
"""

from __future__ import annotations

import re
from typing import Final

from spawners.kubernetes.words import resource, sentence, several

_BY_ITSELF = "It starts by itself."
_SUPPORT = "Ask the facility's support."

IMAGE_NEVER: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
"""Waiting reasons of an image that no patience brings."""

IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ImageInspectError",
    }
)
"""Waiting reasons of an image that could not be fetched, and is tried again."""

CONTAINER: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "PreCreateHookError",
        "PostStartHookError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""Waiting reasons of a container that could not be made, and is tried again."""

_LACKING = re.compile(r"Insufficient ([A-Za-z0-9./_-]*[A-Za-z0-9])")
_TAINT = re.compile(r"untolerated taint\(?s?\)?")


def unschedulable(message: str) -> str:
    """Why no node takes it now, from the scheduler's message."""
    lacking = list(dict.fromkeys(resource(name) for name in _LACKING.findall(message)))
    if lacking:
        return f"Waiting for room: no node has enough {several(lacking)} free. {_BY_ITSELF}"
    if "Too many pods" in message:
        return f"Waiting for room: the nodes have as many sessions as they may. {_BY_ITSELF}"
    if "persistentvolumeclaim" in message or "PersistentVolume" in message or "volume" in message:
        return f"Its storage is not there: {_said(message)} {_SUPPORT}"
    if "node affinity" in message or "node selector" in message or "didn't match" in message:
        return (
            f"Waiting for a node of the kind that it needs; none is there now. {_SUPPORT} Another size or "
            "place may start at once."
        )
    if "unschedulable" in message or _TAINT.search(message):
        return f"Waiting for a node: those there take no sessions now. {_BY_ITSELF}"
    if "no nodes available" in message or message.startswith("0/0 nodes"):
        return f"Waiting for a node: the cluster has none now. {_SUPPORT}"
    return f"Waiting for room. The scheduler says: {_said(message)}" if message else "Waiting for room."


def image_failed(message: str, *, is_given_up: bool = False) -> str:
    """Its image cannot be fetched."""
    how = _why_no_image(message)
    if is_given_up:
        return f"Its image could not be fetched: {how} {_SUPPORT}"
    return f"Its image cannot be fetched: {how} It is tried again."


def _why_no_image(message: str) -> str:
    low = message.lower()
    if "not found" in low or "manifest unknown" in low or "does not exist" in low:
        return "the registry does not have it."
    if "unauthorized" in low or "denied" in low or "forbidden" in low or "authentication" in low:
        return "the registry does not give it to this cluster."
    if "no such host" in low or "i/o timeout" in low or "connection refused" in low or "timeout" in low:
        return "the registry does not answer."
    if "no space left" in low:
        return "the node's disk is full."
    if "not present with pull policy" in low:
        return "the node does not have it, and may not fetch it."
    return _said(message) if message else "the node does not say why."


def container_failed(reason: str, message: str) -> str:
    """Its container cannot be made."""
    if re.search(r'secret "[^"]*" not found', message):
        return "Its container cannot be made: what it starts with is missing. Start it again."
    return f"Its container cannot be made ({reason}): {_said(message)} {_SUPPORT}"


def mount_failed(message: str) -> str:
    """A volume of it cannot be mounted."""
    return f"Its storage cannot be mounted on the node: {_said(message)} {_SUPPORT}"


def sandbox_failed(message: str) -> str:
    """The node cannot make the pod's network and namespaces."""
    return f"Its node cannot prepare it: {_said(message)} {_SUPPORT}"


CUT_OFF: Final = (
    "Its start was cut off by a restart of the service before it was handed over. Start it again."
)

_KUBELET = {
    "OutOfcpu": "Its node had no CPUs left when it came there. Start it again.",
    "OutOfmemory": "Its node had no memory left when it came there. Start it again.",
    "OutOfpods": "Its node had as many sessions as it may when it came there. Start it again.",
    "NodeAffinity": "Its node was not of the kind that it needs any more. Start it again.",
    "NodeShutdown": "Its node was shut down. Start it again.",
    "Terminated": "Its node was shut down. Start it again.",
    "SupplementalGroupsPolicyNotSupported": "Its node is too old to keep it to your groups. Ask support.",
    "UnexpectedAdmissionError": "Its node could not give it its devices. Start it again, or ask support.",
    "DeadlineExceeded": "It reached the end of the time that the cluster gives.",
}


def by_kubelet(reason: str, message: str) -> str:
    """Why a node ended a pod or did not take it, from the pod's own reason."""
    known = _KUBELET.get(reason)
    return known or f"{reason}: {_said(message)}".strip()


def evicted(message: str) -> str:
    """Why a node put a session out, in its own words where it says which resource is short."""
    found = re.search(r"low on resource: ([A-Za-z-]+)", message)
    if found is None:
        return f"Evicted: {_said(message)}" if message else "Evicted."
    return f"its node ran short of {resource(found[1])}; it used more than it had asked for, or others did."


def _said(message: str) -> str:
    return sentence(message)
