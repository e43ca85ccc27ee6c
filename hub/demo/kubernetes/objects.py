"""Objects that a cluster has from its start: names for services, and whom the name server may ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.demo.kubernetes.addresses import Addresses
from hub.demo.kubernetes.credentials import USERS

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_DNS = "kube-dns"


def first_objects(at: Addresses) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of each, for server-side apply.

    CoreDNS runs as a daemon of the node, so its service has its address written down in place of a
    selector.
    """
    watched = [
        ("", ["endpoints", "services", "pods", "namespaces"]),
        ("discovery.k8s.io", ["endpointslices"]),
    ]
    yield (
        f"{_RBAC}/clusterroles/system:coredns",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "rules": [
                {"apiGroups": [group], "resources": kinds, "verbs": ["list", "watch"]}
                for group, kinds in watched
            ],
        },
    )
    yield (
        f"{_RBAC}/clusterrolebindings/system:coredns",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:coredns",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USERS["dns"][0]}],
        },
    )
    ports = [{"name": kind.lower(), "port": 53, "protocol": kind} for kind in ("UDP", "TCP")]
    yield (
        f"/api/v1/namespaces/kube-system/services/{_DNS}",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"labels": {"k8s-app": _DNS}},
            "spec": {"clusterIP": at.dns_service, "ports": ports},
        },
    )
    yield (
        f"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/{_DNS}",
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"labels": {"kubernetes.io/service-name": _DNS}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [at.node], "conditions": {"ready": True}}],
            "ports": ports,
        },
    )
