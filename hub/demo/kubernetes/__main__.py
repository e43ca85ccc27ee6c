"""Build the programs of the demo's Kubernetes into the cache: ``python -m hub.demo.kubernetes``."""

from __future__ import annotations

import sys

from hub.demo.kubernetes.binaries import build_kubernetes
from hub.demo.kubernetes.errors import KubernetesDemoError


def main() -> int:
    """Build what the cache does not have yet."""
    try:
        print(f"Kubernetes is in {build_kubernetes()}.")
    except KubernetesDemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
