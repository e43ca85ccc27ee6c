"""Which traits of KubeSpawner may shape a session's pod here, and what becomes of the others?

Sites that come from zero-to-jupyterhub know their clusters by these names. What the plan or security
decides is refused with the setting that does it here; an unknown name is refused as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ALLOWED: Final = frozenset(
    {
        "extra_annotations",
        "extra_labels",
        "extra_resource_guarantees",
        "extra_resource_limits",
        "node_affinity_preferred",
        "node_affinity_required",
        "pod_affinity_preferred",
        "pod_affinity_required",
        "pod_anti_affinity_preferred",
        "pod_anti_affinity_required",
        "scheduler_name",
        "tolerations",
    }
)
"""Traits that are taken as they are, without KubeSpawner's ``{username}`` templates."""


def of_make_pod(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `kubespawner.objects.make_pod` that are taken as they are (affinities, scheduler)."""
    return {
        name: value for name, value in overrides.items() if "affinity" in name or name == "scheduler_name"
    }
