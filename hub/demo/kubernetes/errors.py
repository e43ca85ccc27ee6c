"""What can go wrong with the demo's Kubernetes."""

from __future__ import annotations

from hub.demo.site import SiteError


class KubernetesDemoError(SiteError):
    """The cluster cannot be made or does not answer; the text says why."""
