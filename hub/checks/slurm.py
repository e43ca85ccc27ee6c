"""Is a Slurm cluster in its place? Asked from here; `hub.checks.nodes` asks from the nodes.

One look at each cluster: without an answer of its controller the rest is not asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from hub.checks.finding import Finding, Level, Trouble, found
from hub.checks.nodes import check_from_nodes
from hub.checks.reach import hub_url, report_url
from hub.settings import Settings
from profiles.loader import Profiles
from profiles.places import SlurmPlace
from spawners.slurm.connect import TransportSettingsError, make_transport
from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.settings import ClusterSettings, RestSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError, Transport

_TIMEOUT_S = 30.0


async def check_slurm(settings: Settings, profiles: Profiles | None, person: str | None) -> list[Finding]:
    """Findings of all clusters; none where no cluster is configured and no place names one.

    Parameters
    ----------
    settings
        Of the service.
    profiles
        What is offered, or None where that cannot be read.
    person
        POSIX account as whom nodes are looked at; None leaves the nodes out.
    """
    clusters = settings.slurm.clusters
    places = {} if profiles is None else profiles.places
    partitions: dict[str, set[str]] = {name: set() for name in clusters}
    findings = []
    for name, place in places.items():
        if not isinstance(place, SlurmPlace):
            continue
        if place.cluster in clusters:
            partitions[place.cluster].add(place.partition)
        else:
            text = f"place {name} names the cluster {place.cluster}, which the settings do not have"
            mend = f"Add slurm.clusters.{place.cluster} to the settings, or correct the place."
            findings.append(Finding("slurm", Level.FAULT, text, mend))
    each = await asyncio.gather(
        *(
            _Cluster(name, settings, profiles, sorted(partitions[name])).findings(person)
            for name, cluster in clusters.items()
        )
    )
    return [*findings, *(finding for one in each for finding in one)]


class _Cluster:
    """One cluster and what is asked of it."""

    def __init__(
        self, name: str, settings: Settings, profiles: Profiles | None, partitions: Sequence[str]
    ) -> None:
        self._name = name
        self._settings = settings
        self._profiles = profiles
        self._partitions = partitions
        self._cluster: ClusterSettings = settings.slurm.clusters[name]

    async def findings(self, person: str | None) -> list[Finding]:
        """All findings; the later ones only where the earlier ones let them be asked."""
        tokens = None
        made: list[Finding] = []
        if self._cluster.gateway_socket is not None:
            tokens = GatewayTokens(self._cluster.gateway_socket)
            made.append(await self._found("tokens", check_tokens(tokens, self._cluster, person)))
            if not made[-1].is_fine:
                return made
        try:
            transport = make_transport(self._cluster, tokens)
        except TransportSettingsError as error:
            mend = f"Correct slurm.clusters.{self._name}."
            return [*made, Finding(self._title(""), Level.FAULT, str(error), mend)]
        try:
            return [*made, *await self._asked(transport, person)]
        finally:
            await transport.aclose()

    async def _asked(self, transport: Transport, person: str | None) -> list[Finding]:
        alive = await self._found("", check_alive(transport, self._cluster))
        if not alive.is_fine:
            return [alive]
        made = await asyncio.gather(
            self._found("partitions", check_partitions(transport, self._partitions)),
            self._found("addresses", check_addresses(transport, self._settings, self._cluster)),
        )
        nodes = await check_from_nodes(
            self._name, transport, self._settings, self._profiles, self._partitions, person
        )
        return [alive, *made, *nodes]

    async def _found(self, what: str, answer: Coroutine[object, object, str]) -> Finding:
        return await found(self._title(what), answer, timeout_s=_TIMEOUT_S)

    def _title(self, what: str) -> str:
        return f"slurm {self._name} {what}".rstrip()


async def check_tokens(tokens: GatewayTokens, cluster: ClusterSettings, person: str | None) -> str:
    """The gateway gives the service tokens for its account, and for the person."""
    users = [cluster.service_account, *([person] if person else [])]
    for user in users:
        try:
            await tokens.token(user)
        except SlurmError as error:
            mend = "Look at service_account and allow in token-gateway.yaml, and at the gateway's audit log."
            raise Trouble(str(error), mend) from error
        except SlurmUnavailableError as error:
            mend = (
                "Start the token gateway; the service's account belongs into its peers and into the group "
                "of its socket."
            )
            raise Trouble(str(error), mend) from error
    return f"the gateway gives tokens for {' and '.join(users)}"


async def check_alive(transport: Transport, cluster: ClusterSettings) -> str:
    """Slurm answers, and to the service account: a query proves that a token is taken, a ping may not."""
    try:
        await transport.ping()
        await transport.jobs()
    except (SlurmUnavailableError, SlurmError) as error:
        raise Trouble(str(error), _mend_silence(cluster)) from error
    return "answers"


def _mend_silence(cluster: ClusterSettings) -> str:
    if isinstance(cluster.transport, RestSettings):
        return (
            "Look whether slurmrestd and slurmctld run and transport.url is right. Where a token is refused: "
            "slurm.conf and slurmdbd.conf need AuthAltTypes=auth/jwt, the gateway the same key, all the same "
            "time; slurmctld's log says more."
        )
    return "Look whether slurmctld runs, and this account may run Slurm's programs (transport.bin and conf)."


async def check_partitions(transport: Transport, wanted: Sequence[str]) -> str:
    """The partitions that places name are there and up."""
    there = {partition.name: partition for partition in await transport.partitions()}
    missing = [name for name in wanted if name not in there]
    if missing:
        mend = f"Correct partition of the place in the profiles file; there are: {', '.join(sorted(there))}."
        raise Trouble(f"no partition {', '.join(missing)}", mend)
    down = [name for name in wanted if not there[name].is_up]
    if down:
        mend = "scontrol update PartitionName=… State=UP, when it is to be used again."
        raise Trouble(f"{', '.join(down)} is not up: sessions there wait", mend, Level.WARNING)
    return f"{', '.join(wanted)} up" if wanted else "no place names one"


async def check_addresses(transport: Transport, settings: Settings, cluster: ClusterSettings) -> str:
    """Hub and service are given to sessions by addresses that mean the same on other hosts."""
    addresses = {node.address or node.name for node in await transport.nodes()}
    if all(await asyncio.gather(*(asyncio.to_thread(_is_here, address) for address in addresses))):
        return "all nodes are on this machine"
    urls = {"hub.bind": hub_url(settings), "service.bind, or node_report_url": report_url(settings, cluster)}
    for key, url in urls.items():
        if await asyncio.to_thread(_is_loopback, url):
            raise Trouble(
                f"{url} is not to be reached from other hosts", f"Give {key} an address of the network."
            )
    return f"nodes are told {' and '.join(urls.values())}"


def _is_here(address: str) -> bool:
    """Whether an address is of this host: one can listen there."""
    for family, resolved in _resolved(address):
        with socket.socket(family) as here, suppress(OSError):
            here.bind((resolved, 0))
            return True
    return False


def _is_loopback(url: str) -> bool:
    return any(ip_address(resolved).is_loopback for _, resolved in _resolved(urlsplit(url).hostname or ""))


def _resolved(host: str) -> set[tuple[socket.AddressFamily, str]]:
    with suppress(OSError):
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return {(family, str(where[0]).partition("%")[0]) for family, *_, where in answers}
    return set()
