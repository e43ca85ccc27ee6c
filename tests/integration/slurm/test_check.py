"""`panhub check` on a real cluster: each fault is made, found, and comes with what to mend."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from hub.checks import nodes
from hub.checks.finding import Level
from hub.checks.slurm import check_slurm
from hub.cli import main
from hub.demo.configure import free_ports, write_configuration
from hub.settings import load_settings
from profiles.loader import load_profiles
from tests.support.slurm_gateway import GatewayProcess

PERSON = "yuki"
SETPRIV = ("setpriv", "--reuid={user}", "--regid={user}", "--init-groups", "--")


class Answering:
    """A hub or service as far as the probe looks: one that says its sign, by its own clock.

    ``answers`` counts down; a firewall between nodes and us is one that has no answers left.
    """

    def __init__(self, port: int, body: str) -> None:
        self.ahead = timedelta()
        self.answers = 1_000_000
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answers -= 1
                if outer.answers < 0:
                    self.close_connection = True
                    return
                self.send_response_only(404)
                self.send_header("Date", format_datetime(datetime.now(UTC) + outer.ahead, usegmt=True))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Site:
    """A configuration whose sessions run on the cluster, with hub and service as far as needed."""

    def __init__(self, cluster, folder: Path, gateway: GatewayProcess | None) -> None:
        self.cluster = cluster
        self.shared = cluster.state / "check"
        program = self.shared / "prefix/bin/jupyterhub-singleuser"
        code = self.shared / "code/node.py"
        for path in (program, code):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            path.chmod(0o755)
        for path in (self.shared, *self.shared.rglob("*")):
            path.chmod(0o755)
        self.config, settings = write_configuration(folder / "site", free_ports())
        transport = (
            {"kind": "rest", "url": cluster.rest_url}
            if gateway
            else {"kind": "cli", "conf": str(cluster.conf), "run_as": list(SETPRIV), "timeout_s": 5}
        )
        self.raw_cluster = {
            "transport": transport,
            "gateway_socket": str(gateway.socket) if gateway else None,
            "session_code": str(code.parent),
            "view": "links",
        }
        self.raw_profiles = {
            "environments": {
                "pan": {"title": "Pan", "prefix": str(self.shared / "prefix"), "lock_sha256": "0" * 64}
            },
            "sizes": {"small": {"title": "Small", "cpus": 1, "memory_mib": 512}},
            "places": {
                name: {"title": name, "backend": "slurm", "cluster": "pan", "partition": name}
                for name in ("cpu", "gpu")
            },
            "profiles": {
                "lab": {
                    "title": "Lab",
                    "interfaces": ["lab"],
                    "environment": "pan",
                    "places": ["cpu", "gpu"],
                    "sizes": ["small"],
                    "default_size": "small",
                    "walltime": {"default": "1 h", "max": "2 h"},
                    "allow": "everyone",
                }
            },
            "default_profile": "lab",
        }
        self.hub = Answering(settings.hub.port, '{"version": "6"}')
        self.service = Answering(settings.service.port, '{"type": "urn:panhub:problem:http_404"}')

    def write(self) -> Path:
        profiles = self.shared / "profiles.yaml"
        profiles.write_text(yaml.safe_dump(self.raw_profiles))
        raw = yaml.safe_load(self.config.read_text())
        raw["slurm"] = {"clusters": {"pan": self.raw_cluster}}
        raw["profiles"] = {"file": str(profiles)}
        self.config.write_text(yaml.safe_dump(raw))
        return self.config

    async def found(self, person: str | None = PERSON) -> dict[str, object]:
        settings = await asyncio.to_thread(lambda: load_settings(self.write()))
        profiles = load_profiles(settings.profiles.file)
        findings = await check_slurm(settings, profiles, person)
        assert len({finding.check for finding in findings}) == len(findings)
        for finding in findings:
            assert bool(finding.mend) is (finding.level is not Level.FINE), finding
        return {finding.check: finding for finding in findings}

    async def faults(self, person: str | None = PERSON) -> dict[str, object]:
        return {
            name: found for name, found in (await self.found(person)).items() if found.level is not Level.FINE
        }

    def close(self) -> None:
        self.hub.close()
        self.service.close()
        shutil.rmtree(self.shared)


@pytest.fixture(scope="module")
def gateway(slurm_release):
    """slurmrestd and a gateway for the newer release; the older one is asked by its programs."""
    if slurm_release.release.name == "22.05":
        yield None
        return
    made = GatewayProcess(slurm_release, allow={"people": [PERSON, "rui"]}).start()
    yield made
    made.remove()


@pytest.fixture
def site(slurm_cluster, gateway, tmp_path):
    made = Site(slurm_cluster, tmp_path, gateway)
    yield made
    made.close()


async def test_where_all_is_in_its_place_nothing_is_found(site):
    found = await site.found()
    assert all(finding.level is Level.FINE for finding in found.values()), found
    assert {"slurm pan", "slurm pan partitions", "slurm pan addresses", "slurm pan operator"} <= set(found)
    assert {"slurm pan clock", "slurm pan/cpu nodes", "slurm pan/gpu nodes"} <= set(found)
    assert re.search(r"on cpu[12]$", found["slurm pan/cpu nodes"].text)
    assert site.cluster.run("squeue", "--noheader").stdout == ""


async def test_without_a_person_no_job_is_submitted(site):
    looks = ("squeue", "--noheader", "--states=all", "--name=panhub-check")
    before = site.cluster.run(*looks).stdout
    found = await site.found(None)
    assert "--as USER" in found["slurm pan nodes"].text
    assert not any("/" in name for name in found)
    assert site.cluster.run(*looks).stdout == before


NOT_THERE = "/opt/not-there"


@contextmanager
def closed(folder: Path):
    mode = folder.stat().st_mode
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(mode)


async def test_all_that_a_node_lacks_is_told_of_each_node(site):
    site.raw_profiles["environments"]["pan"]["prefix"] = NOT_THERE
    site.raw_cluster |= {"session_code": NOT_THERE, "view": "apptainer"}
    site.hub.answers = 1  # the one from here; then a firewall
    site.service.ahead = timedelta(hours=1)
    with closed(site.cluster.homes / PERSON):
        faults = await site.faults()
    said = {
        "hub": "does not reach the hub",
        "clock": "clocks",
        "environment": f"{NOT_THERE}/bin/jupyterhub-singleuser",
        "session code": f"{NOT_THERE}/node.py",
        "home": str(site.cluster.homes / PERSON),
        "view": "apptainer",
    }
    assert set(faults) == {f"slurm pan/{partition} {what}" for partition in ("cpu", "gpu") for what in said}
    for name, finding in faults.items():
        assert said[name.partition(" ")[2].partition(" ")[2]] in finding.text


async def test_a_service_that_nodes_do_not_reach_is_found(site):
    site.service.answers = 1
    faults = await site.faults()
    assert set(faults) == {"slurm pan/cpu service", "slurm pan/gpu service"}
    assert "node_report_url" in faults["slurm pan/cpu service"].mend


async def test_a_node_whose_ports_are_closed_is_found(site, monkeypatch):
    monkeypatch.setattr(nodes, "_CALL_S", 4.0)
    # A firewall in front of the nodes: nothing comes back from where we call.
    monkeypatch.setattr("hub.checks.calls._heard", refused)
    faults = await site.faults()
    assert set(faults) == {"slurm pan/cpu proxy", "slurm pan/gpu proxy"}
    assert "NodeAddr" in faults["slurm pan/cpu proxy"].mend


async def refused(_address, _port, _length):
    raise ConnectionRefusedError


async def test_a_node_without_python_is_found(site):
    site.raw_cluster["python"] = NOT_THERE
    assert set(await site.faults()) == {"slurm pan/cpu python", "slurm pan/gpu python"}


async def test_a_node_that_does_not_know_the_person_is_found(site):
    stranger = site.shared / "passwd"
    text = Path("/etc/passwd").read_text()
    stranger.write_text("".join(line for line in text.splitlines(True) if not line.startswith(f"{PERSON}:")))
    daemon = site.cluster._daemon("gpu1")
    known = daemon.command
    inside = known.index("--") + 1
    # A mount namespace of slurmd's own, in which the accounts are others.
    words = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(stranger))
    try:
        await asyncio.to_thread(site.cluster.stop_daemon, "gpu1")
        daemon.command = [*known[:inside], *words, *known[inside:]]
        await asyncio.to_thread(site.cluster.start_daemon, "gpu1")
        await asyncio.to_thread(site.cluster.wait_nodes)
        faults = await site.faults()
    finally:
        await asyncio.to_thread(site.cluster.stop_daemon, "gpu1")
        daemon.command = known
        await asyncio.to_thread(site.cluster.start_daemon, "gpu1")
    assert set(faults) == {"slurm pan/gpu account"}


async def test_a_partition_that_is_not_there_is_found(site):
    site.raw_profiles["places"]["gpu"]["partition"] = "gpux"
    faults = await site.faults()
    assert "no partition gpux" in faults["slurm pan partitions"].text
    assert "cpu, gpu" in faults["slurm pan partitions"].mend
    assert "slurm pan/gpux nodes" in faults


async def test_a_partition_that_is_down_is_a_warning(site):
    site.cluster.run("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    try:
        faults = await site.faults(None)
    finally:
        site.cluster.run("scontrol", "update", "PartitionName=gpu", "State=UP")
    assert faults["slurm pan partitions"].level is Level.WARNING
    assert set(faults) == {"slurm pan partitions"}


async def test_a_full_partition_is_a_warning_and_leaves_no_job(site, monkeypatch):
    monkeypatch.setattr(nodes, "_PATIENCE_S", 1.0)
    del site.raw_profiles["places"]["cpu"]
    site.raw_profiles["profiles"]["lab"]["places"] = ["gpu"]
    site.cluster.reserve("closed", users=("rui",), nodes=("gpu1",))
    try:
        faults = await site.faults()
    finally:
        site.cluster.remove_reservation("closed")
    assert set(faults) == {"slurm pan/gpu nodes"}
    assert faults["slurm pan/gpu nodes"].level is Level.WARNING
    assert "not started" in faults["slurm pan/gpu nodes"].text
    assert site.cluster.run("squeue", "--noheader").stdout == ""


async def test_a_service_account_without_rights_is_found(site):
    site.raw_cluster["service_account"] = "rui"
    faults = await site.faults()
    assert "AdminLevel=Operator" in faults["slurm pan operator"].mend
    assert "to rui" in faults["slurm pan/cpu nodes"].text  # jobs are private here


async def test_a_person_whom_slurm_refuses_is_found(site):
    site.cluster.run("scontrol", "update", "PartitionName=gpu", "AllowAccounts=staff")
    try:
        faults = await site.faults()
    finally:
        site.cluster.run("scontrol", "update", "PartitionName=gpu", "AllowAccounts=ALL")
    assert set(faults) == {"slurm pan/gpu nodes"}
    assert "refuses" in faults["slurm pan/gpu nodes"].text
    assert "sacctmgr" in faults["slurm pan/gpu nodes"].mend


async def test_hub_and_service_that_do_not_run_are_not_blamed_on_the_network(site):
    site.hub.answers = site.service.answers = 0
    faults = await site.faults()
    assert {name: finding.level for name, finding in faults.items()} == {"slurm pan reach": Level.WARNING}


async def test_a_cluster_that_does_not_answer_is_one_finding(site):
    await asyncio.to_thread(site.cluster.stop_daemon, "slurmctld")
    faults = await site.faults()
    assert set(faults) == {"slurm pan"}


async def test_a_place_of_a_cluster_that_is_not_there_is_found(site):
    site.raw_profiles["places"]["gpu"]["cluster"] = "other"
    faults = await site.faults(None)
    assert "slurm.clusters.other" in faults["slurm"].mend


async def test_addresses_of_this_machine_alone_are_found(site, monkeypatch):
    # Nodes elsewhere: as if no address of theirs were one of ours.
    monkeypatch.setattr("hub.checks.slurm._is_here", lambda _address: False)
    faults = await site.faults(None)
    assert "127.0.0.1" in faults["slurm pan addresses"].text


async def test_a_key_that_slurm_does_not_know_and_a_gateway_that_is_gone_are_found(site, gateway):
    if gateway is None:
        site.raw_cluster["transport"] = {"kind": "rest", "url": site.cluster.rest_url, "timeout_s": 5}
    other = GatewayProcess(site.cluster, key_bytes=bytes(range(32))).start()
    site.raw_cluster["gateway_socket"] = str(other.socket)
    faults = await site.faults()
    assert set(faults) == {"slurm pan"}
    assert "the same key" in faults["slurm pan"].mend
    other.remove()
    faults = await site.faults()
    assert set(faults) == {"slurm pan tokens"}
    assert "Start the token gateway" in faults["slurm pan tokens"].mend


def test_the_command_looks_as_the_person_who_is_named(site, capsys):
    assert main(["check", "--json", "--as", PERSON, "--config", str(site.write())]) == 1  # no provider runs
    report = json.loads(capsys.readouterr().out)
    levels = {row["check"]: row["level"] for row in report["findings"]}
    assert levels["slurm pan/gpu nodes"] == "fine"
