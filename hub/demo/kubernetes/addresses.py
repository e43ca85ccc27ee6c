"""Where is what in the cluster's network? All of it is in the range for benchmarks (RFC 2544).

That range is routed nowhere, and nobody's laboratory has its machines in it. One cluster runs on a
machine at a time, so the addresses are fixed.
"""

from __future__ import annotations

WHOLE = "198.18.0.0/16"
"""All that the cluster uses; without a cluster nothing on the machine answers there."""

HOST = "198.18.0.1"
"""The machine's end of the link: at it pods reach what listens on the machine."""

NODE = "198.18.0.2"
"""The node's end of the link: the API server, the kubelet and node ports."""

LINK_BITS = 30
PODS = "198.18.1.0/24"
SERVICES = "198.18.2.0/24"
API_SERVICE = "198.18.2.1"
"""First of `SERVICES`: the API server gives it to the service ``kubernetes``."""

DNS_SERVICE = "198.18.2.10"

LINK = "panhub-k8s"
"""Name of the link's end on the machine."""

API_PORT = 6443
API_URL = f"https://{NODE}:{API_PORT}"
DOMAIN = "cluster.local"
NODE_NAME = "node-1"
