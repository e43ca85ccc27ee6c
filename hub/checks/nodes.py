"""What a session would find on the nodes: a tiny job per partition looks, as a named person.

Its result is its exit code (`spawners.slurm.probe`), which comes back by the scheduler. The same
job shows whether the service account may change people's jobs, and how far slurmctld's clock is
from ours. It is cancelled if it does not start soon.
"""

from __future__ import annotations

import asyncio
import pwd
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.checks.calls import PORTS, Calls
from hub.checks.finding import Finding, Level
from hub.checks.reach import hub_url, report_url
from hub.settings import Settings
from profiles.loader import Profiles
from profiles.places import SlurmPlace
from spawners.plan import Environment
from spawners.slurm.models import ALIVE, Job, JobState
from spawners.slurm.probe import node
from spawners.slurm.probe.job import Asked, probe_spec, views_of
from spawners.slurm.probe.verdict import EARLY, unreached, verdict
from spawners.slurm.settings import ClusterSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError, Transport

_PATIENCE_S = 90.0
"""Longest wait for a probe; a full partition is no fault."""

_LOOK_S = 0.5
_HIDDEN_S = 3.0
"""A job that is not shown to us this long after its submission never will be."""

_CLOCK_S = 30.0
_CALL_S = 6.0
_OPERATOR_LIMIT = timedelta(minutes=4)
_DENIED = re.compile("permission denied|privilege|invalid user id", re.IGNORECASE)
"""What Slurm says to one who may not change a job (slurm_errno.c)."""

_SEEN_BY_CODE = frozenset({JobState.COMPLETED, JobState.FAILED})


@dataclass(frozen=True, slots=True)
class _Probe:
    """A job that was submitted at a time of ours (aware UTC)."""

    partition: str
    asked: Asked
    job_id: int
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class _Seen:
    """A probe's job as Slurm has it. ``submitted_at`` is by slurmctld's clock."""

    state: JobState
    exit_code: int | None
    node: str
    reason: str
    submitted_at: datetime | None


async def check_from_nodes(
    name: str,
    transport: Transport,
    settings: Settings,
    profiles: Profiles | None,
    partitions: Sequence[str],
    person: str | None,
) -> list[Finding]:
    """Findings of one cluster's nodes; without a person one that says how to have them looked at."""
    title = f"slurm {name} nodes"
    if person is None:
        return [Finding(title, Level.FINE, "not looked at; --as USER submits a small job as that person")]
    if not partitions:
        return []
    nodes = _Nodes(name, transport, settings, profiles, person)
    try:
        return await nodes.findings(partitions)
    except (SlurmUnavailableError, SlurmError) as error:
        return [Finding(title, Level.FAULT, str(error), "Look into slurmctld's log.")]


class _Nodes:
    """The probes of one cluster."""

    def __init__(
        self, name: str, transport: Transport, settings: Settings, profiles: Profiles | None, person: str
    ) -> None:
        self._name = name
        self._transport = transport
        self._settings = settings
        self._profiles = profiles
        self._person = person
        self._cluster: ClusterSettings = settings.slurm.clusters[name]

    async def findings(self, partitions: Sequence[str]) -> list[Finding]:
        """Submit a probe to each partition, wait for all, and read what they say."""
        home = await asyncio.to_thread(_home, self._settings, self._person)
        hub, service, left_out = await self._here()
        findings = [left_out] if left_out else []
        probes: list[_Probe] = []
        try:
            for partition in partitions:
                asked = self._asked(partition, home, hub, service)
                submitted = await self._submit(partition, asked)
                if isinstance(submitted, Finding):
                    findings.append(submitted)
                    continue
                probes.append(submitted)
                if len(probes) == 1:  # at once, while it waits for our call
                    findings.append(await self._check_operator(submitted))
            if probes:
                calls = Calls({one.name: one.address for one in await self._transport.nodes()})
                try:
                    ended = await self._wait(probes, calls)
                finally:
                    answered = await calls.end()
                findings.append(self._clock(probes, ended))
                for probe in probes:
                    seen = ended.get(probe.job_id)
                    findings += self._read(probe, seen, is_reached=answered.get(probe.job_id, True))
        finally:
            for probe in probes:
                with suppress(SlurmError, SlurmUnavailableError):
                    await self._transport.cancel(probe.job_id, user=self._person)
        return findings

    async def _here(self) -> tuple[str, str, Finding | None]:
        """Addresses to look at; one that does not answer here is left out, since it does not run."""
        hub = hub_url(self._settings)
        service = f"{report_url(self._settings, self._cluster)}/internal/"
        runs = await asyncio.gather(
            asyncio.to_thread(node.fetch, hub, node.HUB_SIGN),
            asyncio.to_thread(node.fetch, service, node.SERVICE_SIGN),
        )
        missing = [what for what, clock in zip(("hub", "service"), runs, strict=True) if clock is None]
        if not missing:
            return hub, service, None
        text = f"{' and '.join(missing)} do not answer here, so whether nodes reach them was not looked at"
        finding = Finding(self._title("reach"), Level.WARNING, text, "Start them, then check again.")
        return ("" if runs[0] is None else hub), ("" if runs[1] is None else service), finding

    def _asked(self, partition: str, home: str, hub: str, service: str) -> Asked:
        environments = self._environments(partition)
        files = [str(e.image) for e in environments if e.image is not None]
        # Modules may bring apptainer with them, and the probe loads none.
        images = [str(e.image) for e in environments if e.image is not None and not e.modules]
        if any(e.modules for e in environments):
            files.append(str(self._cluster.modules_init or "modules_init, which is not set"))
        return Asked(
            user=self._person,
            hub=hub,
            service=service,
            prefixes=[str(e.prefix) for e in environments if e.image is None],
            files=files,
            session_code=str(self._cluster.session_code),
            home=home,
            views=views_of(self._cluster),
            clock_s=_CLOCK_S,
            port=secrets.choice(PORTS),
            word=secrets.token_hex(8),
            call_s=_CALL_S,
            apptainer=str(self._cluster.apptainer or "apptainer"),
            image=images[0] if images else "",
        )

    def _environments(self, partition: str) -> list[Environment]:
        profiles = self._profiles
        if profiles is None:
            return []
        places = {
            name
            for name, place in profiles.places.items()
            if isinstance(place, SlurmPlace) and (place.cluster, place.partition) == (self._name, partition)
        }
        names = {p.environment for p in profiles.profiles.values() if not places.isdisjoint(p.places)}
        return [profiles.environments[name] for name in sorted(names)]

    async def _submit(self, partition: str, asked: Asked) -> _Probe | Finding:
        now = datetime.now(UTC)
        try:
            job_id = await self._transport.submit(probe_spec(asked, self._cluster, partition))
        except SlurmError as error:
            text = f"Slurm refuses a job of {self._person}: {error}"
            mend = (
                "Give them an association (sacctmgr add user NAME account=…) that may use the partition; its "
                "limits must let 1 CPU and 512 MiB pass."
            )
            return Finding(self._title("nodes", partition), Level.FAULT, text, mend)
        except SlurmUnavailableError as error:
            mend = "The CLI needs sudo rules for the service's account; slurmrestd a token for the person."
            return Finding(self._title("nodes", partition), Level.FAULT, str(error), mend)
        return _Probe(partition, asked, job_id, now)

    async def _check_operator(self, probe: _Probe) -> Finding:
        """The service account may set the time limit of somebody's job, as extending a session does."""
        title = self._title("operator")
        account = self._cluster.service_account
        try:
            await self._transport.set_time_limit(probe.job_id, _OPERATOR_LIMIT)
        except (SlurmError, SlurmUnavailableError) as error:
            if _DENIED.search(str(error)):
                text = f"{account} may not change people's jobs: {error}"
                mend = f"sacctmgr modify user {account} set AdminLevel=Operator"
                return Finding(title, Level.FAULT, text, mend)
            text = f"whether {account} may change people's jobs was not seen: {error}"
            return Finding(title, Level.WARNING, text, "Check again: the job may have ended too soon.")
        return Finding(title, Level.FINE, f"{account} may change people's jobs")

    async def _wait(self, probes: Sequence[_Probe], calls: Calls) -> dict[int, _Seen]:
        """What became of the probes; one that has not ended by then is as it is. Who runs is called."""
        wanted = {probe.job_id: probe.asked for probe in probes}
        seen: dict[int, _Seen] = {}
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            # Slurm forgets jobs some time after their end; what was seen stays.
            seen |= {job.id: _seen(job) for job in await self._transport.jobs() if job.id in wanted}
            for job_id, one in seen.items():
                if one.state is JobState.RUNNING and one.node:
                    calls.begin(job_id, one.node, wanted[job_id].port, wanted[job_id].word)
            waited_s = loop.time() - began
            is_hidden = waited_s > _HIDDEN_S and not seen
            if is_hidden or waited_s > _PATIENCE_S or not any(_is_alive(seen.get(n)) for n in wanted):
                return seen
            await asyncio.sleep(_LOOK_S)

    def _clock(self, probes: Sequence[_Probe], ended: Mapping[int, _Seen]) -> Finding:
        title = self._title("clock")
        for probe in probes:
            seen = ended.get(probe.job_id)
            if seen is None or seen.submitted_at is None:
                continue
            ahead_s = (seen.submitted_at - probe.submitted_at).total_seconds()
            if abs(ahead_s) <= _CLOCK_S:
                return Finding(title, Level.FINE, "slurmctld's clock agrees with ours")
            text = f"slurmctld's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} ours"
            mend = (
                "Let both machines follow the site's time server: tokens end by slurmctld's clock, sessions' "
                "time left is told by ours."
            )
            return Finding(title, Level.FAULT, text, mend)
        return Finding(title, Level.WARNING, "slurmctld's clock is not known", "Check again.")

    def _read(self, probe: _Probe, seen: _Seen | None, *, is_reached: bool) -> list[Finding]:
        title = self._title("nodes", probe.partition)
        if seen is None:
            account = self._cluster.service_account
            text = f"Slurm shows the job {probe.job_id} of the look to {account} no more"
            mend = f"Make {account} an Operator, and let MinJobAge in slurm.conf be a minute or more."
            return [Finding(title, Level.FAULT, text, mend)]
        if seen.state is JobState.PENDING:
            text = f"the job of the look has not started: {seen.reason or 'no reason is told'}"
            return [Finding(title, Level.WARNING, text, "Check again when the partition has a CPU free.")]
        if seen.state not in _SEEN_BY_CODE or seen.exit_code is None:
            text = f"the job of the look ended as {seen.state.value} on {seen.node}: {seen.reason}"
            return [Finding(title, Level.FAULT, text, "Look into slurmd's log on the node.")]
        amiss = verdict(seen.exit_code, probe.asked, self._cluster, seen.node)
        if not is_reached and seen.exit_code not in EARLY:
            amiss = (*amiss, unreached(probe.asked, seen.node))
        if not amiss:
            return [Finding(title, Level.FINE, f"a session of {self._person} would find all on {seen.node}")]
        return [
            Finding(self._title(one.what, probe.partition), Level.FAULT, one.text, one.mend) for one in amiss
        ]

    def _title(self, what: str, partition: str = "") -> str:
        return f"slurm {self._name}{'/' if partition else ''}{partition} {what}"


def _is_alive(seen: _Seen | None) -> bool:
    return seen is None or seen.state in ALIVE


def _seen(job: Job) -> _Seen:
    return _Seen(job.state, job.exit_code, job.nodes[0] if job.nodes else "", job.reason, job.submitted_at)


def _home(settings: Settings, person: str) -> str:
    """Home as sessions of the person are given it; empty where only the nodes know."""
    accounts = settings.identity.accounts
    if accounts.kind == "static" and person in accounts.accounts:
        return accounts.accounts[person].home
    try:
        return pwd.getpwnam(person).pw_dir
    except KeyError:
        return ""
