"""At which addresses sessions on nodes reach hub and service."""

from __future__ import annotations

import socket

from hub.settings import HUB_PREFIX, Settings, url_host
from spawners.slurm.settings import ClusterSettings

_ANY = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, not listened on


def hub_url(settings: Settings) -> str:
    """Address of the hub's API as JupyterHub tells it to sessions: its own name where it listens on all."""
    if settings.hub.session_url is not None:
        return f"{settings.hub.session_url}{HUB_PREFIX}/api/"
    bind = socket.gethostname() if settings.hub.bind in _ANY else settings.hub.bind
    return f"http://{url_host(settings.hub.address or bind)}:{settings.hub.port}{HUB_PREFIX}/api/"


def report_url(settings: Settings, cluster: ClusterSettings) -> str:
    """Base address of the service for nodes of a cluster, without a slash at its end."""
    base = cluster.node_report_url or settings.service.session_report_url or settings.service.url
    return base.rstrip("/")
