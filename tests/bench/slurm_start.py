"""How long from the request until a session on Slurm answers, and what is that beside doing without us?

Three ways to ``jupyterhub-singleuser`` of one environment, of one person, on one cluster (one CPU, 2 GiB,
nodes idle), in turns:

* ours: a launch by the API, until the session answers through the proxy;
* batchspawner's SlurmSpawner with its defaults, on a plain JupyterHub with the same proxy: a named server
  by the REST API, until it answers through the proxy;
* the floor: ``sbatch`` of the server alone, until it answers on its node. No hub starts it, no proxy is
  before it, nothing keeps data apart.

What is not the same: ours asks for a data view and keeps the books; batchspawner's script has its
defaults ``srun`` and ``--get-user-env``; its questions go by ``setpriv``, which is cheaper than its ``sudo``.
``BENCH_ROUNDS`` sets the number of rounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from hub.demo.configure import HOST, free_ports
from tests.bench.harness import Row
from tests.bench.starts import Ours, Peer, Way, measure
from tests.support.bench_slurm_peer import batchspawner_hub
from tests.support.bench_slurm_site import PERSON, BenchSite, bench_platform, bench_site
from tests.support.bench_stock import StockHub, server_prefix

NAME = "slurm-start"

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "8"))
GOAL_FLOOR = 1.1
GOAL_PEER = 0.6
PEER = "batchspawner 1.3, plain JupyterHub"
FLOOR = "bare sbatch"

_BARE = "bare"
"""The server in the job of the floor."""


class Floor(Way):
    """``jupyterhub-singleuser`` as a job that the person submits, with what a hub would tell it."""

    def __init__(self, clear: Callable[[], None], site: BenchSite, hub: StockHub) -> None:
        super().__init__(clear)
        self._cluster = site.cluster
        self._hub = hub
        self._token = hub.token_of(PERSON)
        self._origin = ""
        self._script = f"#!/bin/bash\nexec {site.prefix}/bin/jupyterhub-singleuser\n"
        self._path = f"{site.prefix}/bin:/usr/local/bin:/usr/bin:/bin"

    def click(self) -> None:
        """Submit it; the port is chosen before."""
        self._origin = f"http://{HOST}:{free_ports().service}"
        done = self._cluster.run(
            "sbatch", "--parsable", "--partition=cpu", "--cpus-per-task=1", "--mem=2048", "--time=120",
            f"--chdir={self._cluster.people.home(PERSON)}", f"--output={self._cluster.output('%j')}",
            user=PERSON,
            input=self._script,
            environment={
                "PATH": self._path,
                **self._hub.told(PERSON, _BARE, self._token, self._origin),
            },
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def url(self) -> str:
        """On its node."""
        return f"{self._origin}{server_prefix(PERSON, _BARE)}"

    def end(self) -> None:
        """The job is cancelled after each round anyway."""


def run() -> list[Row]:
    """Measure all ways in turns."""
    with _ways() as ways:
        return measure(ways, ROUNDS, peer=PEER, floor=FLOOR, goal_floor=GOAL_FLOOR, goal_peer=GOAL_PEER)


@contextmanager
def _ways() -> Iterator[list[Way]]:
    with ExitStack() as stack:
        site = stack.enter_context(bench_site())
        platform = stack.enter_context(bench_platform(site))
        hub = stack.enter_context(batchspawner_hub(site))

        def clear() -> None:
            site.cluster.cancel_all()
            site.cluster.wait_nodes("idle")

        yield [Ours(clear, platform, PERSON, "cpu"), Peer(clear, hub, PERSON), Floor(clear, site, hub)]
