"""The cluster's daemons: what runs, as whom, and how it is seen to answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.demo import daemons
from hub.demo.slurm.namespace import Namespace
from hub.demo.slurm.release import SlurmDemoError


@dataclass(frozen=True, slots=True)
class DaemonSpec:
    """What to run and as whom (None: root); it is ready when ``is_ready`` says so."""

    name: str
    argv: tuple[str, ...]
    user: str | None
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)


class Daemon(daemons.Daemon):
    """One process in the cluster's namespace, as its specification says."""

    def __init__(self, spec: DaemonSpec, namespace: Namespace, log: Path) -> None:
        command = namespace.enter(*as_user(spec.user, spec.argv), is_inside=True)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **spec.environment}
        super().__init__(spec.name, command, environment, log, error=SlurmDemoError)
        self._is_ready = spec.is_ready

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until it answers.

        Raises
        ------
        SlurmDemoError
            If it ends or does not answer in time; the end of its log is in the text.
        """
        self.wait(self._is_ready, "did not answer", timeout_s)


def as_user(user: str | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Command that runs ``argv`` as a user with all of their groups; None is root."""
    if user is None:
        return argv
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--", *argv)


def accepts_tcp(port: int) -> bool:
    """Whether something listens on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def accepts_unix(path: Path) -> bool:
    """Whether something listens on the unix socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(0.5)
        connection.connect(str(path))
        return True
    return False
