"""How long until the form knows what 40 partitions of 5,000 nodes have free, and who waits for it?

Ours: what a watcher does with slurmrestd's answers (nodes and partitions, generated after recorded ones of
0.0.41): decoded in the spare process, indexed and summed up in threads. Beside it jupyterhub_moss' parser on
the lines that ``sinfo`` would print for the same cluster: there the sums over nodes are sinfo's work,
and of a partition with several kinds of node only the last line is kept, which the last rows count.
The longest wait is that of the event loop, on which pages and launches are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from dataclasses import dataclass, field
from datetime import timedelta

from spawners.backend import Availability
from spawners.slurm.availability import availability_of
from spawners.slurm.decode import Decoder
from spawners.slurm.forecast import estimate
from spawners.slurm.index import index_of
from spawners.slurm.rest.adapters import ADAPTERS
from spawners.slurm.snapshot import Snapshot
from tests.bench.harness import Row, at_most
from tests.support.moss import moss_parser
from tests.support.slurm_large import LargeCluster, large_cluster
from tests.support.slurm_models import NOW, ask

NAME = "slurm-info"

NODES, PARTITIONS, JOBS = 5_000, 40, 10_000
ROUNDS = 11
GOAL_MS = 200.0
GOAL_PARTITION_MS = 5.0
PEER = "jupyterhub_moss, parser alone"

_ADAPTER = ADAPTERS["v0.0.41"]
_TICK_S = 0.001


@dataclass
class Measured:
    """Milliseconds of each round."""

    all_ms: list[float] = field(default_factory=list)
    wait_ms: list[float] = field(default_factory=list)
    one_ms: list[float] = field(default_factory=list)
    forecast_ms: list[float] = field(default_factory=list)
    again_ms: list[float] = field(default_factory=list)
    peer_ms: list[float] = field(default_factory=list)


class Ticker:
    """Wakes up each millisecond; what lies between is a wait of everybody on this loop."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._task = asyncio.ensure_future(self._tick())

    async def _tick(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.perf_counter()
            self.longest_s = max(self.longest_s, now - last - _TICK_S)
            last = now

    def take_ms(self) -> float:
        """Longest wait since the last call."""
        longest, self.longest_s = self.longest_s, 0.0
        return longest * 1000


def run() -> list[Row]:
    """Measure, in turns with the peer."""
    cluster = large_cluster(NODES, PARTITIONS, JOBS)
    parse = moss_parser()
    measured = Measured()
    found: dict[str, Availability] = {}
    theirs: dict[str, int] = {}

    async def rounds() -> None:
        decoder, ticker = Decoder(), Ticker()
        await decoder.start()
        try:
            for number in range(ROUNDS + 1):
                gc.collect()
                found.update(await _ours(cluster, decoder, ticker, measured))
                began = time.perf_counter()
                said = parse(cluster.sinfo)
                measured.peer_ms.append((time.perf_counter() - began) * 1000)
                theirs.update({name: resources.ncores_total for name, resources in said.items()})
                if number == 0:  # files and caches are cold
                    measured.__init__()  # type: ignore[misc]
        finally:
            await decoder.aclose()

    asyncio.run(rounds())
    return _rows(cluster, measured, found, theirs)


async def _ours(
    cluster: LargeCluster, decoder: Decoder, ticker: Ticker, measured: Measured
) -> dict[str, Availability]:
    await asyncio.sleep(0.01)
    ticker.take_ms()
    began = time.perf_counter()
    nodes = await decoder.decode(_ADAPTER.nodes, cluster.nodes)
    partitions = await decoder.decode(_ADAPTER.partitions, cluster.partitions)
    snapshot = Snapshot(NOW, NOW, NOW, cluster.jobs, nodes, partitions, (), (), ())
    await asyncio.to_thread(index_of(snapshot).prepare)
    found = await asyncio.to_thread(_all, snapshot)
    measured.all_ms.append((time.perf_counter() - began) * 1000)
    measured.wait_ms.append(ticker.take_ms())
    again = Snapshot(NOW, NOW, NOW, cluster.jobs, nodes, partitions, (), (), ())
    index_of(again).prepare()
    began = time.perf_counter()
    availability_of(again, "all")
    measured.one_ms.append((time.perf_counter() - began) * 1000)
    wanted = ask(8, hours=4)
    for values in (measured.forecast_ms, measured.again_ms):
        began = time.perf_counter()
        estimate(again, "all", wanted, NOW + timedelta(seconds=1))
        values.append((time.perf_counter() - began) * 1000)
    return found


def _all(snapshot: Snapshot) -> dict[str, Availability]:
    return {partition.name: availability_of(snapshot, partition.name) for partition in snapshot.partitions}


def _rows(
    cluster: LargeCluster, measured: Measured, found: dict[str, Availability], theirs: dict[str, int]
) -> list[Row]:
    median = statistics.median
    wrong = sum(found[name].cpus_total != cpus for name, cpus in cluster.cpus.items())
    their_wrong = sum(theirs.get(name) != cpus for name, cpus in cluster.cpus.items())
    peer = (PEER, median(measured.peer_ms))
    return [
        at_most(
            f"{len(found)} partitions of {NODES:,} nodes",
            "ms",
            median(measured.all_ms),
            goal=GOAL_MS,
            peer=peer,
        ),
        at_most("the same, fastest round", "ms", min(measured.all_ms)),
        at_most("longest wait of the event loop", "ms", median(measured.wait_ms)),
        at_most(
            "the partition of all nodes, once indexed", "ms", median(measured.one_ms), goal=GOAL_PARTITION_MS
        ),
        at_most("first forecast there", "ms", median(measured.forecast_ms)),
        at_most("each further forecast there", "ms", median(measured.again_ms)),
        Row("partitions whose CPUs are wrong", "", wrong, PEER, their_wrong, goal="≤ 0", met=wrong == 0),
    ]
