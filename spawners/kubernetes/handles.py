"""The handle of a session in a cluster: the identity of its pod."""

from __future__ import annotations

from dataclasses import dataclass

from spawners.backend import Handle
from spawners.kubernetes.models import Pod


@dataclass(frozen=True, slots=True)
class Link:
    """A handle, read: name and uid of a pod of the sessions' namespace."""

    name: str
    uid: str


def handle_of(pod: Pod, cluster: str, namespace: str) -> Handle:
    """JSON to be stored."""
    return {"cluster": cluster, "namespace": namespace, "name": pod.name, "uid": pod.uid}


def is_pod(handle: Handle | None) -> bool:
    """Whether any backend's handle is that of a pod."""
    return handle is not None and "namespace" in handle


def link_of(handle: Handle, cluster: str, namespace: str) -> Link | None:
    """Read a handle; None if it is not one of this namespace of this cluster."""
    name, uid = handle.get("name"), handle.get("uid")
    if handle.get("cluster") != cluster or handle.get("namespace") != namespace:
        return None
    return Link(name, uid) if isinstance(name, str) and isinstance(uid, str) and name and uid else None
