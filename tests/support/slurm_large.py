"""A large cluster as slurmrestd 0.0.41 and as sinfo would tell it: mixed, overlapping, partly broken."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from spawners.slurm.models import Job, JobState
from spawners.slurm.parse import gres_gpus
from tests.support.slurm_models import HOUR, NOW, job

_RECORDED = Path(__file__).parents[1] / "unit" / "slurm" / "transports" / "recorded" / "v0.0.41"

_KINDS = (
    (128, 515000, ""),
    (192, 772000, ""),
    (64, 257000, "gpu:a100:4(S:0-1)"),
    (96, 1031000, "gpu:h100:8(S:0-1)"),
    (40, 193000, "gpu:4"),
    (48, 385000, "gpu:a40:2,gpu:v100:2"),
)
_STATES = ((["IDLE"], 30), (["MIXED"], 40), (["ALLOCATED"], 20), (["IDLE", "DRAIN"], 5), (["DOWN"], 5))
_STRIDE = 7


@dataclass(frozen=True, slots=True)
class LargeCluster:
    """Bodies of the answers, sinfo's text, and what is true: CPUs in all by partition."""

    nodes: bytes
    partitions: bytes
    sinfo: str
    jobs: tuple[Job, ...]
    cpus: dict[str, int] = field(default_factory=dict)


def large_cluster(nodes: int, partitions: int, jobs: int) -> LargeCluster:
    """Generate one, the same each time. One partition has all nodes, one every seventh."""
    chance = random.Random(4)
    template = json.loads((_RECORDED / "nodes.json").read_text())
    made = [_node(template["nodes"][-1], number, partitions, chance) for number in range(nodes)]
    listing = json.loads((_RECORDED / "partitions.json").read_text())
    members: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for node in made:
        for name in node["partitions"]:
            members[name].append(node)
    said = []
    for name, inside in members.items():
        partition = json.loads(json.dumps(listing["partitions"][-1]))
        partition["name"] = name
        partition["nodes"]["configured"] = ",".join(node["name"] for node in inside)
        said.append(partition)
    return LargeCluster(
        nodes=json.dumps(template | {"nodes": made}).encode(),
        partitions=json.dumps(listing | {"partitions": said}).encode(),
        sinfo="\n".join(line for name, inside in members.items() for line in _sinfo(name, inside)),
        jobs=tuple(_job(number, made, chance) for number in range(jobs)),
        cpus={name: sum(node["cpus"] for node in inside) for name, inside in members.items()},
    )


def _node(template: dict[str, Any], number: int, partitions: int, chance: random.Random) -> dict[str, Any]:
    cpus, memory, gres = _KINDS[(number // 25) % len(_KINDS)]
    (state,) = chance.choices([state for state, _ in _STATES], [weight for _, weight in _STATES])
    used = {"IDLE": 0, "ALLOCATED": cpus, "DOWN": 0}.get(state[0], chance.randrange(1, cpus))
    inside = [f"p{number % (partitions - 2):02}", "all", *(["seventh"] if number % _STRIDE == 0 else [])]
    kinds = gres_gpus(gres)
    taken = {
        kind: count if state == ["ALLOCATED"] else chance.randint(0, count) * bool(used)
        for kind, count in kinds.items()
    }
    return template | {
        "name": f"n{number:04}",
        "address": f"10.1.{number // 250}.{number % 250}",
        "cpus": cpus,
        "effective_cpus": cpus,
        "alloc_cpus": used,
        "alloc_idle_cpus": cpus - used,
        "real_memory": memory,
        "alloc_memory": memory * used // cpus,
        "gres": gres,
        "gres_used": ",".join(f"gpu:{kind or '(null)'}:{count}(IDX:0)" for kind, count in taken.items()),
        "state": state,
        "partitions": inside,
    }


def _sinfo(name: str, nodes: list[dict[str, Any]]) -> list[str]:
    """Lines of ``sinfo -a --noheader -o '%R %F %c %C %G %m %l'``: one for each kind of node."""
    kinds: dict[tuple[int, str, int], list[dict[str, Any]]] = defaultdict(list)
    for node in nodes:
        kinds[node["cpus"], node["gres"] or "(null)", node["real_memory"]].append(node)
    lines = []
    for (cpus, gres, memory), inside in kinds.items():
        count: Counter[str] = Counter()
        for node in inside:
            is_out = "DOWN" in node["state"] or "DRAIN" in node["state"]
            count["o" if is_out else "i" if node["state"] == ["IDLE"] else "a"] += 1
            count["co" if is_out else "ci"] += cpus - node["alloc_cpus"]
            count["ca"] += node["alloc_cpus"]
        total = len(inside)
        whole = f"{count['a']}/{count['i']}/{count['o']}/{total}"
        cores = f"{count['ca']}/{count['ci']}/{count['co']}/{total * cpus}"
        lines.append(f"{name} {whole} {cpus} {cores} {gres} {memory} 1-00:00:00")
    return lines


def _job(number: int, nodes: list[dict[str, Any]], chance: random.Random) -> Job:
    node = chance.choice(nodes)
    name = chance.choice(node["partitions"])
    if number % 5 == 0:
        made = job(number, partition=name, cpus=chance.choice((1, 8, 64)), reason="Priority")
        return replace(made, starts_at=NOW + chance.randrange(1, 48) * HOUR / 2 if number % 10 else None)
    ends_at = NOW + timedelta(minutes=chance.randrange(1, 1440))
    made = job(number, node["name"], state=JobState.RUNNING, partition=name, ends_at=ends_at)
    return replace(made, cpus=chance.choice((1, 8, 32)), time_limit=24 * HOUR)
