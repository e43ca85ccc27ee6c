"""What the exit code of a probe says, and what to mend."""

from __future__ import annotations

from dataclasses import dataclass

from spawners.slurm.probe import node
from spawners.slurm.probe.job import Asked
from spawners.slurm.settings import ClusterSettings

EARLY = frozenset({node.NO_PYTHON, node.OLD_PYTHON, node.OTHER_ACCOUNT, node.CRASHED})
"""Codes of a probe that ended before it had looked at all."""


@dataclass(frozen=True, slots=True)
class Amiss:
    """One thing that a session would miss on the node. ``what`` is one word or two."""

    what: str
    text: str
    mend: str


def verdict(exit_code: int, asked: Asked, cluster: ClusterSettings, where: str) -> tuple[Amiss, ...]:
    """All that is amiss; empty for 0. ``where`` names the node or partition for people."""
    early = _early(asked, cluster, where).get(exit_code)
    if early is not None:
        return (early,)
    all_bits = _by_bit(asked, cluster, where)
    if not 0 <= exit_code < 2 * max(all_bits):
        return (_unknown(exit_code, where),)
    return tuple(amiss for bit, amiss in all_bits.items() if exit_code & bit)


def unreached(asked: Asked, where: str) -> Amiss:
    """What is amiss if nobody could call the probe, as the proxy calls a session."""
    return Amiss(
        "proxy",
        f"this machine, and so the proxy, does not reach port {asked.port} of {where}",
        "Open the ports of 1024 and above of the nodes to the proxy's machine; NodeAddr in slurm.conf, and "
        "listen in the settings, must be of a network that it can route to.",
    )


def _by_bit(asked: Asked, cluster: ClusterSettings, where: str) -> dict[int, Amiss]:
    paths = ", ".join((*(f"{prefix}/bin/jupyterhub-singleuser" for prefix in asked.prefixes), *asked.files))
    image = f", or {asked.apptainer} with {asked.image}," if asked.image else ""
    return {
        node.HUB: Amiss(
            "hub",
            f"{where} does not reach the hub at {asked.hub}",
            "Let the hub listen on an address that nodes can route to (hub.bind), and open its port to them.",
        ),
        node.SERVICE: Amiss(
            "service",
            f"{where} does not reach the service at {asked.service}",
            "Let service.bind or node_report_url be an address that nodes can route to, and open its port.",
        ),
        node.CLOCK: Amiss(
            "clock",
            f"the clocks of {where} and of the service differ by more than {asked.clock_s:g} s",
            "Let both follow the site's time server (chrony or systemd-timesyncd).",
        ),
        node.ENVIRONMENT: Amiss(
            "environment",
            f"{where} lacks one or more of: {paths}",
            "Install the environments at these paths on all nodes, or on storage that they mount; or correct "
            "prefix, image and modules_init.",
        ),
        node.SESSION_CODE: Amiss(
            "session code",
            f"{where} has no {cluster.session_code}/node.py that {asked.user} can read",
            f"Copy spawners/session to {cluster.session_code} on all nodes, or correct session_code.",
        ),
        node.HOME: Amiss(
            "home",
            f"{asked.user} cannot write to {asked.home or 'the home folder'} on {where}",
            "Mount the homes on the nodes; look at owner, mode, quota and root_squash.",
        ),
        node.VIEW: Amiss(
            "view",
            f"{' and '.join(asked.views)}{image} does not work on {where}",
            "Install it on the nodes and allow user namespaces (sysctl user.max_user_namespaces and "
            "kernel.unprivileged_userns_clone), for images also squashfuse and a /dev/fuse for everybody; or "
            "set view: links, which keeps nothing apart.",
        ),
    }


def _early(asked: Asked, cluster: ClusterSettings, where: str) -> dict[int, Amiss]:
    python = str(cluster.python)
    return {
        node.NO_PYTHON: Amiss(
            "python", f"{where} has no {python}", "Install Python 3.9 or newer there, or correct python."
        ),
        node.OLD_PYTHON: Amiss(
            "python",
            f"{python} on {where} is older than 3.9",
            "Let python name a newer one (AlmaLinux: python3.11).",
        ),
        node.OTHER_ACCOUNT: Amiss(
            "account",
            f"{where} knows the uid of {asked.user} by another name, or by none",
            "Let nodes and the service ask the same directory of accounts (SSSD, LDAP).",
        ),
        node.CRASHED: _unknown(node.CRASHED, where),
    }


def _unknown(exit_code: int, where: str) -> Amiss:
    return Amiss("probe", f"the probe on {where} failed (exit code {exit_code})", "Look into slurmd's log.")
