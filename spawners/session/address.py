"""On which address of a node does a session listen? Standard library only: nodes use it."""

from __future__ import annotations

import socket

from spawners.session import exits

_DISCARD_PORT = 9
"""Any port does: no packet is sent (RFC 863 has this one)."""


def listen_address(listen: str, service: tuple[str, int]) -> str:
    """IPv4 address on which a session listens.

    Parameters
    ----------
    listen
        ``route``: the address from which this node reaches the service; an IPv4 network: this node's
        address in it; ``any``: all of them, if the site says so.
    service
        Host and port of the service.

    Raises
    ------
    exits.SessionFailedError
        If this node has none such.
    """
    if listen == "any":
        return "0.0.0.0"  # noqa: S104 - the site said so
    try:
        if listen == "route":
            return source_address(*service)
        from ipaddress import IPv4Network  # 10 ms that few sites need

        network = IPv4Network(listen, strict=False)
        found = source_address(str(network[min(1, network.num_addresses - 1)]), _DISCARD_PORT)
        if IPv4Network(f"{found}/{network.prefixlen}", strict=False) == network:
            return found
    except (OSError, ValueError) as error:
        text = f"This node does not know on which address to listen ({listen}): {error}"
        raise exits.SessionFailedError(exits.WRONG_JOB, text) from error
    raise exits.SessionFailedError(exits.WRONG_JOB, f"This node has no address in {listen}.")


def source_address(host: str, port: int) -> str:
    """Address from which this machine would send to another (connect(2) of a datagram socket: no packet)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        found: str = probe.getsockname()[0]
        return found
