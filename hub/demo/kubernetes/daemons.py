"""The cluster's daemons, as `hub.demo.kubernetes.specs` has them, in the cluster's namespaces."""

from __future__ import annotations

from pathlib import Path

from hub.demo.daemons import Daemon
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.namespace import Namespace
from hub.demo.kubernetes.specs import DaemonSpec

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_daemon(spec: DaemonSpec, namespace: Namespace, logs: Path) -> Daemon:
    """The daemon, not started, with a log of its name in the folder ``logs``; the namespaces are there."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/root", **dict(spec.environment)}
    command = namespace.enter(*spec.argv)
    return Daemon(spec.name, command, environment, logs / f"{spec.name}.log", error=KubernetesDemoError)
