"""What can go wrong with the demo's Kubernetes."""

from __future__ import annotations


class KubernetesDemoError(Exception):
    """The cluster cannot be made or does not answer; the text says why."""
