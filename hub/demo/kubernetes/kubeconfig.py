"""Kubeconfig files of the cluster: JSON, which is YAML, with a bearer token."""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """How somebody talks to a cluster: ``server`` is its URL, ``ca`` its authority's certificate (PEM)."""

    server: str
    ca: str
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {self.token}"}

    def tls(self) -> ssl.SSLContext:
        """Trust in this cluster's authority and no other. Blocking."""
        return ssl.create_default_context(cadata=self.ca)


def read_kubeconfig(path: Path) -> Access:
    """Access by a file of `write_kubeconfig`. Blocking."""
    content = json.loads(path.read_text(encoding="utf-8"))
    (cluster,), (user,) = ([one[key] for one in content[f"{key}s"]] for key in ("cluster", "user"))
    ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return Access(cluster["server"], ca, user["token"])


def write_kubeconfig(path: Path, server: str, ca: Path, token: str, namespace: str = "default") -> None:
    """Write a kubeconfig file (JSON, which is YAML) for a bearer token."""
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "panhub",
        "clusters": [
            {
                "name": "panhub",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode(),
                },
            }
        ],
        "users": [{"name": "panhub", "user": {"token": token}}],
        "contexts": [
            {"name": "panhub", "context": {"cluster": "panhub", "user": "panhub", "namespace": namespace}}
        ],
    }
    write_private(path, json.dumps(content, indent=1).encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that is its owner's alone from the beginning."""
    path.touch(mode=0o600)
    path.write_bytes(content)
