"""One cluster, recorded by every transport: all say the same of it.

``recorded/`` has answers of Slurm 22.05.8 and 24.11.5 (``job_resources`` of jobs left out, host and
kernel names replaced).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spawners.slurm.cli import formats
from spawners.slurm.models import Association, JobState, Qos, Reservation, Tres
from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.rest.adapters import ADAPTERS
from spawners.slurm.states import REQUEUED

RECORDED = Path(__file__).parent / "recorded"
MARK = "z0MARK0z"


@dataclass(frozen=True)
class Said:
    """What one transport reads."""

    name: str
    jobs: Any
    nodes: Any
    partitions: Any
    reservations: Any
    associations: Any
    qos: Any
    accounted: Any


def _by_rest(version: str) -> Said:
    adapter, folder = ADAPTERS[version], RECORDED / version

    def read(function: Callable[..., Any], name: str, *more: str) -> Any:
        return function((folder / f"{name}.json").read_bytes(), *more)

    return Said(
        version,
        read(adapter.jobs, "jobs"),
        read(adapter.nodes, "nodes"),
        read(adapter.partitions, "partitions"),
        read(adapter.reservations, "reservations"),
        read(adapter.associations, "associations", "pan"),
        read(adapter.qos, "qos"),
        read(adapter.accounted, "accounted"),
    )


def _by_cli(release: str) -> Said:
    def text(name: str) -> str:
        return (RECORDED / f"cli-{release}" / f"{name}.txt").read_text()

    return Said(
        release,
        formats.jobs(text("squeue"), MARK),
        formats.nodes(text("nodes")),
        formats.partitions(text("partitions")),
        formats.reservations(text("reservations")),
        formats.associations(text("associations"), text("defaults")),
        formats.qos(text("qos")),
        formats.accounted(text("sacct"), MARK),
    )


VERSIONS = ("v0.0.38", "v0.0.40", "v0.0.41", "v0.0.42")


@pytest.fixture(scope="module", params=[*VERSIONS, "22.05", "24.11"])
def said(request):
    return _by_rest(request.param) if request.param.startswith("v") else _by_cli(request.param)


def test_a_running_job_with_a_gpu(said):
    (job,) = (
        job for job in said.jobs if job.comment == "panhub:0123456789abcdef" and job.state in ("RUNNING",)
    )
    assert (job.user, job.name, job.account, job.partition, job.qos) == (
        "maja",
        "odd name|x",
        "ma5501",
        "gpu",
        "normal",
    )
    assert (job.cpus, job.memory_mib, dict(job.gpus), job.nodes) == (2, 512, {"a100": 1}, ("gpu1",))
    assert (job.wckey, job.reservation, job.restarts, job.array_task) == ("w1", "", 0, None)
    assert job.time_limit == timedelta(minutes=30)
    assert job.starts_at is not None
    assert job.ends_at == job.starts_at + timedelta(minutes=30)
    assert job.starts_at.tzinfo is UTC
    assert (job.exit_code, job.signal, job.reason) == (None, None, "")


def test_a_failed_job_with_its_code_and_a_comment_of_two_lines(said):
    (job,) = (job for job in said.jobs if job.state == JobState.FAILED and job.comment == "a\nb")
    assert (job.exit_code, job.signal, job.reason) == (3, None, "NonZeroExitCode")


def test_pending_jobs_with_reason_and_expected_start(said):
    pending = {job.reason: job for job in said.jobs if job.state == JobState.PENDING}
    assert set(pending) == {"JobHeldUser", "Resources"}
    assert pending["JobHeldUser"].starts_at is None
    assert pending["Resources"].starts_at is not None
    assert pending["Resources"].cpus == 2
    assert pending["Resources"].memory_mib == 2000
    assert pending["Resources"].nodes == ()


def test_tasks_of_an_array(said):
    tasks = [job for job in said.jobs if job.array_task is not None]
    assert sorted(job.array_task for job in tasks) == [1, 2]
    assert len({job.id for job in tasks}) == 2


def test_a_job_that_was_cancelled_while_it_waited(said):
    (job,) = (job for job in said.jobs if job.state == JobState.CANCELLED)
    assert job.nodes == ()


def test_nodes(said):
    nodes = {node.name: node for node in said.nodes}
    assert set(nodes) == {"cpu1", "cpu2", "gpu1"}
    gpu = nodes["gpu1"]
    assert (gpu.address, gpu.architecture, gpu.cpus, gpu.cpus_used) == ("127.0.0.1", "x86_64", 32, 2)
    assert (gpu.memory_mib, gpu.memory_mib_used) == (64000, 512)
    assert (gpu.gpus, gpu.gpus_used) == ({"a100": 3, "v100": 1}, {"a100": 1})
    assert "MIXED" in gpu.states
    assert "IDLE" in nodes["cpu2"].states
    assert (nodes["cpu1"].gpus, nodes["cpu1"].gpus_used, nodes["cpu1"].partitions) == ({}, {}, ("cpu",))


def test_partitions(said):
    cpu, gpu = said.partitions
    assert (cpu.name, cpu.nodes, cpu.is_up) == ("cpu", ("cpu1", "cpu2"), True)
    assert (cpu.max_time, cpu.default_time) == (timedelta(days=2), timedelta(hours=1))
    assert (cpu.max_nodes, cpu.max_memory_per_node_mib, cpu.max_memory_per_cpu_mib) == (None, None, None)
    assert (cpu.allowed_accounts, cpu.denied_accounts, cpu.allowed_qos, cpu.qos) == ((), (), (), "")
    assert (gpu.name, gpu.max_time, gpu.is_default) == ("gpu", timedelta(days=1), False)
    # 0.0.40 to 0.0.42 do not tell.
    assert cpu.is_default == (said.name in ("v0.0.38", "22.05", "24.11"))


def test_reservations(said):
    (found,) = said.reservations
    assert found.starts_at in {datetime(2026, 11, 21, 17, 29, second, tzinfo=UTC) for second in (30, 33)}
    assert found == Reservation(
        name="beam",
        users=("maja",),
        accounts=(),
        groups=(),
        nodes=("cpu2",),
        starts_at=found.starts_at,
        ends_at=found.starts_at + timedelta(hours=1),
    )


QOS_NAMES = ("gpu-large", "normal", "scavenger", "short")


def test_associations(said):
    found = {(entry.account, entry.user): entry for entry in said.associations}
    assert found["hc4802", "rui"] == Association(
        account="hc4802",
        user="rui",
        qos=QOS_NAMES,
        default_qos="normal",
        max_tres_per_job=Tres(cpus=16, memory_mib=2048, gpus={"": 2}),
        group_tres=Tres(cpus=24),
        max_wall=timedelta(minutes=120),
        max_jobs=5,
        max_submit_jobs=7,
    )
    assert found["sub1", ""] == Association(
        account="sub1", parent="hc4802", qos=QOS_NAMES, default_qos="normal"
    )
    assert found["default", "maja"].is_default
    assert not found["ma5501", "maja"].is_default


def test_qos(said):
    found = {entry.name: entry for entry in said.qos}
    assert found["short"] == Qos(
        name="short",
        priority=200,
        max_wall=timedelta(hours=1),
        max_tres_per_job=Tres(cpus=8, memory_mib=8192),
        max_tres_per_user=Tres(gpus={"": 1}),
        group_tres=Tres(nodes=3),
        max_jobs_per_user=4,
        preempts=("scavenger",),
        flags=frozenset({"DENY_LIMIT"}),
    )
    assert found["scavenger"].priority == 0
    assert found["normal"].max_tres_per_user == Tres(gpus={"": 2})


def test_accounted_runs(said):
    by_id: dict[int, list[Any]] = {}
    for run in said.accounted:
        by_id.setdefault(run.id, []).append(run)
    (failed,) = by_id[2]
    # 22.05's slurmrestd says 0 for this one, which is no answer.
    assert failed.exit_code == (None if said.name == "v0.0.38" else 3)
    assert failed.comment == "a\nb"
    (killed,) = by_id[18]
    assert (killed.state, killed.exit_code, killed.signal) == (JobState.FAILED, 0, 9)
    assert killed.max_rss_mib in (67, 68)
    assert (killed.cpus, killed.memory_mib, killed.gpus, killed.nodes) == (1, 200, 0, ("cpu1",))
    (cancelled,) = by_id[19]
    assert cancelled.state == JobState.CANCELLED
    # sacct gives the uid, which the transport looks up.
    assert cancelled.cancelled_by in ("root", "0")
    assert cancelled.ended_at - cancelled.started_at == timedelta(seconds=cancelled.elapsed_s)


def test_a_requeued_job_has_a_run_before(said):
    first, second = sorted((run for run in said.accounted if run.id == 21), key=lambda run: run.submitted_at)
    assert (first.state, first.reason) == (JobState.CANCELLED, REQUEUED)
    assert first.elapsed_s in (18, 19)
    assert second.state in (JobState.TIMEOUT, JobState.CANCELLED)
    assert second.started_at > first.ended_at
    assert replace(first, comment="").memory_mib == second.memory_mib == 200


def test_a_job_that_never_ran(said):
    (run,) = (run for run in said.accounted if run.id == 3)
    assert (run.state, run.started_at, run.elapsed_s, run.cpus, run.nodes) == (
        JobState.CANCELLED,
        None,
        0,
        0,
        (),
    )
    assert run.ended_at is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_whether_slurmctld_is_up_and_the_clusters_name(version):
    adapter, folder = ADAPTERS[version], RECORDED / version
    ping = (folder / "ping.json").read_bytes()
    assert adapter.is_up(ping)
    assert not adapter.is_up(ping.replace(b'"UP"', b'"DOWN"'))
    assert adapter.clusters((folder / "clusters.json").read_bytes()) == ("pan",)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[: len(body) // 2],
        lambda body: b"<html>Bad gateway</html>",
        lambda body: b"{}",
        lambda body: b'{"jobs": 3, "errors": []}',
        lambda body: b'{"jobs": [], "errors": [{"error": "Unable to contact slurm controller"}]}',
        lambda body: body.replace(b'"RUNNING"', b'"BRAND_NEW"'),
    ],
)
def test_an_answer_that_is_none_is_not_an_empty_one(version, change):
    body = (RECORDED / version / "jobs.json").read_bytes()
    with pytest.raises((NotUnderstoodError, KeyError)):
        ADAPTERS[version].jobs(change(body))


@pytest.mark.parametrize("release", ["22.05", "24.11"])
def test_a_cut_answer_of_a_program_is_not_understood(release):
    text = (RECORDED / f"cli-{release}" / "squeue.txt").read_text()
    with pytest.raises(NotUnderstoodError):
        formats.jobs(text[: len(text) // 2], MARK)
    with pytest.raises(NotUnderstoodError):
        formats.jobs(text, "other")


def test_text_of_people_cannot_pretend_to_be_another_record():
    real = (RECORDED / "cli-22.05" / "squeue.txt").read_text()
    forged = real.replace("odd name|x", f"x\n99{MARK[:-1]}RUNNING|||root")
    assert [job.user for job in formats.jobs(forged, MARK)] == [job.user for job in formats.jobs(real, MARK)]


def test_the_first_pair_of_a_line_counts():
    line = "NodeName=cpu1 Arch=x86_64 OS=Linux 6.1.0 #1 State=IDLE Reason=was State=DOWN [root@2026]"
    assert formats.pairs(line)["State"] == "IDLE"
    assert formats.pairs(line)["OS"] == "Linux 6.1.0 #1"


def test_no_reservations_and_something_else():
    assert formats.reservations("No reservations in the system\n") == ()
    with pytest.raises(NotUnderstoodError):
        formats.reservations("slurm_load_reservations error: Unable to contact slurm controller\n")
