"""What does a launch cost the hub when nothing is started, beside a plain JupyterHub?

Two hubs side by side, each with a proxy of its own: ours as it is configured for a site (access,
plan and enforced quota decide every launch; only sign-in is by password), and JupyterHub with its
defaults and a spawner that returns at once. Both have the same 1,000 people and get the same calls
of the REST API, in turns of one batch each, until 500 sessions run in each. Behind every session
stands one and the same small server. Processor time counts, not wall time: the machine has others.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from hub.demo.configure import HOST, free_ports
from hub.demo.people import PEOPLE
from tests.bench.harness import Row, at_most
from tests.support.bench_ours import our_hub
from tests.support.bench_processes import ROOT, base_environment, own_cpu_seconds, running
from tests.support.bench_stock import stock_hub
from tests.support.demo_access import OPEN, READS, dataset

NAME = "launches"

USERS = 1_000
LAUNCHES = 500
BATCH = 25
AT_ONCE = 5
WARM_UP = 10
"""Launches before those that count: imports, caches, the first row of each allocation."""

MOST_LATE = 50

AT_REST_S = 35.0
"""Longer than the time (30 s) after which a hub asks each of its spawners again."""

GOAL = 1.1
PEER = "JupyterHub, null spawner"


@dataclass
class Side:
    """One of the two hubs, and what was measured of it."""

    api_url: str
    headers: dict[str, str]
    hub: psutil.Process
    service: psutil.Process | None = None
    hub_cpu_s: float = 0.0
    service_cpu_s: float = 0.0
    rest_cpu_s: float = 0.0
    wall_s: list[float] = field(default_factory=list)
    late: int = 0

    async def add_users(self, usernames: list[str]) -> None:
        """Make the people known to the hub."""
        async with self._client() as client:
            for start in range(0, len(usernames), 100):
                reply = await client.post("/users", json={"usernames": usernames[start : start + 100]})
                reply.raise_for_status()

    async def launch(self, numbers: range, usernames: list[str]) -> None:
        """Start a server for each of these people, a few at once; count what it cost."""
        hub, service = self._cpu()
        gate = asyncio.Semaphore(AT_ONCE)
        async with self._client() as client:

            async def one(number: int) -> None:
                async with gate:
                    began = time.perf_counter()
                    await self._start(client, usernames[number], _options(number))
                    self.wall_s.append(time.perf_counter() - began)

            await asyncio.gather(*(one(number) for number in numbers))
        after_hub, after_service = self._cpu()
        self.hub_cpu_s += after_hub - hub
        self.service_cpu_s += after_service - service

    async def _start(self, client: httpx.AsyncClient, username: str, options: dict[str, Any]) -> None:
        body, path = {"user_options": options}, f"/users/{username}/servers/bench"
        reply = await client.post(path, json=body)
        while reply.headers.get("X-PanHub-Code") == "engine_unavailable" and self.late < MOST_LATE:
            # On a machine that is busy with others a plan may miss its 0.8 s; what that costs counts.
            self.late += 1
            reply = await client.post(path, json=body)
        # 202 (not within 10 s) would leave work for later: it must not happen here.
        if reply.status_code != 201:
            raise RuntimeError(f"{username}: {reply.status_code} {reply.text[:500]}")

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.api_url, headers=self.headers, timeout=60)

    def _cpu(self) -> tuple[float, float]:
        return own_cpu_seconds(self.hub), own_cpu_seconds(self.service) if self.service else 0.0

    def forget_measures(self) -> None:
        """After the warm-up."""
        self.hub_cpu_s = self.service_cpu_s = 0.0
        self.late = 0
        self.wall_s.clear()

    async def count_running(self) -> int:
        """Servers that the hub says are ready."""
        async with self._client() as client:
            reply = await client.get("/users", params={"state": "ready", "limit": USERS})
            found, page = reply.json(), 200
            while len(found) == page:
                more = await client.get(
                    "/users", params={"state": "ready", "limit": USERS, "offset": len(found)}
                )
                found, page = found + more.json(), page + 200
            return len(found)

    @property
    def rss_mib(self) -> float:
        """Resident memory of the hub."""
        return float(self.hub.memory_info().rss) / 2**20


def run() -> list[Row]:
    """Measure both hubs."""
    usernames = [f"user{number:04}" for number in range(USERS)]
    port = free_ports().service
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, target = Path(name), f"http://{HOST}:{port}"
        server = [sys.executable, "-m", "tests.support.bench_null", str(port)]
        environment = {**base_environment(), "PYTHONPATH": str(ROOT)}
        stack.enter_context(running(server, environment, folder / "target.log", target))
        plain = stack.enter_context(stock_hub(folder / "plain", spawner="null", target=target))
        own = stack.enter_context(our_hub(folder / "ours", usernames=usernames, target_port=port))
        ours = Side(own.api_url, own.headers, own.hub, own.service)
        peer = Side(plain.api_url, plain.headers, plain.hub)
        asyncio.run(_measure(ours, peer, usernames))
        return _rows(ours, peer)


def _options(number: int) -> dict[str, Any]:
    """A launch request with data that this person reads: their own where there is some, else open data."""
    reads = READS[PEOPLE[number % len(PEOPLE)].username]
    return {"inputs": [dataset(min(reads - OPEN, default=min(OPEN)))]}


async def _measure(ours: Side, peer: Side, usernames: list[str]) -> None:
    for side in (ours, peer):
        await side.add_users(usernames)
        await side.launch(range(LAUNCHES, LAUNCHES + WARM_UP), usernames)
        side.forget_measures()
    for start in range(0, LAUNCHES, BATCH):
        batch = range(start, start + BATCH)
        # Whoever is first in a turn is so in every second turn only.
        for side in (ours, peer) if start // BATCH % 2 else (peer, ours):
            await side.launch(batch, usernames)
    for side in (ours, peer):
        found = await side.count_running()
        assert found == LAUNCHES + WARM_UP, found
    before = [own_cpu_seconds(side.hub) for side in (ours, peer)]
    await asyncio.sleep(AT_REST_S)
    for side, cpu_s in zip((ours, peer), before, strict=True):
        side.rest_cpu_s = own_cpu_seconds(side.hub) - cpu_s


def _rows(ours: Side, peer: Side) -> list[Row]:
    def beside(measure: str, unit: str, own: float, other: float, goal: float | None = None) -> Row:
        return at_most(measure, unit, own, peer=(PEER, other), goal_ratio=goal)

    per_launch = 1000 / LAUNCHES
    running_ms = 1000 / AT_REST_S / (LAUNCHES + WARM_UP) * 60
    return [
        beside("hub CPU per launch", "ms", ours.hub_cpu_s * per_launch, peer.hub_cpu_s * per_launch, GOAL),
        beside(f"hub memory (RSS), {LAUNCHES} running", "MiB", ours.rss_mib, peer.rss_mib, GOAL),
        beside(
            "hub CPU per session at rest and minute",
            "ms",
            ours.rest_cpu_s * running_ms,
            peer.rest_cpu_s * running_ms,
        ),
        at_most("engine CPU per launch", "ms", ours.service_cpu_s * per_launch),
        at_most("asked again, as the plan was late", "launches", ours.late),
        beside(
            f"launch, {AT_ONCE} at once, p50",
            "ms",
            1000 * statistics.median(ours.wall_s),
            1000 * statistics.median(peer.wall_s),
        ),
    ]
