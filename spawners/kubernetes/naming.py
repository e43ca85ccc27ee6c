"""Names, labels and annotations by which our objects are known in a cluster."""

from __future__ import annotations

from typing import Final

from spawners.plan import LaunchId

LAUNCH_LABEL: Final = "panhub.org/launch"
"""Label of a session's pod: the launch id."""

PLACE_LABEL: Final = "panhub.org/pool"
"""Label of a session's pod and of a placeholder: the pool of its place."""

COMPONENT_LABEL: Final = "app.kubernetes.io/component"
SESSION: Final = "session"
PLACEHOLDER: Final = "placeholder"

MANAGER_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "panhub"

FINALIZER: Final = "panhub.org/settle"
"""Keeps the record of a session's pod until the engine has settled it, whoever deletes the pod."""

CPUS_ANNOTATION: Final = "panhub.org/cpus"
MEMORY_ANNOTATION: Final = "panhub.org/memory-mib"
GPUS_ANNOTATION: Final = "panhub.org/gpus"
"""Size of a session as it was planned: what its use is counted by. Whole numbers."""

PLACE_ANNOTATION: Final = "panhub.org/place"
PERSON_ANNOTATION: Final = "panhub.org/person"
SERVER_ANNOTATION: Final = "panhub.org/server"
"""Names as they are; labels cannot hold them all."""

PERSON_LABEL: Final = "hub.jupyter.org/username"
SERVER_LABEL: Final = "hub.jupyter.org/servername"
"""As KubeSpawner has them, so that dashboards and policies made for it find our pods."""

CONTAINER: Final = "session"
"""Name of the one container of a session's pod."""

PORT: Final = 8888
"""Port on which a session's server listens, at the pod's own address."""


def pod_name(launch_id: LaunchId) -> str:
    """Name of a session's pod, and of its secret."""
    return f"session-{launch_id}"


GATE: Final = "panhub.org/credentials"
"""Scheduling gate of a session's pod until its secret is there: what was cut off in between never runs."""

GIVEN_UP: Final = "panhub.org/given-up"
"""Annotation of a pod that the engine ended before it ran: why, for a person."""

SPEC: Final = "panhub.org/spec"
"""Annotation of a placeholder: a hash of what it was made from."""
