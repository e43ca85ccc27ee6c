"""What goes wrong on a real cluster: nothing is lost, nothing ends that runs, everything is charged once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from hub.demo.slurm import SlurmCluster as DemoCluster
from hub.demo.slurm.release import SlurmDemoError
from spawners.backend import BackendUnavailableError, EndCause, State, SubmitError
from spawners.plan import LaunchId
from spawners.slurm.models import mark
from spawners.slurm.watcher import utcnow
from tests.support.slurm import own_cluster
from tests.support.slurm_backends import KeyTokens, Ours, Session, connected

EATS_MEMORY = "exec python3 -c 'import time; x = bytearray(400 << 20); time.sleep(60)'"
QUICK = {"transport": {"timeout_s": 2}}


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoCluster]:
    """A cluster whose daemons may be killed."""
    with own_cluster("22.05") as cluster:
        yield cluster


@pytest.fixture(scope="module", autouse=True)
def out_of_time(demo: DemoCluster) -> tuple[LaunchId, int]:
    """A session that is over its time: Slurm looks every 30 s, so it begins before all others."""
    launch_id = LaunchId(secrets.token_hex(8))
    options = {"comment": mark(launch_id), "partition": "gpu", "time": 1, "mem": "100M"}
    job = demo.submit_for_test("maja", "exec sleep 300", **options)
    demo.wait_job(job, "RUNNING")
    demo.checked("scontrol", "update", f"JobId={job}", "EndTime=now+1")
    return launch_id, job


@pytest.fixture
async def ours(demo: DemoCluster) -> AsyncIterator[Ours]:
    """Our side over Slurm's programs; afterwards no session of the test is left."""
    async with connected(demo, **QUICK) as made:
        yield made
        for launch_id, link in list(made.cluster.memory.links.items()):
            await made.cluster.backend("cpu").stop(launch_id, link.handle("pan"))


async def gone(session: Session, *, timeout_s: float = 30) -> str:
    """Reason of the end, as soon as it is known."""
    deadline = time.monotonic() + timeout_s
    while (status := await session.status()).state is not State.GONE:
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.05)
    return status.reason


async def unknown(session: Session, *, timeout_s: float = 20) -> None:
    """Wait until nothing is known; that it is never taken for gone is `Session.wait`'s."""
    status = await session.wait(State.UNKNOWN, timeout_s=timeout_s)
    assert "does not answer" in status.reason


# --- daemons that do not answer ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["stopped", "frozen"])
async def test_without_slurmctld_sessions_are_unknown_and_go_on(ours: Ours, way: str) -> None:
    session, unwanted = await ours.start(), await ours.start()
    await session.wait(State.RUNNING)
    await unwanted.wait(State.RUNNING)
    try:
        await ours.do(ours.demo.stop_daemon if way == "stopped" else ours.demo.freeze, "slurmctld")
        await unknown(session)
        assert await session.backend.usage(session.launch_id, session.handle) is None
        assert not (await session.backend.availability()).is_reachable
        with pytest.raises(BackendUnavailableError):
            await ours.start()
        with pytest.raises(BackendUnavailableError):
            await unwanted.stop()
        with pytest.raises(BackendUnavailableError):
            await session.backend.find()
    finally:
        await ours.do(ours.demo.thaw, "slurmctld")
        await ours.do(ours.demo.start_daemon, "slurmctld")
    await session.wait(State.RUNNING)
    await unwanted.stop()
    assert (await unwanted.usage()).cause is EndCause.STOPPED
    found = dict(await session.backend.find())
    assert found.pop(session.launch_id) == session.handle
    # A submit that was cut off may have come through: then it is found, by its launch.
    for launch_id, handle in found.items():
        await session.backend.stop(launch_id, handle)


async def test_without_slurmrestd_sessions_are_unknown_and_go_on(demo: DemoCluster) -> None:
    async with connected(demo, "rest", **QUICK) as ours:
        session = await ours.start()
        await session.wait(State.RUNNING)
        try:
            await ours.do(demo.kill, "slurmrestd")
            await unknown(session)
        finally:
            await ours.do(demo.start_daemon, "slurmrestd")
        await session.wait(State.RUNNING)
        await session.stop()


async def test_without_slurmdbd_an_end_is_settled_later(ours: Ours) -> None:
    session = await ours.start()
    await session.wait(State.RUNNING)
    try:
        await ours.do(ours.demo.kill, "slurmdbd")
        await session.stop()
        assert (await session.status()).state is State.GONE
        assert await session.backend.usage(session.launch_id, session.handle) is None
        with pytest.raises(BackendUnavailableError, match="accounting"):
            await session.backend.find_ended({LaunchId("0" * 16): "maja"})
        another = await ours.start()
        await another.wait(State.RUNNING)
    finally:
        await ours.do(ours.demo.start_daemon, "slurmdbd")
    used = await session.usage(timeout_s=40)
    assert used.cause is EndCause.STOPPED


async def test_a_token_that_has_expired_is_renewed(demo: DemoCluster) -> None:
    tokens = KeyTokens(demo, lifespan_s=2)
    async with connected(demo, "rest", tokens=tokens, **QUICK) as ours:
        session = await ours.start()
        await session.wait(State.RUNNING)
        before, watcher = tokens.minted, ours.cluster.watcher
        deadline = time.monotonic() + 20
        while tokens.minted == before:
            assert time.monotonic() < deadline
            await watcher.fresh(utcnow())
            await asyncio.sleep(0.1)
        assert (await session.status()).state is State.RUNNING
        await session.stop()


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["maja", "root"])
async def test_a_session_that_somebody_cancelled_says_who(ours: Ours, who: str) -> None:
    session = await ours.start()
    await session.wait(State.RUNNING)
    await ours.command("scancel", str(session.job), user=None if who == "root" else who)
    assert "cancelled" in await gone(session)
    used = await session.usage()
    assert (used.cause, used.detail) == (EndCause.CANCELLED, f"CANCELLED by {who}")


async def test_a_session_that_is_out_of_memory_says_so(ours: Ours) -> None:
    session = await ours.start(EATS_MEMORY, memory_mib=100)
    assert ("more memory" if ours.demo.has_cgroup else "signal 9") in await gone(session)
    used = await session.usage()
    assert used.cause is EndCause.OUT_OF_MEMORY
    assert ("OUT_OF_MEMORY" if ours.demo.has_cgroup else "out of memory") in used.detail


async def test_a_session_whose_server_the_kernel_killed_is_out_of_memory(ours: Ours) -> None:
    # As where nothing but the kernel watches: the process is full and killed, its script reports 137.
    fill = "python3 -c 'import time; x = bytearray(192 << 20); time.sleep(9)' &"
    session = await ours.start(f"{fill} sleep 3; kill -9 $!; wait $!", memory_mib=206)
    assert "exit code 137" in await gone(session)
    used = await session.usage()
    assert used.cause is EndCause.OUT_OF_MEMORY
    assert used.detail.endswith(", out of memory")


async def test_a_job_that_dies_before_its_server_answers_says_how(ours: Ours) -> None:
    session = await ours.start("exit 83")
    assert await gone(session) == "Its environment is not installed on the node."
    used = await session.usage()
    assert (used.cause, used.exit_code, used.detail) == (EndCause.EXITED, 83, "FAILED, exit code 83")


async def test_a_session_on_a_node_that_is_lost_says_so(ours: Ours) -> None:
    session = await ours.start()
    await session.wait(State.RUNNING)
    node = (await ours.command("squeue", "-h", "-j", str(session.job), "-o", "%B")).strip()
    try:
        await ours.do(ours.demo.kill, node)
        # Slurm finds out after SlurmdTimeout; an administrator is faster.
        await ours.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")
        assert "node failed" in await gone(session)
        used = await session.usage()
        assert (used.cause, used.detail) == (EndCause.NODE_FAILURE, f"NODE_FAIL on {node}")
    finally:
        await ours.do(ours.demo.start_daemon, node)
        with contextlib.suppress(SlurmDemoError):  # it may have come back by itself (ReturnToService)
            await ours.do(ours.demo.set_node, node, "resume")
        await ours.do(ours.demo.wait_nodes, "idle", "mixed")


async def test_a_refused_submit_starts_nothing(ours: Ours) -> None:
    with pytest.raises(SubmitError, match=r"(?i)limit"):
        await ours.start(user="rui", account="hc4802", cpus=17)
    with pytest.raises(SubmitError, match=r"(?i)account"):
        await ours.start(account="es1107")
    assert await ours.cluster.backend("cpu").find() == {}


# --- several runs -------------------------------------------------------------------------------


async def test_a_requeued_session_is_charged_for_each_run_once(ours: Ours) -> None:
    session = await ours.start()
    await session.wait(State.RUNNING)
    await asyncio.sleep(1.1)
    await ours.command("scontrol", "update", f"JobId={session.job}", "Requeue=1")
    await ours.command("scontrol", "requeue", str(session.job))
    waiting = await session.wait(State.PENDING)
    assert waiting.reason.startswith("It was put back into the queue.")
    assert await session.backend.usage(session.launch_id, session.handle) is None
    await ours.do(_start_now, ours.demo, session.job)
    await session.wait(State.RUNNING)
    await asyncio.sleep(1.1)
    await session.stop()
    used = await session.usage()
    lines = await ours.command(
        "sacct", "-D", "-X", "-n", "-P", f"--jobs={session.job}", "--format=ElapsedRaw,AllocCPUS"
    )
    runs = [tuple(map(int, line.split("|"))) for line in lines.split()]
    assert len(runs) == 2
    assert used.elapsed_seconds * used.cpus == sum(elapsed * cpus for elapsed, cpus in runs) >= 2
    assert used.detail.endswith("; 2 runs")


def _start_now(demo: DemoCluster, job: int) -> None:
    """Slurm keeps a requeued job back for two minutes, so that its node forgets the run before.

    The node tells runs apart by the second, and the time is set anew when the first run has left.
    """
    demo.wait_job(job, "PENDING")
    time.sleep(1.5)
    demo.checked("scontrol", "update", f"JobId={job}", "StartTime=now")


async def test_a_preempted_session_is_charged_once(ours: Ours) -> None:
    session = await ours.start(qos="scavenger", partition="gpu", cpus=32)
    await session.wait(State.RUNNING)
    await asyncio.sleep(1.1)
    other = await ours.start(user="yuki", qos="normal", partition="gpu", cpus=32)
    assert "higher priority" in await gone(session)
    await other.wait(State.RUNNING)
    used = await session.usage()
    said = await ours.do(lambda: ours.demo.sacct(session.job, has_ended=True))
    assert (used.cause, used.detail, used.cpus) == (EndCause.PREEMPTED, "PREEMPTED", 32)
    assert used.elapsed_seconds == int(said["ElapsedRaw"]) >= 1


# --- last: it needs its time ----------------------------------------------------------------------


async def test_a_session_over_its_time_says_so(ours: Ours, out_of_time: tuple[LaunchId, int]) -> None:
    launch_id, job = out_of_time
    session = Session(ours.cluster.backend("gpu"), launch_id, {"cluster": "pan", "job": job, "user": "maja"})
    assert "end of its time" in await gone(session, timeout_s=60)
    used = await session.usage()
    assert (used.cause, used.detail) == (EndCause.TIME_LIMIT, "TIMEOUT")
    assert timedelta(seconds=used.elapsed_seconds) > timedelta(0)
