"""Whether the API server answers."""

from __future__ import annotations

from spawners.kubernetes.client import KubernetesRefusedError, KubernetesUnavailableError
from spawners.outage import Outage as AnyOutage


class Outage(AnyOutage):
    """Questions to an API server."""

    expected = (KubernetesRefusedError, KubernetesUnavailableError)
