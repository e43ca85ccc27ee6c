"""Pods as an API server says them, and as they are kept, for tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from spawners.kubernetes.models import Condition, Container, Pod, PodEvent

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    """That long before `NOW`."""
    return NOW - timedelta(seconds=seconds)


def condition(status: str = "True", reason: str = "", message: str = "", *, at: datetime | None = None):
    """A condition."""
    return Condition(status, reason, message, at)


def a_pod(**more: Any) -> Pod:
    """A pod that waits for its container on node-1, changed."""
    return Pod(
        **{
            "name": "session-1",
            "uid": "uid-1",
            "version": 10,
            "created_at": ago(20),
            "launch_id": "1",
            "pool": "default",
            "phase": "Pending",
            "node": "node-1",
            "has_finalizer": True,
            "scheduled": condition(at=ago(10)),
            "cpus": 2,
            "memory_mib": 4096,
            **more,
        }
    )


def waiting(reason: str, message: str = "", **more: Any) -> Pod:
    """A pod whose container waits."""
    return a_pod(container=Container("waiting", reason, message), **more)


def running(**more: Any) -> Pod:
    """A pod that runs since a minute."""
    known = {
        "phase": "Running",
        "ip": "10.0.0.7",
        "container": Container("running", started_at=ago(60)),
        "ready": condition(at=ago(60)),
        "containers_ready": condition(at=ago(60)),
    }
    return a_pod(**{**known, **more})


def ended(code: int = 0, reason: str = "Error", **more: Any) -> Pod:
    """A pod that ran for a minute."""
    container = Container("terminated", reason, "", code, None, ago(70), ago(10))
    return a_pod(**{"phase": "Failed" if code else "Succeeded", "container": container, **more})


def event(reason: str, message: str = "", *, at: datetime | None = None) -> PodEvent:
    """An event of the pod."""
    return PodEvent("event", "uid-2", 11, "uid-1", reason, message, at or ago(5))
