"""From the API server's JSON to our models. Pure; what is missing is empty, never a fault."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any

from spawners.kubernetes.models import (
    Condition,
    Container,
    Node,
    Pod,
    PodEvent,
    Quota,
    Requests,
    Scope,
    Taint,
)
from spawners.kubernetes.naming import (
    COMPONENT_LABEL,
    CONTAINER,
    CPUS_ANNOTATION,
    FINALIZER,
    GATE,
    GIVEN_UP,
    GPUS_ANNOTATION,
    LAUNCH_LABEL,
    MEMORY_ANNOTATION,
    PLACE_LABEL,
    PLACEHOLDER,
    SPEC,
)
from spawners.kubernetes.quantity import count, mebibytes, millicpus

_NEVER = datetime.min.replace(tzinfo=UTC)
_MESSAGE_MOST = 1000
"""Characters of a message that are kept: the scheduler's grow with the number of nodes."""

Json = Mapping[str, Any]


def pod(raw: Json) -> Pod:
    """A pod; its first container where none has our name."""
    metadata, spec, status = part(raw, "metadata"), part(raw, "spec"), part(raw, "status")
    labels, annotations = part(metadata, "labels"), part(metadata, "annotations")
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    limits, requests = _resources(spec)
    cpus = _whole(annotations.get(CPUS_ANNOTATION))
    memory_mib = _whole(annotations.get(MEMORY_ANNOTATION))
    gpus = _whole(annotations.get(GPUS_ANNOTATION))
    return Pod(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=version(metadata),
        created_at=moment(metadata.get("creationTimestamp")) or _NEVER,
        launch_id=text(labels.get(LAUNCH_LABEL)),
        pool=word(labels.get(PLACE_LABEL)),
        is_placeholder=labels.get(COMPONENT_LABEL) == PLACEHOLDER,
        phase=word(status.get("phase")),
        reason=word(status.get("reason")),
        message=text(status.get("message")),
        node=word(spec.get("nodeName")),
        nominated_node=word(status.get("nominatedNodeName")),
        ip=_address(status),
        deleted_at=moment(metadata.get("deletionTimestamp")),
        deletion_grace_s=metadata.get("deletionGracePeriodSeconds"),
        has_finalizer=FINALIZER in (metadata.get("finalizers") or ()),
        is_gated=any(gate.get("name") == GATE for gate in spec.get("schedulingGates") or ()),
        scheduled=_condition(conditions.get("PodScheduled")),
        ready=_condition(conditions.get("Ready")),
        containers_ready=_condition(conditions.get("ContainersReady")),
        disruption=_condition(conditions.get("DisruptionTarget")),
        container=_container(status),
        given_up=text(annotations.get(GIVEN_UP)),
        spec=text(annotations.get(SPEC)),
        cpus=-(-millicpus(limits.get("cpu", 0)) // 1000) if cpus is None else cpus,
        memory_mib=mebibytes(limits.get("memory", 0)) if memory_mib is None else memory_mib,
        gpus=sum(number for _, number in requests.devices) if gpus is None else gpus,
        requests=requests,
    )


def event(raw: Json) -> PodEvent:
    """An event about a pod."""
    metadata, about = part(raw, "metadata"), part(raw, "involvedObject")
    at = raw.get("lastTimestamp") or raw.get("eventTime") or raw.get("firstTimestamp")
    return PodEvent(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=version(metadata),
        pod_uid=text(about.get("uid")),
        reason=word(raw.get("reason")),
        message=text(raw.get("message")),
        at=moment(at),
    )


def node(raw: Json) -> Node:
    """A node."""
    metadata, spec, status = part(raw, "metadata"), part(raw, "spec"), part(raw, "status")
    allocatable = part(status, "allocatable")
    return Node(
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        version=version(metadata),
        is_ready=any(
            each.get("type") == "Ready" and each.get("status") == "True"
            for each in status.get("conditions") or ()
        ),
        is_schedulable=not spec.get("unschedulable"),
        labels={intern(str(key)): intern(str(value)) for key, value in part(metadata, "labels").items()},
        taints=tuple(
            Taint(word(each.get("key")), word(each.get("value")), word(each.get("effect")))
            for each in spec.get("taints") or ()
        ),
        millicpus=millicpus(allocatable.get("cpu", 0)),
        memory_mib=mebibytes(allocatable.get("memory", 0)),
        pods=count(allocatable.get("pods", 0)),
        devices={intern(key): count(value) for key, value in allocatable.items() if "/" in key},
    )


def quota(raw: Json) -> Quota:
    """A ResourceQuota; what is used is known once the controller has counted."""
    status, spec = part(raw, "status"), part(raw, "spec")
    return Quota(
        name=text(part(raw, "metadata").get("name")),
        hard={str(key): str(value) for key, value in (part(status, "hard") or part(spec, "hard")).items()},
        used={str(key): str(value) for key, value in part(status, "used").items()},
        scopes=(
            *(Scope(text(name)) for name in spec.get("scopes") or ()),
            *(
                Scope(
                    text(each.get("scopeName")),
                    text(each.get("operator")),
                    tuple(map(text, each.get("values") or ())),
                )
                for each in part(spec, "scopeSelector").get("matchExpressions") or ()
            ),
        ),
    )


def version(metadata: Json) -> int:
    """Its resourceVersion as a number; 0 where it is none."""
    raw = str(metadata.get("resourceVersion", ""))
    return int(raw) if raw.isdecimal() else 0


def moment(raw: object) -> datetime | None:
    """A time stamp (RFC 3339); None for what is none."""
    if not isinstance(raw, str) or not raw:
        return None
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def part(raw: Json, key: str) -> Json:
    """An object within an object; empty where it is missing."""
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def text(raw: object) -> str:
    """A string of bounded length."""
    return raw[:_MESSAGE_MOST] if isinstance(raw, str) else ""


def word(raw: object) -> str:
    """A string that many objects share."""
    return intern(raw[:_MESSAGE_MOST]) if isinstance(raw, str) else ""


def _address(status: Json) -> str:
    """Its first IPv4 address, where the server in it listens (`spawners.session.pod`), or the one it has."""
    found = [text(each.get("ip")) for each in status.get("podIPs") or ()]
    return next((address for address in found if "." in address), text(status.get("podIP")))


def _whole(raw: object) -> int | None:
    return int(raw) if isinstance(raw, str) and raw.isdecimal() else None


def _condition(raw: Json | None) -> Condition | None:
    if raw is None:
        return None
    return Condition(
        word(raw.get("status")),
        word(raw.get("reason")),
        text(raw.get("message")),
        moment(raw.get("lastTransitionTime")),
    )


def _container(status: Json) -> Container:
    statuses = status.get("containerStatuses") or ()
    named = [each for each in statuses if each.get("name") == CONTAINER] or list(statuses)
    states = part(named[0], "state") if named else {}
    for state in ("terminated", "running", "waiting"):
        if state in states:
            said = part(states, state)
            return Container(
                state=state,
                reason=word(said.get("reason")),
                message=text(said.get("message")),
                exit_code=said.get("exitCode"),
                signal=said.get("signal"),
                started_at=_real(moment(said.get("startedAt"))),
                finished_at=_real(moment(said.get("finishedAt"))),
            )
    return Container()


def _real(at: datetime | None) -> datetime | None:
    """Kubelets write the epoch or the year 1 for what never happened."""
    return at if at is not None and at.year > 1970 else None


def _resources(spec: Json) -> tuple[dict[str, Any], Requests]:
    """Limits of the first container, and what the pod's containers reserve together."""
    containers = spec.get("containers") or ()
    cpu = memory = 0
    devices: dict[str, int] = {}
    for each in containers:
        asked = part(part(each, "resources"), "requests")
        cpu += millicpus(asked.get("cpu", 0))
        memory += mebibytes(asked.get("memory", 0))
        for name, value in asked.items():
            if "/" in name:
                devices[intern(name)] = devices.get(name, 0) + count(value)
    named = [each for each in containers if each.get("name") == CONTAINER] or list(containers)
    limits = dict(part(part(named[0], "resources"), "limits")) if named else {}
    return limits, Requests(cpu, memory, tuple(sorted(devices.items())))
