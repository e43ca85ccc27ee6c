"""Objects of the cluster that a demo's sessions need, as an operator or the chart would make them.

A namespace for sessions alone, its storage, limits and network, and the engine's rights in it, which
are those of the chart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hub.demo.install import ROOT
from hub.demo.kubernetes.addresses import NODE_NAME
from spawners.kubernetes.naming import PORT

ENGINE = "panhub-engine"
"""Service account that the engine acts as."""

SESSION = "panhub-session"
"""Service account of the pods, and PriorityClass of sessions."""

WARM = "panhub-warm"
"""PriorityClass of placeholders."""

_RULES = ROOT / "helm/panhub/files/rbac"
_RBAC = "rbac.authorization.k8s.io"

_QUOTA = {"pods": "40", "requests.memory": "64Gi", "limits.cpu": "256", f"requests.{'nvidia.com/gpu'}": "4"}
"""Of the whole namespace: more than the demo needs, so that what it says of limits can be seen."""

Objects = Iterator[tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Storage:
    """Folders of this machine that pods may have, by the name of their claim."""

    folders: Mapping[str, Path]


def session_objects(namespace: str, storage: Storage, machine: str) -> Objects:
    """Path and body of each object, in the order of making; ``machine``: its address for pods."""
    yield from _classes()
    yield from _namespace(namespace)
    for claim, folder in storage.folders.items():
        yield from _volume(namespace, claim, folder)
    yield from _engine(namespace)
    yield from _network(namespace, machine)


def cluster_wide(namespace: str, storage: Storage) -> list[str]:
    """Paths of what outlives the namespace and belongs to it alone."""
    volumes = [f"/api/v1/persistentvolumes/{namespace}-{claim}" for claim in storage.folders]
    rights = [f"/apis/{_RBAC}/v1/{kind}/{namespace}" for kind in ("clusterroles", "clusterrolebindings")]
    return [*volumes, *rights]


def _object(path: str, kind: str, version: str = "v1", **body: Any) -> tuple[str, dict[str, Any]]:
    return path, {"apiVersion": version, "kind": kind, **body}


def _classes() -> Objects:
    # A session that finds no room takes that of a placeholder, which waits then until there is some.
    for name, value in ((SESSION, 1000), (WARM, -10)):
        yield _object(
            f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}",
            "PriorityClass",
            "scheduling.k8s.io/v1",
            value=value,
            preemptionPolicy="PreemptLowerPriority" if name == SESSION else "Never",
        )


def _namespace(namespace: str) -> Objects:
    enforce = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    yield _object(f"/api/v1/namespaces/{namespace}", "Namespace", metadata={"labels": enforce})
    of = f"/api/v1/namespaces/{namespace}"
    yield _object(f"{of}/serviceaccounts/{SESSION}", "ServiceAccount", automountServiceAccountToken=False)
    yield _object(f"{of}/resourcequotas/sessions", "ResourceQuota", spec={"hard": _QUOTA})


def _volume(namespace: str, claim: str, folder: Path) -> Objects:
    """A folder of the node as a claim, so that pods need no path of the node (restricted PodSecurity)."""
    common = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeMode": "Filesystem",
    }
    name = f"{namespace}-{claim}"
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    yield _object(
        f"/api/v1/persistentvolumes/{name}",
        "PersistentVolume",
        spec={
            **common,
            "capacity": {"storage": "1Ti"},
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
            "claimRef": {"namespace": namespace, "name": claim},
        },
    )
    yield _object(
        f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}",
        "PersistentVolumeClaim",
        spec={**common, "volumeName": name, "resources": {"requests": {"storage": "1Ti"}}},
    )


def _engine(namespace: str) -> Objects:
    of, rbac = f"/api/v1/namespaces/{namespace}", f"/apis/{_RBAC}/v1"
    account = {"kind": "ServiceAccount", "name": ENGINE, "namespace": namespace}
    yield _object(f"{of}/serviceaccounts/{ENGINE}", "ServiceAccount")
    scopes = (
        ("Role", f"{rbac}/namespaces/{namespace}/", ENGINE, "engine-role.yaml"),
        ("ClusterRole", f"{rbac}/", namespace, "nodes-role.yaml"),
    )
    for kind, base, name, file in scopes:
        rules = yaml.safe_load((_RULES / file).read_text(encoding="utf-8"))
        yield _object(f"{base}{kind.lower()}s/{name}", kind, f"{_RBAC}/v1", rules=rules)
        yield _object(
            f"{base}{kind.lower()}bindings/{name}",
            f"{kind}Binding",
            f"{_RBAC}/v1",
            roleRef={"apiGroup": _RBAC, "kind": kind, "name": name},
            subjects=[account],
        )


def _network(namespace: str, address: str) -> Objects:
    """Sessions are reached from the machine, and reach hub and service there and the names of services."""
    machine = [{"ipBlock": {"cidr": f"{address}/32"}}]
    names = [{"port": 53, "protocol": kind} for kind in ("UDP", "TCP")]
    yield _object(
        f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/sessions",
        "NetworkPolicy",
        "networking.k8s.io/v1",
        spec={
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": machine, "ports": [{"port": PORT, "protocol": "TCP"}]}],
            "egress": [{"to": machine}, {"ports": names}],
        },
    )
