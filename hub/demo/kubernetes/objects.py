"""Objects that a cluster has from its start: the name server, as other clusters have it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.demo.kubernetes.addresses import DOMAIN, NODE_NAME, Addresses

DNS_IMAGE = "localhost/coredns:1"
DNS = "kube-dns"
"""Name of the service and label of the pods, by which network policies let people ask for names."""

_NAMESPACE = "kube-system"
_ACCOUNT = "coredns"
_NOBODY = 65534

# No forward: a name outside of the cluster is not asked for anywhere, and there is none.
_COREFILE = f"""{DOMAIN} in-addr.arpa ip6.arpa {{
  errors
  ready
  kubernetes {DOMAIN} in-addr.arpa ip6.arpa
  cache 5
}}
. {{
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
"""


def first_objects(at: Addresses) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and body of each, for server-side apply, in their order."""
    of, rbac = f"/api/v1/namespaces/{_NAMESPACE}", "rbac.authorization.k8s.io"
    yield f"{of}/serviceaccounts/{_ACCOUNT}", {"apiVersion": "v1", "kind": "ServiceAccount"}
    watched = (("", ["services", "pods", "namespaces"]), ("discovery.k8s.io", ["endpointslices"]))
    verbs = ["list", "watch"]
    rules = [{"apiGroups": [group], "resources": kinds, "verbs": verbs} for group, kinds in watched]
    yield (
        f"/apis/{rbac}/v1/clusterroles/system:coredns",
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "rules": rules},
    )
    yield (
        f"/apis/{rbac}/v1/clusterrolebindings/system:coredns",
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": _NAMESPACE}],
        },
    )
    yield (
        f"{of}/configmaps/coredns",
        {"apiVersion": "v1", "kind": "ConfigMap", "data": {"Corefile": _COREFILE}},
    )
    labels = {"k8s-app": DNS}
    yield (
        f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/coredns",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod()},
            },
        },
    )
    ports = [{"name": kind.lower(), "port": 53, "protocol": kind} for kind in ("UDP", "TCP")]
    yield (
        f"{of}/services/{DNS}",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"labels": labels},
            "spec": {"clusterIP": at.dns_service, "selector": labels, "ports": ports},
        },
    )


def _pod() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": DNS_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/bin/coredns", "-conf=/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "serviceAccountName": _ACCOUNT,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 0,
        # It stays where it is through all that tests do to the node.
        "tolerations": [{"operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/hostname": NODE_NAME},
        "securityContext": {"runAsUser": _NOBODY, "runAsGroup": _NOBODY, "runAsNonRoot": True},
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
