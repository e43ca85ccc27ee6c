"""Every transport against real daemons: the same tests for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.demo.slurm import SlurmCluster
from spawners.slurm.models import ALIVE, JobState, Tres, mark
from spawners.slurm.states import REQUEUED
from spawners.slurm.transport import SlurmError, SlurmUnavailableError, Transport
from tests.support.slurm_transports import (
    CASES,
    EACH_CLIENT,
    KeyTokens,
    answers_again,
    connect,
    job_when,
    read,
    spec,
    until,
)

# fmt: off
SLURMS_OWN = frozenset({
    "CUDA_VISIBLE_DEVICES", "ENVIRONMENT", "GPU_DEVICE_ORDINAL", "HOSTNAME", "HYDRA_BOOTSTRAP",
    "HYDRA_LAUNCHER_EXTRA_ARGS", "I_MPI_HYDRA_BOOTSTRAP", "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS",
    "OMPI_MCA_plm_slurm_args", "PRTE_MCA_plm_slurm_args", "PWD", "ROCR_VISIBLE_DEVICES", "TMPDIR",
    "ZE_AFFINITY_MASK",
})
# fmt: on
"""Variables beside ``SLURM…`` that slurmd and the shell give every batch job."""


@dataclass
class Side:
    """A cluster and one way to it."""

    cluster: SlurmCluster
    transport: Transport
    tokens: KeyTokens
    kind: str


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Iterator[tuple[SlurmCluster, str]]:
    release, _, kind = request.param.partition("-")
    cluster: SlurmCluster = request.getfixturevalue({"22.05": "slurm_2205", "24.11": "slurm_2411"}[release])
    yield cluster, kind
    cluster.reset()


@pytest.fixture
async def side(case: tuple[SlurmCluster, str]) -> AsyncIterator[Side]:
    cluster, kind = case
    tokens = KeyTokens(cluster)
    transport = connect(cluster, kind, tokens)
    yield Side(cluster, transport, tokens, kind)
    await transport.aclose()


async def alive(transport: Transport) -> set[int]:
    """Jobs that have not ended: slurmctld keeps the others for a minute."""
    return {job.id for job in await transport.jobs() if job.state in ALIVE}


async def test_a_job_from_submission_to_accounting(side):
    cluster, transport = side.cluster, side.transport
    began = datetime.now(UTC) - timedelta(minutes=1)
    cluster.reserve("beam", users=("maja",), nodes=("gpu1",))
    (reservation,) = await transport.reservations()
    assert (reservation.name, reservation.users, reservation.nodes) == ("beam", ("maja",), ("gpu1",))
    seen = cluster.people.home("maja") / "environment"
    seen.unlink(missing_ok=True)
    given = {
        "TOKEN": "s3cret\nwith a line",
        "SBATCH_WCKEY": mark("f" * 16),
        "PATH": "/usr/bin:/bin",
        "EMPTY": "",
    }
    job_id = await transport.submit(
        spec(
            cluster,
            f"env -0 > {seen}.part; mv {seen}.part {seen}; exec sleep 600",
            environment=given,
            partition="gpu",
            cpus=2,
            memory_mib=300,
            gpus=1,
            gpu_type="v100",
            reservation="beam",
            qos="normal",
        )
    )
    job = await job_when(transport, job_id, lambda job: job.state == JobState.RUNNING)
    assert (job.user, job.name, job.comment, job.wckey) == (
        "maja",
        "panhub-test",
        mark("0123456789abcdef"),
        "",
    )
    assert (job.account, job.partition, job.qos, job.reservation) == ("ma5501", "gpu", "normal", "beam")
    assert (job.cpus, job.memory_mib, dict(job.gpus), job.nodes) == (2, 300, {"v100": 1}, ("gpu1",))
    assert job.time_limit == timedelta(minutes=5)
    assert job.starts_at is not None
    assert abs(job.starts_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert job.ends_at == job.starts_at + timedelta(minutes=5)
    (node,) = (node for node in await transport.nodes() if node.name == "gpu1")
    assert (node.gpus_used, node.cpus_used, node.memory_mib_used) == ({"v100": 1}, 2, 300)

    async def environment() -> str:
        return read(seen)

    found = dict(line.split("=", 1) for line in (await until(environment)).split("\0") if line)
    ours = {
        name: value
        for name, value in found.items()
        if not name.startswith("SLURM") and name not in SLURMS_OWN
    }
    # The shell that runs the script counts its level.
    ours = {name: value for name, value in ours.items() if name not in ("SHLVL", "_", "OLDPWD")}
    assert ours == given

    await transport.set_time_limit(job_id, timedelta(minutes=7))
    job = await job_when(transport, job_id, lambda job: job.time_limit == timedelta(minutes=7))
    assert job.ends_at == job.starts_at + timedelta(minutes=7)
    await transport.cancel(job_id, user="maja")
    await job_when(transport, job_id, lambda job: job.state == JobState.CANCELLED and not job.flags)
    await transport.cancel(job_id, user="maja")

    async def accounted() -> Any:
        return [run for run in await transport.accounted([job_id, 999_999]) if run.ended_at and run.partition]

    (run,) = await until(accounted)
    assert (run.id, run.state, run.cancelled_by, run.user) == (job_id, JobState.CANCELLED, "maja", "maja")
    assert (run.account, run.partition, run.comment) == ("ma5501", "gpu", mark("0123456789abcdef"))
    assert (run.cpus, run.memory_mib, run.gpus, run.nodes) == (2, 300, 1, ("gpu1",))
    assert run.started_at == job.starts_at
    assert run.elapsed_s == (run.ended_at - run.started_at).total_seconds()
    assert job_id in {run.id for run in await transport.accounted_since(began)}


async def test_waiting_for_room(side):
    cluster, transport = side.cluster, side.transport
    script = spec(cluster, "exec sleep 600", cpus=32, time_limit=timedelta(minutes=10))
    full = [await transport.submit(script) for _ in range(2)]
    for job_id in full:
        await job_when(transport, job_id, lambda job: job.state == JobState.RUNNING)
    waiting = await transport.submit(spec(cluster, "exec sleep 600", cpus=20))
    job = await job_when(transport, waiting, lambda job: job.starts_at is not None and bool(job.reason))
    assert (job.state, job.nodes, job.cpus) == (JobState.PENDING, (), 20)
    assert job.reason in ("Resources", "Priority")
    wait = job.starts_at - datetime.now(UTC)
    assert timedelta(minutes=8) < wait < timedelta(minutes=12)
    expected = await transport.expected_start(spec(cluster, "exec sleep 600", cpus=20))
    if side.kind == "cli":
        assert expected is not None
        assert timedelta(minutes=8) < expected - datetime.now(UTC) < timedelta(minutes=20)
    else:
        assert expected is None
    await transport.cancel(waiting, user="maja")
    job = await job_when(transport, waiting, lambda job: job.state == JobState.CANCELLED)
    assert job.exit_code in (0, None)
    (run,) = await transport.accounted([waiting])
    assert (run.started_at, run.elapsed_s, run.cpus, run.gpus) == (None, 0, 0, 0)


async def test_how_a_job_ended_and_its_runs(side):
    cluster, transport = side.cluster, side.transport
    failing = await transport.submit(spec(cluster, "sleep 1; exit 3"))
    again = cluster.submit_for_test("maja", "sleep 600", account="ma5501", time=5, mem="100M")
    job = await job_when(transport, failing, lambda job: job.state == JobState.FAILED)
    assert (job.exit_code, job.signal, job.reason) == (3, None, "NonZeroExitCode")
    await job_when(transport, again, lambda job: job.state == JobState.RUNNING)
    cluster.checked("scontrol", "requeue", str(again))
    await job_when(transport, again, lambda job: job.state == JobState.PENDING and job.restarts == 1)

    async def both() -> Any:
        runs = await transport.accounted([again])
        return runs if len(runs) == 2 else None

    first, second = sorted(await until(both), key=lambda run: run.submitted_at)
    assert (first.state, first.reason, first.cpus, second.state) == (
        JobState.CANCELLED,
        REQUEUED,
        1,
        JobState.PENDING,
    )
    assert second.started_at is None


async def test_what_the_cluster_is(side):
    await side.transport.ping()
    nodes = {node.name: node for node in await side.transport.nodes()}
    assert {name: dict(node.gpus) for name, node in nodes.items()} == {
        "cpu1": {},
        "cpu2": {},
        "gpu1": {"a100": 3, "v100": 1},
    }
    assert (nodes["cpu1"].cpus, nodes["cpu1"].memory_mib, nodes["cpu1"].architecture) == (32, 64000, "x86_64")
    assert "IDLE" in nodes["cpu1"].states
    partitions = {partition.name: partition for partition in await side.transport.partitions()}
    assert (partitions["cpu"].nodes, partitions["gpu"].nodes) == (("cpu1", "cpu2"), ("gpu1",))
    assert partitions["gpu"].max_time == timedelta(days=1)
    assert partitions["gpu"].is_up
    assert await side.transport.reservations() == ()
    found = {(entry.account, entry.user): entry for entry in await side.transport.associations()}
    limited = found["hc4802", "rui"]
    assert (limited.max_tres_per_job.cpus, limited.group_tres.cpus) == (16, 24)
    assert limited.default_qos == "normal"
    assert {"normal", "short"} <= set(limited.qos)
    assert "gpu-large" not in found["in1204", "yuki"].qos
    assert [account for (account, user), entry in found.items() if user == "maja" and entry.is_default] == [
        "default"
    ]
    qos = {entry.name: entry for entry in await side.transport.qos()}
    assert qos["short"].max_wall == timedelta(hours=1)
    assert qos["normal"].max_tres_per_user == Tres(gpus={"": 2})
    assert "DENY_LIMIT" in qos["normal"].flags
    assert qos["normal"].preempts == ("scavenger",)


REFUSED = (
    ({"account": "nobodys"}, "Invalid account"),
    ({"account": "sc6120"}, "Invalid account"),
    ({"partition": "nowhere"}, "(?i)invalid partition name"),
    ({"reservation": "never"}, "Requested reservation is invalid"),
    ({"qos": "nosuch"}, "Invalid qos"),
    ({"cpus": 99}, "More processors"),
    ({"time_limit": timedelta(days=9)}, "time limit is invalid"),
    ({"partition": "gpu", "gpus": 3, "gpu_type": "a100"}, "violates accounting/QOS policy"),
    ({"user": "rui", "account": "hc4802", "cpus": 17}, "violates accounting/QOS policy"),
)


async def test_refusals_in_slurms_own_words(side):
    for change, text in REFUSED:
        with pytest.raises(SlurmError, match=text):
            await side.transport.submit(spec(side.cluster, "true", **change))
    assert not await alive(side.transport)
    with pytest.raises(SlurmError):
        await side.transport.set_time_limit(999_999, timedelta(minutes=5))
    await side.transport.cancel(999_999, user="maja")


async def test_another_persons_job_stays(side):
    job_id = await side.transport.submit(spec(side.cluster, "exec sleep 600"))
    with pytest.raises(SlurmError, match="denied"):
        await side.transport.cancel(job_id, user="yuki")
    await job_when(side.transport, job_id, lambda job: job.state == JobState.RUNNING)


@pytest.mark.parametrize("case", EACH_CLIENT, indirect=True)
async def test_a_scheduler_that_is_gone_is_no_answer(side):
    cluster, transport = side.cluster, connect(side.cluster, side.kind, side.tokens, timeout_s=3)
    await transport.ping()
    cluster.kill("slurmctld")
    calls = (
        transport.ping(),
        transport.jobs(),
        transport.nodes(),
        transport.partitions(),
        transport.reservations(),
        transport.submit(spec(cluster, "true")),
        transport.cancel(1, user="maja"),
        transport.set_time_limit(1, timedelta(minutes=5)),
    )
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SlurmUnavailableError] * len(calls), answers
    cluster.start_daemon("slurmctld")
    await answers_again(transport)
    await transport.aclose()


@pytest.mark.parametrize("case", EACH_CLIENT, indirect=True)
async def test_accounting_that_is_gone_is_no_answer(side):
    cluster, transport = side.cluster, side.transport
    await transport.ping()
    cluster.kill("slurmdbd")
    calls = (
        transport.associations(),
        transport.qos(),
        transport.accounted([1]),
        transport.accounted_since(datetime.now(UTC) - timedelta(days=1)),
    )
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SlurmUnavailableError] * len(calls), answers
    assert not await alive(transport)
    cluster.start_daemon("slurmdbd")
    await answers_again(transport)


@pytest.mark.parametrize("case", EACH_CLIENT, indirect=True)
async def test_a_scheduler_that_hangs_is_no_answer(side):
    cluster = side.cluster
    hasty = connect(cluster, side.kind, side.tokens, timeout_s=1)
    await hasty.ping()
    cluster.freeze("slurmctld")
    calls = (hasty.jobs(), hasty.submit(spec(cluster, "true")))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [SlurmUnavailableError] * len(calls), answers
    cluster.thaw("slurmctld")
    await hasty.aclose()
    await answers_again(side.transport)


@pytest.mark.parametrize("case", ["22.05-v0.0.38", "24.11-v0.0.42"], indirect=True)
async def test_tokens_that_are_not_accepted(side):
    cluster, tokens, transport = side.cluster, side.tokens, side.transport
    await transport.ping()

    def once(user: str) -> str:
        return cluster.token(user, -60) if not tokens.forgotten else cluster.token(user)

    tokens.make = once
    assert not await alive(transport)
    assert tokens.forgotten == ["panhub"]
    tokens.forgotten.clear()
    assert await transport.qos()
    assert tokens.forgotten == ["panhub"]
    tokens.forgotten.clear()
    job_id = await transport.submit(spec(cluster, "exec sleep 600"))
    assert tokens.forgotten == ["maja"]
    await job_when(transport, job_id, lambda job: True)
    for wrong in (
        lambda user: cluster.token(user, -60),
        lambda user: cluster.token("yuki"),
        lambda user: "rubbish",
    ):
        tokens.make = wrong
        for call in (
            transport.jobs(),
            transport.qos(),
            transport.ping(),
            transport.submit(spec(cluster, "true")),
        ):
            with pytest.raises(SlurmUnavailableError):
                await call
    tokens.make = None
    assert await alive(transport) == {job_id}


@pytest.mark.parametrize("case", ["22.05-v0.0.38", "24.11-v0.0.42"], indirect=True)
async def test_slurmrestd_that_is_killed_and_the_newest_version(side):
    cluster = side.cluster
    found = connect(cluster, "auto", side.tokens)
    await found.ping()
    cluster.kill("slurmrestd")
    for call in (side.transport.jobs(), side.transport.submit(spec(cluster, "true")), found.jobs()):
        with pytest.raises(SlurmUnavailableError, match="slurmrestd does not answer"):
            await call
    cluster.start_daemon("slurmrestd")
    assert await side.transport.jobs() == await found.jobs()
    await found.aclose()
