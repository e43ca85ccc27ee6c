"""What room a pool has: from nodes where we may see them, from ResourceQuotas, from warm placeholders. Pure.

Of nodes, what our own pods reserve is counted as used, and nothing of others: we see no namespace but the
sessions'. Placeholders give way, so their room is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spawners.backend import Availability, GpuCount, NodeShape, PlaceOffer
from spawners.kubernetes.models import Node, Pod, Quota, Requests, Taint
from spawners.kubernetes.objects import gpus_of, label_value
from spawners.kubernetes.quantity import count, mebibytes, number
from spawners.kubernetes.settings import GpuSettings, KubernetesClusterSettings, PoolSettings, Toleration
from spawners.plan import Size

ANY = "any"
"""Name of the GPUs of a pool whose sizes name no type."""

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Room:
    """What is known of a pool. ``nodes`` and ``quotas`` (those that count sessions) None: not known.

    ``pods`` are those of the pool, and where nodes are known those of all pools, which share them.
    """

    cluster: KubernetesClusterSettings
    pool: str
    pods: Sequence[Pod]
    nodes: Sequence[Node] | None = None
    quotas: Sequence[Quota] | None = None

    @property
    def settings(self) -> PoolSettings:
        """The pool's own settings."""
        return self.cluster.pools[self.pool]

    # --- what is there --------------------------------------------------------------------------

    def own_nodes(self, gpu: GpuSettings | None = None) -> list[Node]:
        """Nodes on which sessions of the pool may run, those of a type of GPU alone if it is given."""
        wanted = dict(self.settings.node_selector) | (dict(gpu.node_selector) if gpu is not None else {})
        return [
            node
            for node in self.nodes or ()
            if all(node.labels.get(key) == value for key, value in wanted.items())
            and _tolerates(self.settings.tolerations, node.taints)
        ]

    def asked(self, size: Size) -> Requests:
        """What a session of a size reserves."""
        gpu = gpus_of(self.settings, size)
        return Requests(
            max(1, round(1000 * size.cpus * self.cluster.cpu_reserved)),
            size.memory_mib,
            ((gpu.resource, size.gpus),) if gpu is not None else (),
        )

    def free_on(self, node: Node) -> Requests:
        """What sessions may still reserve on a node."""
        cpus, memory, devices, pods = node.millicpus, node.memory_mib, dict(node.devices), node.pods
        for pod in self._by_node.get(node.name, ()):
            cpus, memory, pods = cpus - pod.requests.millicpus, memory - pod.requests.memory_mib, pods - 1
            for name, number_ in pod.requests.devices:
                devices[name] = devices.get(name, 0) - number_
        if pods <= 0:
            return Requests()
        return Requests(max(cpus, 0), max(memory, 0), tuple(sorted(devices.items())))

    # --- questions ------------------------------------------------------------------------------

    def warm(self) -> tuple[int, int] | None:
        """Placeholders that run, and how many there should be; None where none are kept."""
        total = self.settings.warm.pods
        if not total:
            return None
        free = sum(
            pod.is_placeholder and pod.container.state == "running" and pod.deleted_at is None
            for pod in self._own_pods
        )
        return min(free, total), total

    def fits_now(self, size: Size) -> bool | None:
        """Whether a session of a size starts at once; None: nobody can say."""
        asked, warm, kept = self.asked(size), self.warm(), self.settings.warm
        if self._is_over_quota(size):
            return False
        if self.nodes is not None:
            gpu = gpus_of(self.settings, size)
            nodes = [node for node in self.own_nodes(gpu) if node.is_ready and node.is_schedulable]
            return any(fits(asked, self.free_on(node)) for node in nodes)
        is_small = not asked.devices and asked.millicpus <= 1000 * kept.cpus
        if warm is not None and warm[0] and is_small and asked.memory_mib <= kept.memory_mib:
            return True
        return None

    def largest(self) -> PlaceOffer:
        """The most that one session can have, as far as it is known."""
        offer = self._of_quotas()
        if self.nodes is None:
            return offer
        shapes = _shapes(self.own_nodes(), self._types())
        if not shapes:
            return offer
        share = self.cluster.cpu_reserved
        gpus: int | None = max(max(shape.gpus.values(), default=0) for shape in shapes)
        if not gpus and self.settings.gpus:
            gpus = None  # nodes that have them may be started when somebody asks
        return PlaceOffer(
            max_cpus=_least(offer.max_cpus, max(int(shape.cpus / share) for shape in shapes)),
            max_memory_mib=_least(offer.max_memory_mib, max(shape.memory_mib for shape in shapes)),
            max_gpus=_least(offer.max_gpus, gpus),
            shapes=tuple(shapes),
        )

    def availability(self) -> Availability:
        """What is free now."""
        warm = self.warm()
        waiting = sum(
            not pod.is_placeholder and not pod.node and pod.phase not in _OVER and pod.deleted_at is None
            for pod in self._own_pods
        )
        known = self._by_quotas()
        if self.nodes is not None:
            there = self._by_nodes()
            least = {name: _least(there[name], known.get(name)) for name in ("cpus_free", "memory_mib_free")}
            known = there | least
        return Availability(
            is_reachable=True,
            **known,
            sessions_pending=waiting,
            warm_free=warm[0] if warm else None,
            warm_total=warm[1] if warm else None,
        )

    @cached_property
    def _own_pods(self) -> Sequence[Pod]:
        pool = label_value(self.pool)
        return [pod for pod in self.pods if pod.pool == pool]

    @cached_property
    def _by_node(self) -> Mapping[str, Sequence[Pod]]:
        """Pods of sessions that hold something of their node."""
        found: dict[str, list[Pod]] = {}
        for pod in self.pods:
            if pod.node and not pod.is_placeholder and pod.phase not in _OVER:
                found.setdefault(pod.node, []).append(pod)
        return found

    # --- parts ----------------------------------------------------------------------------------

    def _types(self) -> dict[str, GpuSettings]:
        return {"" if name == ANY else name: gpu for name, gpu in self.settings.gpus.items()}

    def _by_nodes(self) -> dict[str, Any]:
        nodes = self.own_nodes()
        usable = {node.name for node in nodes if node.is_ready and node.is_schedulable}
        free = {node.name: self.free_on(node) for node in nodes if node.name in usable}
        gpus = []
        for kind, gpu in self._types().items():
            of_type = self.own_nodes(gpu)
            names = [node.name for node in of_type]
            total = sum(node.devices.get(gpu.resource, 0) for node in of_type)
            left = sum(dict(free[name].devices).get(gpu.resource, 0) for name in names if name in free)
            gpus.append(GpuCount(kind, max(left, 0), total))
        return {
            "cpus_free": sum(each.millicpus for each in free.values()) // 1000,
            "cpus_total": sum(node.millicpus for node in nodes) // 1000,
            "memory_mib_free": sum(each.memory_mib for each in free.values()),
            "memory_mib_total": sum(node.memory_mib for node in nodes),
            "gpus": tuple(gpus),
            "gpus_free": sum(gpu.free for gpu in gpus) if gpus else None,
            "gpus_total": sum(gpu.total for gpu in gpus) if gpus else None,
            "nodes_free": len(usable - self._by_node.keys()),
            "nodes_total": len(nodes),
            "note": "" if usable else "The cluster has no node for these sessions at present.",
        }

    def _by_quotas(self) -> dict[str, Any]:
        """What the namespace's quotas leave, which is for all pools together; None where they say nothing."""
        found: dict[str, Any] = {}
        for field, names in (("cpus", _CPU), ("memory_mib", _MEMORY), ("gpus", self._gpu_names())):
            left = [
                (_value(field, quota.hard[name]), _value(field, quota.used.get(name, "0")))
                for quota in self.quotas or ()
                for name in names
                if name in quota.hard
            ]
            if left:
                hard, used = min(left, key=lambda pair: pair[0] - pair[1])
                found |= {f"{field}_total": hard, f"{field}_free": max(hard - used, 0)}
        return found

    def _gpu_names(self) -> tuple[str, ...]:
        return tuple({f"requests.{gpu.resource}" for gpu in self.settings.gpus.values()})

    def _of_quotas(self) -> PlaceOffer:
        def most(field: str, names: Iterable[str]) -> int | None:
            found = [
                _value(field, quota.hard[name])
                for quota in self.quotas or ()
                for name in names
                if name in quota.hard
            ]
            return min(found, default=None)

        # The request of a session is a share of its CPUs, and a quota on requests allows as many more.
        by_request = most("millicpus", ("requests.cpu", "cpu"))
        by_limit = most("cpus", ("limits.cpu",))
        if by_request is not None:
            by_limit = _least(by_limit, int(by_request / 1000 / self.cluster.cpu_reserved))
        return PlaceOffer(
            max_cpus=by_limit,
            max_memory_mib=most("memory_mib", _MEMORY),
            max_gpus=most("gpus", self._gpu_names()),
        )

    def _is_over_quota(self, size: Size) -> bool:
        asked = self.asked(size)
        for quota in self.quotas or ():
            for name, hard in quota.hard.items():
                left = number(hard) - number(quota.used.get(name, "0"))
                wanted = _wanted(name, asked, size)
                if wanted is not None and wanted > left:
                    return True
        return False


_CPU = ("requests.cpu", "cpu", "limits.cpu")
_MEMORY = ("requests.memory", "memory", "limits.memory")
_MIB = 1024 * 1024


def fits(asked: Requests, free: Requests) -> bool:
    """Whether a request fits into what is free."""
    devices = dict(free.devices)
    return (
        asked.millicpus <= free.millicpus
        and asked.memory_mib <= free.memory_mib
        and all(devices.get(name, 0) >= wanted for name, wanted in asked.devices)
    )


def _wanted(name: str, asked: Requests, size: Size) -> float | None:
    """What a session takes of a resource of a quota; None if nothing of it."""
    if name in ("pods", "count/pods", "secrets", "count/secrets"):
        return 1
    if name in ("requests.cpu", "cpu"):
        return asked.millicpus / 1000
    if name == "limits.cpu":
        return size.cpus
    if name in _MEMORY:
        return asked.memory_mib * _MIB
    return dict(asked.devices).get(name.removeprefix("requests."))


def _value(field: str, quantity: str) -> int:
    if field == "memory_mib":
        return mebibytes(quantity)
    return int(number(quantity) * 1000) if field == "millicpus" else count(quantity)


def _tolerates(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> bool:
    return all(
        any(_is_tolerated(taint, toleration) for toleration in tolerations)
        for taint in taints
        if taint.effect in ("NoSchedule", "NoExecute") and not taint.key.startswith("node.kubernetes.io/")
    )


def _is_tolerated(taint: Taint, toleration: Toleration) -> bool:
    return (
        toleration.key == taint.key
        and (toleration.operator == "Exists" or toleration.value == taint.value)
        and toleration.effect in (None, taint.effect)
    )


def _shapes(nodes: Sequence[Node], types: Mapping[str, GpuSettings]) -> list[NodeShape]:
    """Kinds of node, largest first."""
    found: dict[tuple[int, int, tuple[tuple[str, int], ...]], int] = {}
    for node in nodes:
        gpus = tuple(
            (kind, node.devices[gpu.resource])
            for kind, gpu in sorted(types.items())
            if node.devices.get(gpu.resource)
            and all(node.labels.get(key) == value for key, value in gpu.node_selector.items())
        )
        key = (node.millicpus // 1000, node.memory_mib, gpus)
        found[key] = found.get(key, 0) + 1
    ordered = sorted(found.items(), key=lambda item: (sum(n for _, n in item[0][2]), item[0]), reverse=True)
    return [NodeShape(cpus, memory, dict(gpus), number_) for (cpus, memory, gpus), number_ in ordered]


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
