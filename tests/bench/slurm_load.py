"""What do many sessions cost the scheduler, hub and engine, beside batchspawner?

300 sessions run and 50 wait for a CPU: once ours, then batchspawner's SlurmSpawner on a plain JupyterHub,
on the same cluster. Behind each is a job with a small stand-in for a server (`bench_slurm_stub`), since
so many servers of Jupyter do not fit into one machine. Once all are there, a window is counted: what
slurmctld was asked (all of it, by sdiag), what slurmdbd was asked, and processor time of hub and engine
with all that they start, and of Slurm's daemons.

Both ask as often as is their default: ours for all jobs at once, every 2 to 15 s, longer the longer nothing
has changed; batchspawner twice a second for each job that waits, every 30 s for each that runs. Where the
machine is too slow for that it asks less often, which is to its advantage here.

What is not the same: ours has an engine, a token gateway and slurmrestd, all counted; an answer to ours has
all jobs, one to batchspawner a single one (the time of slurmctld tells what that costs). batchspawner starts
``squeue`` by ``setpriv``, which is cheaper than its default ``sudo``, and its jobs have no ``srun``. Sessions
of ours ask the engine for their deadline as real ones do; no stand-in reports activity or writes a log.

``BENCH_SESSIONS`` (350; one in seven waits) and ``BENCH_WINDOW_S`` (60) make it smaller.
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from hub.demo.slurm.cluster import SlurmCluster
from hub.settings import SERVICE_PREFIX
from tests.bench.harness import Row, at_most
from tests.support.bench_processes import own_cpu_seconds, tree_cpu_seconds
from tests.support.bench_slurm_counts import accounting_queries, controller_queries
from tests.support.bench_slurm_peer import batchspawner_hub
from tests.support.bench_slurm_site import PERSON, bench_platform, bench_site
from tests.support.bench_stock import StockHub
from tests.support.platform import wait_until
from tests.support.slurm_platform import SlurmPlatform

NAME = "slurm-load"

SESSIONS = int(os.environ.get("BENCH_SESSIONS", "350"))
WAITING = SESSIONS - (SESSIONS - SESSIONS // 7) // 2 * 2
"""One in seven; those that run fill two nodes to the last CPU, so their number is even."""

WINDOW_S = float(os.environ.get("BENCH_WINDOW_S", "60"))
SETTLE_S = 20.0
"""Between the start of the last session and the window."""

GOAL = 0.01
PEER = "batchspawner 1.3"

_AT_ONCE = 8
_NODES = 2  # of partition cpu
_SLOW_S = 10.0
"""JupyterHub's ``slow_spawn_timeout``."""

_FILL_S = 1200.0
_DAEMONS = ("munged", "slurmdbd", "slurmctld", "slurmrestd")

_PLENTY = {"quota": {
    "roles": [
        {"group": "panhub:users", "resource": resource, "limit": 1_000_000}
        for resource in ("cpu_hours", "sessions")
    ],
    "proposals": [],
    "persons": [],
}}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counted:
    """What a window cost: questions by type, and seconds of processor time."""

    controller: Counter[str]
    accounting: Counter[str]
    programs_s: float
    slurmctld_s: float
    daemons_s: float


class Side(ABC):
    """One of the two hubs."""

    name: str

    def __init__(self, cluster: SlurmCluster) -> None:
        self._cluster = cluster

    @property
    @abstractmethod
    def programs(self) -> Sequence[int]:
        """Process ids of hub and engine."""

    @abstractmethod
    async def start(self, client: httpx.AsyncClient, number: int) -> None:
        """Ask for a session."""

    @abstractmethod
    def servers(self) -> dict[str, Any]:
        """The hub's list of the person's servers."""

    def measure(self) -> Counted:
        """Start all sessions, and count a window."""
        began = time.perf_counter()
        asyncio.run(self._fill(range(SESSIONS - WAITING)))
        self._wait_for(SESSIONS - WAITING)
        asyncio.run(self._fill(range(SESSIONS - WAITING, SESSIONS)))
        self._wait_for(SESSIONS)
        print(f"{self.name}: {SESSIONS} sessions in {time.perf_counter() - began:.0f} s", flush=True)
        time.sleep(SETTLE_S)
        counted = _window(self._cluster, self.programs)
        self._check()
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"{self.name}: machine's load {load}: {counted}", flush=True)
        return counted

    async def _fill(self, numbers: range) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        async with httpx.AsyncClient(timeout=120) as client:

            async def one(number: int) -> None:
                async with gate:
                    await self.start(client, number)

            await asyncio.gather(*(one(number) for number in numbers))

    def _wait_for(self, sessions: int) -> None:
        running = SESSIONS - WAITING
        deadline = time.monotonic() + _FILL_S
        while (found := self._found()) != (min(sessions, running), max(0, sessions - running)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: {found} sessions run and wait")
            time.sleep(1)

    def _found(self) -> tuple[int, int]:
        """How many the hub says are ready, and are starting."""
        servers = self.servers().values()
        return sum(s["ready"] for s in servers), sum(s["pending"] == "spawn" for s in servers)

    def _check(self) -> None:
        states = Counter(self._cluster.checked("squeue", "--noheader", "--format=%T").split())
        wanted = {"RUNNING": SESSIONS - WAITING, "PENDING": WAITING}
        if states != wanted or self._found() != tuple(wanted.values()):
            raise RuntimeError(f"{self.name}: jobs are {states}, sessions {self._found()}, not {wanted}")


class Ours(Side):
    """The platform."""

    name = "PaNHub"

    def __init__(self, platform: SlurmPlatform) -> None:
        super().__init__(platform.cluster)
        self._platform = platform
        self._url = f"{platform.url}{SERVICE_PREFIX}/api/v1/launches"
        self._headers = {"Authorization": f"token {platform.sign_in(PERSON).token}"}

    @property
    def programs(self) -> Sequence[int]:
        """All but the proxy and the demo's provider of identities."""
        return [self._platform.processes[name].pid for name in ("gateway", "service", "hub")]

    async def start(self, client: httpx.AsyncClient, number: int) -> None:
        """A launch by the API; waits for it as long as a plain hub's answer takes."""
        reply = await client.post(self._url, headers=self._headers, json={"place": "cpu"})
        if reply.status_code != 202:
            raise RuntimeError(f"session {number}: {reply.status_code} {reply.text[:500]}")
        until = time.monotonic() + _SLOW_S
        while time.monotonic() < until and reply.json()["state"] != "running":
            await asyncio.sleep(0.2)
            reply = await client.get(f"{self._url}/{reply.json()['id']}", headers=self._headers)

    def servers(self) -> dict[str, Any]:
        """With the service's token."""
        return self._platform.hub_servers(PERSON)


class Batchspawner(Side):
    """The plain hub."""

    name = PEER

    def __init__(self, cluster: SlurmCluster, hub: StockHub) -> None:
        super().__init__(cluster)
        self._hub = hub
        self._url = f"{hub.api_url}/users/{PERSON}"

    @property
    def programs(self) -> Sequence[int]:
        """The hub; its commands are below it."""
        return [self._hub.hub.pid]

    async def start(self, client: httpx.AsyncClient, number: int) -> None:
        """A named server by the REST API; answered once it runs, or after ten seconds."""
        reply = await client.post(f"{self._url}/servers/s{number:03}", headers=self._hub.headers)
        if reply.status_code not in {201, 202}:
            raise RuntimeError(f"session {number}: {reply.status_code} {reply.text[:500]}")

    def servers(self) -> dict[str, Any]:
        """With the service's token."""
        reply = httpx.get(self._url, headers=self._hub.headers, timeout=60).raise_for_status()
        found: dict[str, Any] = reply.json()["servers"]
        return found


def _window(cluster: SlurmCluster, programs: Sequence[int]) -> Counted:
    before = _look(cluster, programs)
    time.sleep(WINDOW_S)
    after = _look(cluster, programs)
    return Counted(
        after.controller - before.controller,
        after.accounting - before.accounting,
        after.programs_s - before.programs_s,
        after.slurmctld_s - before.slurmctld_s,
        after.daemons_s - before.daemons_s,
    )


def _look(cluster: SlurmCluster, programs: Sequence[int]) -> Counted:
    times = {name: own_cpu_seconds(psutil.Process(cluster.pid(name))) for name in _DAEMONS}
    return Counted(
        controller_queries(cluster),
        accounting_queries(cluster),
        tree_cpu_seconds(programs),
        times["slurmctld"],
        sum(times.values()),
    )


def run() -> list[Row]:
    """Measure one after the other."""
    cpus = -(-(SESSIONS - WAITING) // _NODES)
    with bench_site(cpus_per_node=cpus, is_stubbed=True) as site:
        cluster = site.cluster
        with bench_platform(site, **_PLENTY, service={"stop_sessions_at_exit": False}) as platform:
            ours = Ours(platform).measure()
        # The jobs are still there.
        alone = _window(cluster, ())
        cluster.cancel_all(timeout_s=300)
        wait_until(lambda: "idle" in cluster.node_states()["cpu1"], "jobs do not end", 120)
        with batchspawner_hub(site, is_stubbed=True) as hub:
            peer = Batchspawner(cluster, hub).measure()
        cluster.cancel_all(timeout_s=300)
    return _rows(ours, peer, alone)


def _rows(ours: Counted, peer: Counted, alone: Counted) -> list[Row]:
    def beside(measure: str, unit: str, own: float, other: float, goal: float | None = None) -> Row:
        minute = 60 / WINDOW_S
        return at_most(measure, unit, own * minute, peer=(PEER, other * minute), goal_ratio=goal)

    what = f"{SESSIONS - WAITING} run, {WAITING} wait"
    return [
        beside(f"{what}: asked for jobs", "/min", _for_jobs(ours), _for_jobs(peer), GOAL),
        beside(
            "slurmctld asked, all questions", "/min", ours.controller.total(), peer.controller.total(), GOAL
        ),
        beside("slurmdbd asked", "/min", ours.accounting.total(), peer.accounting.total()),
        beside("CPU of hub and engine", "s/min", ours.programs_s, peer.programs_s),
        beside("CPU of slurmctld", "s/min", ours.slurmctld_s, peer.slurmctld_s),
        beside(
            "the same, more than when nobody asks",
            "s/min",
            ours.slurmctld_s - alone.slurmctld_s,
            peer.slurmctld_s - alone.slurmctld_s,
        ),
        beside("CPU of Slurm's daemons", "s/min", ours.daemons_s, peer.daemons_s),
    ]


def _for_jobs(counted: Counted) -> int:
    """Each ``squeue`` of batchspawner is one of these, and two other questions."""
    return sum(n for name, n in counted.controller.items() if name.startswith("REQUEST_JOB_INFO"))
