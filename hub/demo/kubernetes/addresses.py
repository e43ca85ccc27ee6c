"""Where is what in a cluster's network? All of it is in the range for benchmarks (RFC 2544).

That range is routed nowhere, and no laboratory has its machines in it. Several clusters, of several
checkouts or of tests, can run on a machine: each has a slot, and with it an eighth of the range.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

SLOTS = 8
"""Clusters that can run on one machine at once."""

API_PORT = 6443
DOMAIN = "cluster.local"
NODE_NAME = "node-1"

_RANGE = ipaddress.IPv4Network("198.18.0.0/15")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Names and addresses of the cluster in a slot (0 to `SLOTS` - 1)."""

    slot: int

    @property
    def whole(self) -> str:
        """All that it uses; without a cluster nothing on the machine answers there."""
        return f"{self._address(0, 0)}/18"

    @property
    def host(self) -> str:
        """The machine's end of the link: at it pods reach what listens on the machine."""
        return self._address(0, 1)

    @property
    def node(self) -> str:
        """The node's end of the link: the API server, the kubelet and node ports."""
        return self._address(0, 2)

    @property
    def pods(self) -> str:
        """Network of the pods."""
        return f"{self._address(1, 0)}/24"

    @property
    def services(self) -> str:
        """Network of the services."""
        return f"{self._address(2, 0)}/24"

    @property
    def played(self) -> str:
        """Addresses of pods that do not run (kwok): nobody answers there, and nothing is sent there."""
        return f"{self._address(32, 0)}/19"

    @property
    def api_service(self) -> str:
        """First of `services`: the API server gives it to the service ``kubernetes``."""
        return self._address(2, 1)

    @property
    def dns_service(self) -> str:
        """Where pods ask for names."""
        return self._address(2, 10)

    @property
    def api_url(self) -> str:
        """The API server, from the machine and from the node."""
        return f"https://{self.node}:{API_PORT}"

    @property
    def link(self) -> str:
        """Name of the link's end on the machine."""
        return f"panhub-k8s-{self.slot}"

    @property
    def group(self) -> str:
        """Name of its control group at the root of each hierarchy; the kubelet keeps pods below it."""
        return f"panhub-kubernetes-{self.slot}"

    def _address(self, network: int, number: int) -> str:
        """Address in one of the 64 networks of 256 that a slot has."""
        return str(_RANGE.network_address + (self.slot * 64 + network) * 256 + number)
