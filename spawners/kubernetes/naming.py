"""Names, labels and annotations by which our objects are known in a cluster."""

from __future__ import annotations

from typing import Final

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

CONTAINER: Final = "session"
"""Name of the one container of a session's pod."""

PORT: Final = 8888
"""Port on which a session's server listens, at the pod's own address."""
