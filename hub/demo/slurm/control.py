"""Control of a cluster's daemons one by one, as faults need it."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from hub.demo.slurm.configuration import NODES
from hub.demo.slurm.daemons import Daemon
from hub.demo.slurm.namespace import Namespace
from hub.demo.slurm.release import SlurmDemoError

DAEMONS = ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmrestd", *NODES)
"""Names of the daemons, in the order of their start."""

_PROBE_S = 0.05
_START_TIMEOUT_S = 30.0


class Control(ABC):
    """Part of `SlurmCluster`. Every name is one of `DAEMONS`."""

    def __init__(self) -> None:
        self._namespace: Namespace | None = None
        self._daemons: dict[str, Daemon] = {}

    def start_daemon(self, name: str) -> None:
        """Start a daemon that does not run, and wait until it answers.

        Raises
        ------
        SlurmDemoError
            If it ends or does not answer in time; the end of its log is in the text.
        """
        daemon = self._daemon(name)
        daemon.start()
        daemon.wait_ready()
        # It listens before it has read its state, and may still end over that.
        deadline = time.monotonic() + _START_TIMEOUT_S
        while name == "slurmctld" and self._is_starting():
            daemon.wait_ready()
            if time.monotonic() > deadline:
                raise SlurmDemoError(
                    f"slurmctld did not answer within {_START_TIMEOUT_S:g} s; see {daemon.log}."
                )
            time.sleep(_PROBE_S)

    @abstractmethod
    def _is_starting(self) -> bool:
        """Whether slurmctld listens and does not answer yet."""

    def stop_daemon(self, name: str) -> None:
        """Stop a daemon in order (SIGTERM)."""
        self._daemon(name).stop()

    def kill(self, name: str) -> None:
        """Kill a daemon (SIGKILL). Jobs of a killed node go on: see `lose_node`."""
        self._daemon(name).kill()

    def lose_node(self, name: str) -> None:
        """Kill a node's daemon with all processes of its jobs, as a power cut does.

        slurmctld sees it after ``SlurmdTimeout``, or at once with `SlurmCluster.set_node`.
        """
        self.freeze(name)
        # The steps' own daemons outlive slurmd; their tasks know the node by this variable.
        steps = [
            parent
            for process in self.processes()
            if _is_of_node(process, name)
            for parent in process.parents()
            if parent.name() == "slurmstepd"
        ]
        self.kill(name)
        for process in [each for step in steps for each in (step, *step.children(recursive=True))]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def freeze(self, name: str) -> None:
        """Freeze a daemon: its port stays open and nothing answers."""
        self._daemon(name).freeze()

    def thaw(self, name: str) -> None:
        """Let a frozen daemon go on."""
        self._daemon(name).thaw()

    def pid(self, name: str) -> int:
        """Process id of a daemon, as this side numbers it."""
        return self._daemon(name).pid

    def is_running(self, name: str) -> bool:
        """Whether a daemon runs, frozen or not."""
        return self._daemon(name).is_running

    def processes(self) -> dict[psutil.Process, str]:
        """Processes of the cluster with their names: daemons, and jobs without a namespace of their own."""
        found = {}
        for process in self._inside.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[process] = process.name()
        return found

    def _daemon(self, name: str) -> Daemon:
        try:
            return self._daemons[name]
        except KeyError:
            raise SlurmDemoError(f"There is no running daemon {name!r}.") from None

    @property
    def _inside(self) -> Namespace:
        if self._namespace is None:
            raise SlurmDemoError("The cluster does not run.")
        return self._namespace


def _is_of_node(process: psutil.Process, node: str) -> bool:
    with contextlib.suppress(OSError):
        variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        return f"SLURMD_NODENAME={node}".encode() in variables
    return False
