"""Values of the release that tests install: all parts of the chart that one cluster can show."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from hub.demo.install import ROOT
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.configuration import PAUSE_IMAGE
from hub.demo.kubernetes.images import build_image
from hub.demo.kubernetes.people import account_table
from tests.support.chart_database import DATABASE_USER, postgresql_image

NODE_PORT = 30480
READERS = 64020
"""Group by which the service may look at the data."""

SLURM_KEY, PEOPLE = "slurm-jwt", "people"
"""Secret with Slurm's signing key, and ConfigMap with the accounts that the token gateway knows."""

STORAGE_CLASS = "chart-tests"
"""Of the claims that the chart makes; nothing provides it, so it says which volume is meant."""


def chart_values(cluster: Cluster, *, sessions: str, url: str, issuer: str) -> dict[str, Any]:
    """Nearly all that the chart has. Blocking: images are built and brought onto the node.

    ``sessions`` is the namespace, ``url`` where browsers find it.
    """
    image = cluster.import_image(build_image("hub"))
    repository, _, digest = image.partition("@")
    few = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    return {
        "image": {"repository": repository, "digest": digest, "pullPolicy": "Never"},
        "runAs": {"supplementaryGroups": [READERS]},
        "settings": {
            "site": {"name": "Chart", "public_url": url, "support": "who runs the tests"},
            "identity": {
                "issuer": issuer,
                "timeout_s": 30,
                "accounts": {"kind": "static", "accounts": account_table(Path("/home"))},
            },
            "catalogue": {"folder": "/data/catalogue"},
            "data": {"root": "/data/visitor"},
            "quota": {
                "enforcement": "enforced",
                "roles": [
                    {"group": "panhub:users", "resource": "cpu_hours", "limit": 60, "window": "week"},
                    {"group": "panhub:users", "resource": "sessions", "limit": 4},
                ],
            },
            "kubernetes": {
                "clusters": {
                    "here": {
                        "sees_nodes": True,
                        "cpu_reserved": 0.1,
                        "image_pull_policy": "Never",
                        "pause_image": PAUSE_IMAGE,
                        "tmp_mib": 512,
                        "storage": [
                            {"path": "/home", "source": {"kind": "claim", "claim": "homes"}},
                            {"path": "/data/visitor", "source": {"kind": "claim", "claim": "visitor"}},
                        ],
                    }
                }
            },
        },
        "profiles": _profiles(cluster),
        "secrets": {"oidc": {"existingSecret": "panhub-oidc"}},
        "trustedCertificates": {"configMap": "facility-ca"},
        "proxy": {"expose": {"type": "NodePort", "nodePort": NODE_PORT}, "resources": few},
        "hub": {"resources": few},
        "service": {
            "resources": few,
            "volumes": [
                {"path": "/data/visitor", "source": {"kind": "claim", "claim": "data"}, "subPath": "visitor"},
                {"path": "/data/catalogue", "source": {"kind": "claim", "claim": "catalogue"}},
            ],
        },
        "desktop": {"resources": few},
        "tokenGateway": {
            "enabled": True,
            "key": {"existingSecret": SLURM_KEY},
            "settings": {"allow": {"people": ["maja"]}},
            "volumes": [
                {"path": path, "source": {"kind": "configMap", "configMap": PEOPLE}, "subPath": name}
                for name, path in {"passwd": "/etc/passwd", "group": "/etc/group"}.items()
            ],
        },
        "database": {
            "kind": "bundled",
            "bundled": {
                "image": cluster.import_image(postgresql_image()),
                "user": DATABASE_USER,
                "storage": {"size": "1Gi", "storageClass": STORAGE_CLASS},
                "resources": few,
            },
        },
        "ingress": {"kind": "ingress"},
        "sessions": {
            "namespace": sessions,
            "keepNamespace": False,
            "priorityClass": {"name": f"{sessions}-session", "value": 1000},
            "warmPriorityClass": {"name": f"{sessions}-warm", "value": -10},
        },
        "networkPolicy": {"dns": {"networks": [f"{cluster.node_address}/32"]}},
        "uninstall": {"patienceS": 60},
    }


def _profiles(cluster: Cluster) -> dict[str, Any]:
    """The demo's, with the digests of the images built here, and one pool."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "profiles/site/demo-kubernetes.yaml").read_text())
    for environment, image in {"pan-core": "notebook-core", "pan-desktop": "desktop"}.items():
        entry = raw["environments"][environment]
        entry["container"] = cluster.import_image(build_image(image))
        entry["lock_sha256"] = _lock_hash(ROOT / entry.pop("lock"))
    raw["places"] = {"pods": {"title": "Cluster", "backend": "kubernetes", "cluster": "here"}}
    raw["profiles"] = {name: entry for name, entry in raw["profiles"].items() if entry["places"] == ["pods"]}
    return raw


def _lock_hash(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()
