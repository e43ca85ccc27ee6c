"""How much does the desktops' tunnel carry, what does it add, and what does it cost, beside its peers?

A fake guacd plays generated scenes to raw clients: directly, through our handshake, pump and filters in a
Tornado server, through guacamole-lite (Node) and guapy (uvicorn with uvloop). All take turns in one run.
``BENCH_QUICK=1`` makes it short.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict

from tests.bench.harness import Row, at_most, percentile
from tests.bench.tunnel_client import NOP, bulk, echoes, replay
from tests.bench.tunnel_servers import Server, servers

NAME = "tunnel"

IS_QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 2 if IS_QUICK else 5
AMOUNTS_MB = {"image": 97, "small": 8}
ECHOES = 300 if IS_QUICK else 1500
"""In each round."""

CONNECTIONS = 200
REPLAY_S = 4 if IS_QUICK else 12
STALLED = 3
STALLED_MB = 100
STALLED_S = 2 if IS_QUICK else 6

GOAL_TIMES_LITE = 8
GOAL_ADDED_P99_MS = 1.0
GOAL_STALLED_MIB = 10.0

PEERS = ("guacamole-lite", "guapy")


def run() -> list[Row]:
    """Start all, measure, compare."""
    with servers() as measured:
        by_name = {one.name: one for one in measured}
        rows = [*_streams(measured), *_latency(measured[:4])]
        rows += _stalled([by_name["ours"], *(by_name[name] for name in PEERS)])
        # Last, since a peer may not live through it.
        return [*rows, *_replays(measured[:4])]


def _streams(measured: list[Server]) -> list[Row]:
    rows = []
    for scene, amount in AMOUNTS_MB.items():
        rates: dict[str, list[float]] = defaultdict(list)
        costs: dict[str, list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for one in measured:
                client, cpu = one.connect(f"{scene}:{amount}"), one.cpu_s()
                rates[one.name].append(amount / bulk(client))
                costs[one.name].append((one.cpu_s() - cpu) * 1e3 / amount)
                client.close()
        rate = {name: statistics.median(values) for name, values in rates.items()}
        cost = {name: statistics.median(values) for name, values in costs.items()}
        what = "pictures" if scene == "image" else "small instructions"
        goals = {"guacamole-lite": GOAL_TIMES_LITE}
        rows += [_at_least(what, "MB/s", rate["ours"], (name, rate[name]), goals.get(name)) for name in PEERS]
        rows.append(_at_least(what, "MB/s", rate["ours"], ("direct TCP", rate["direct TCP"]), None))
        rows.append(_at_least(f"{what}, viewer", "MB/s", rate["ours, viewer"], ("ours", rate["ours"]), None))
        rows += [at_most(f"{what}, CPU", "ms/MB", cost["ours"], peer=(name, cost[name])) for name in PEERS]
    return rows


def _at_least(measure: str, unit: str, ours: float, peer: tuple[str, float], goal: float | None) -> Row:
    ratio = ours / peer[1]
    text, met = (None, None) if goal is None else (f"≥ {goal:g} × peer", ratio >= goal)
    return Row(measure, unit, ours, peer[0], peer[1], ratio, text, met)


def _latency(measured: list[Server]) -> list[Row]:
    """Key to ``sync``, less that of a direct connection in the same run."""
    times: dict[str, list[float]] = defaultdict(list)
    clients = {one.name: one.connect("echo") for one in measured}
    for client in clients.values():
        echoes(client, 50)
    for _ in range(ROUNDS):
        for name, client in clients.items():
            times[name] += echoes(client, ECHOES)
    for client in clients.values():
        client.close()
    rows = []
    for percent in (50, 99):
        direct = percentile(times["direct TCP"], percent)
        added = {
            name: (percentile(values, percent) - direct) / 1e3
            for name, values in times.items()
            if name != "direct TCP"
        }
        goal = GOAL_ADDED_P99_MS if percent == 99 else None
        rows += [
            at_most(f"added latency, p{percent}", "ms", added["ours"], goal=goal, peer=(name, added[name]))
            for name in PEERS
        ]
    return rows


def _replays(measured: list[Server]) -> list[Row]:
    """Many people at work at once."""
    cpu, lag, lateness, late, lost = ({} for _ in range(5))
    for one in measured:
        clients = [one.connect("replay") for _ in range(CONNECTIONS)]
        for client in clients:
            client.send(NOP)
        replay(clients, 1.0)
        one.lag_ms()
        before, began = one.cpu_s(), time.monotonic()
        replayed = replay(clients, REPLAY_S)
        taken = time.monotonic() - began
        for client in clients:
            client.close()
        lost[one.name] = float(replayed.lost)
        if one.is_alive():
            cpu[one.name] = (one.cpu_s() - before) / taken / CONNECTIONS * 100
            lag[one.name] = one.lag_ms()
            lateness[one.name] = percentile([0.0, 0.0, *replayed.lateness_ms], 99)
            late[one.name] = 100 * replayed.late() / max(1, len(replayed.lateness_ms) + replayed.missing)
        time.sleep(1.0)
    rows = []
    measures = {"CPU of each": ("%", cpu), "loop lag p99": ("ms", lag), "frame p99": ("ms", lateness)}
    measures |= {"frames late": ("%", late), "connections lost": ("", lost)}
    for measure, (unit, values) in measures.items():
        # A peer that did not live through it has lost its connections, and nothing else to tell.
        for name in [one.name for one in measured if one.name in values and one.name != "ours"]:
            if measure not in {"CPU of each", "loop lag p99"} or name != "direct TCP":
                ours = values["ours"]
                rows.append(
                    at_most(f"{CONNECTIONS} replays, {measure}", unit, ours, peer=(name, values[name]))
                )
    return rows


def _stalled(measured: list[Server]) -> list[Row]:
    """Memory that browsers cost that stop reading."""
    grown = {}
    for one in measured:
        clients = [one.connect(f"image:{STALLED_MB}") for _ in range(STALLED)]
        before = one.rss_mib()
        for client in clients:
            client.send(NOP)
        time.sleep(STALLED_S)
        grown[one.name] = one.rss_mib() - before
        for client in clients:
            client.close()
    return [
        at_most(
            f"memory of {STALLED} that do not read",
            "MiB",
            grown["ours"],
            goal=GOAL_STALLED_MIB,
            peer=(name, grown[name]),
        )
        for name in PEERS
    ]
