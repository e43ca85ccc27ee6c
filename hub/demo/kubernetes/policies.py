"""Network policies of the API as rules of nftables: what may be sent on one node with routed pods.

Pure translation of NetworkPolicy (networking.k8s.io/v1): a pod that a policy selects for a direction may
do in it what some policy's rule allows, and nothing else; answers to what was allowed pass. Packets
are judged after a service's address has become that of a pod, so ports are those of pods.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "panhub-policies"
_TO_OPERATORS = {"In", "NotIn", "Exists", "DoesNotExist"}
_ENDED = {"Succeeded", "Failed"}

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """Objects of the API as far as they decide: namespaces, pods and policies of all namespaces."""

    namespaces: Sequence[Object]
    pods: Sequence[Object]
    policies: Sequence[Object]


def ruleset(state: State, network: str) -> str:
    """Input of ``nft -f -`` that puts the policies in force; ``network`` is that of the pods."""
    chains: list[str] = []
    jumps: dict[str, list[str]] = {"egress": [], "ingress": []}
    pods = [pod for pod in state.pods if address(pod) and pod["status"].get("phase") not in _ENDED]
    here = ipaddress.ip_network(network)
    for number, pod in enumerate(each for each in pods if ipaddress.ip_address(address(each)) in here):
        for direction, field in (("ingress", "daddr"), ("egress", "saddr")):
            selecting = [each for each in state.policies if _selects(each, pod, direction)]
            if not selecting:
                continue
            name = f"{direction}-{number}"
            allowed = [
                f"    {rule} return"
                for policy in selecting
                for rule in _rules(policy, pod, direction, pods, state.namespaces)
            ]
            refused = "    reject with icmp type admin-prohibited"
            chains.append("\n".join([f"  chain {name} {{", *allowed, refused, "  }"]))
            jumps[direction].append(f"    ip {field} {address(pod)} jump {name}")
    table = "\n".join([*chains, *(_chain(name, lines) for name, lines in jumps.items()), *_hooks(network)])
    # Made if it is not there, so that it can be deleted: all of it is one transaction.
    return f"table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n{table}\n}}\n"


def address(pod: Object) -> str:
    """Address of a pod that has one of its own; empty else."""
    return "" if pod["spec"].get("hostNetwork") else str(pod.get("status", {}).get("podIP", ""))


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector fits; an empty one fits all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or ():
        value, values = labels.get(each["key"]), each.get("values") or ()
        operator = each["operator"]
        if operator not in _TO_OPERATORS:
            raise ValueError(f"unknown operator {operator}")
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[operator]:
            return False
    return True


def _chain(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"  chain {name} {{", *lines, "  }"])


def _hooks(network: str) -> Iterator[str]:
    established = "    ct state established,related accept"
    both = [established, "    jump egress", "    jump ingress"]
    yield _chain("forward", ["    type filter hook forward priority filter; policy accept;", *both])
    # To the node itself; what the node sends to its pods, such as probes, always passes.
    own = [established, f"    ip saddr {network} jump egress"]
    yield _chain("input", ["    type filter hook input priority filter; policy accept;", *own])


def _selects(policy: Object, pod: Object, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    return (
        direction.capitalize() in types
        and policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and matches(spec.get("podSelector") or {}, _labels(pod))
    )


def _rules(
    policy: Object, pod: Object, direction: str, pods: Sequence[Object], namespaces: Sequence[Object]
) -> Iterator[str]:
    field = "saddr" if direction == "ingress" else "daddr"
    namespace = policy["metadata"]["namespace"]
    for rule in policy["spec"].get(direction) or ():
        peers = rule.get("from" if direction == "ingress" else "to") or [None]
        for peer in peers:
            found = [] if peer is None or "ipBlock" in peer else _peers(peer, namespace, pods, namespaces)
            if peer is None:
                who = ""
            elif "ipBlock" in peer:
                if not _is_ipv4(peer["ipBlock"]["cidr"]):
                    continue
                who = _block(peer["ipBlock"], field)
            elif found:
                who = f"ip {field} {{ {', '.join(address(each) for each in found)} }} "
            else:
                continue
            # A port's name is that of the pod that is asked.
            asked = [pod] if direction == "ingress" else found or (pods if peer is None else [])
            for port in rule.get("ports") or [None]:
                yield from (f"{who}{words}".strip() for words in _ports(port, asked))


def _peers(
    peer: Object, namespace: str, pods: Sequence[Object], namespaces: Sequence[Object]
) -> list[Object]:
    if "namespaceSelector" in peer:
        selector = peer["namespaceSelector"] or {}
        fitting = {each["metadata"]["name"] for each in namespaces if matches(selector, _labels(each))}
    else:
        fitting = {namespace}
    selector = peer.get("podSelector") or {}
    return [
        pod for pod in pods if pod["metadata"]["namespace"] in fitting and matches(selector, _labels(pod))
    ]


def _block(block: Object, field: str) -> str:
    excepted = [each for each in block.get("except") or () if _is_ipv4(each)]
    without = f"ip {field} != {{ {', '.join(excepted)} }} " if excepted else ""
    return f"ip {field} {block['cidr']} {without}"


def _is_ipv4(network: str) -> bool:
    """Whether the network can be one of packets here, which have no others."""
    return ipaddress.ip_network(network, strict=False).version == 4


def _ports(port: Object | None, asked: Sequence[Object]) -> Iterator[str]:
    if port is None:
        yield ""
        return
    protocol = str(port.get("protocol", "TCP")).lower()
    number = port.get("port")
    if number is None:
        yield f"meta l4proto {protocol}"
    elif isinstance(number, int):
        last = port.get("endPort")
        yield f"{protocol} dport {number}{f'-{last}' if last else ''}"
    else:
        for pod in asked:
            for container in pod["spec"]["containers"]:
                for each in container.get("ports") or ():
                    if each.get("name") == number and each.get("protocol", "TCP").lower() == protocol:
                        yield f"ip daddr {address(pod)} {protocol} dport {each['containerPort']}"


def _labels(thing: Object) -> Mapping[str, str]:
    labels: Mapping[str, str] = thing["metadata"].get("labels") or {}
    return labels
