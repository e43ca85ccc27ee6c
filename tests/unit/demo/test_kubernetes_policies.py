"""Network policies as rules of nftables."""

from __future__ import annotations

from typing import Any

import pytest

from hub.demo.kubernetes.policies import State, matches, ruleset

NETWORK = "198.18.1.0/24"


def pod(
    name: str, address: str, *, namespace: str = "a", ports: dict[str, int] | None = None
) -> dict[str, Any]:
    listed = [{"name": key, "containerPort": number} for key, number in (ports or {}).items()]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"ports": listed}]},
        "status": {"podIP": address, "phase": "Running"},
    }


WEB = pod("web", "198.18.1.2", ports={"http": 8000})
FRIEND = pod("friend", "198.18.1.3")
OTHER = pod("other", "198.18.1.4", namespace="b", ports={"dns": 53})
PODS = [WEB, FRIEND, OTHER]
NAMESPACES = [{"metadata": {"name": name, "labels": {"name": name}}} for name in ("a", "b")]


def chain(name: str, **spec: Any) -> list[str] | None:
    """Rules of a chain under one policy for ``web``; None if there is no such chain."""
    policy = {
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, **spec},
    }
    text = ruleset(State(NAMESPACES, PODS, [policy]), NETWORK)
    lines = [line.strip() for line in text.splitlines()]
    if f"chain {name} {{" not in lines:
        return None
    begin = lines.index(f"chain {name} {{")
    return lines[begin + 1 : lines.index("}", begin)]


REFUSED = "reject with icmp type admin-prohibited"


@pytest.mark.parametrize(
    ("rule", "rules"),
    [
        ({}, ["return"]),
        ({"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}, ["ip saddr { 198.18.1.3 } return"]),
        ({"from": [{"podSelector": {}}]}, ["ip saddr { 198.18.1.2, 198.18.1.3 } return"]),
        ({"from": [{"podSelector": {"matchLabels": {"app": "other"}}}]}, []),
        (
            {"from": [{"namespaceSelector": {"matchLabels": {"name": "b"}}}]},
            ["ip saddr { 198.18.1.4 } return"],
        ),
        ({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "nobody"}}}]}, []),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            ["ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16 } return"],
        ),
        (
            {
                "from": [
                    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["fd00::/8"]}},
                    {"ipBlock": {"cidr": "::/0"}},
                ]
            },
            ["ip saddr 0.0.0.0/0 return"],
        ),
        ({"ports": [{"port": 80}]}, ["tcp dport 80 return"]),
        ({"ports": [{"port": 80, "endPort": 90, "protocol": "UDP"}]}, ["udp dport 80-90 return"]),
        ({"ports": [{"protocol": "UDP"}]}, ["meta l4proto udp return"]),
        ({"ports": [{"port": "http"}]}, ["ip daddr 198.18.1.2 tcp dport 8000 return"]),
        ({"ports": [{"port": "unknown"}]}, []),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 80}, {"port": 443}]},
            ["ip saddr 10.0.0.1/32 tcp dport 80 return", "ip saddr 10.0.0.1/32 tcp dport 443 return"],
        ),
    ],
)
def test_what_may_come_in(rule: dict[str, Any], rules: list[str]) -> None:
    found = chain("ingress-0", ingress=[rule])
    assert found is not None
    assert [" ".join(each.split()) for each in found] == [*rules, REFUSED]
    assert chain("egress-0", ingress=[rule]) is None


def test_what_may_go_out() -> None:
    rule = {"to": [{"namespaceSelector": {"matchLabels": {"name": "b"}}}], "ports": [{"port": "dns"}]}
    found = chain("egress-0", policyTypes=["Egress"], egress=[rule])
    assert found == ["ip daddr { 198.18.1.4 } ip daddr 198.18.1.4 tcp dport 53 return", REFUSED]
    assert chain("ingress-0", policyTypes=["Egress"], egress=[rule]) is None


def test_nothing_may_where_a_policy_has_no_rule() -> None:
    assert chain("ingress-0") == [REFUSED]
    assert chain("egress-0", policyTypes=["Ingress", "Egress"]) == [REFUSED]
    assert chain("ingress") == ["ip daddr 198.18.1.2 jump ingress-0"]
    assert chain("egress") == []
    assert chain("ingress", podSelector={}) == [
        "ip daddr 198.18.1.2 jump ingress-0",
        "ip daddr 198.18.1.3 jump ingress-1",
    ]


def test_only_pods_that_are_here_and_run_are_judged() -> None:
    far = pod("web", "198.18.32.7")
    ended = {**WEB, "status": {"podIP": "198.18.1.9", "phase": "Succeeded"}}
    host = {**WEB, "spec": {"hostNetwork": True, "containers": []}}
    policy = {"metadata": {"name": "p", "namespace": "a"}, "spec": {"podSelector": {}}}
    text = ruleset(State(NAMESPACES, [far, ended, host], [policy]), NETWORK)
    assert "reject" not in text


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors(selector: dict[str, Any], *, fits: bool) -> None:
    assert matches(selector, {"app": "web"}) is fits
