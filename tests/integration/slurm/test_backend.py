"""The life of sessions on real clusters, over each way to talk to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from hub.demo.slurm import SlurmCluster as DemoCluster
from spawners.backend import Ask, BackendError, EndCause, NotAdmittedError, State
from spawners.plan import Size
from spawners.slurm.models import mark
from spawners.slurm.watcher import utcnow
from tests.support.slurm_backends import Kind, Ours, connected

WAYS = [("slurm_2205", "cli"), ("slurm_2205", "rest"), ("slurm_2411", "rest")]


@pytest.fixture(params=WAYS, ids=["22.05-cli", "22.05-rest", "24.11-rest"])
def way(request: pytest.FixtureRequest) -> Iterator[tuple[DemoCluster, Kind]]:
    """A cluster of a release and how to talk to it."""
    name, kind = request.param
    demo: DemoCluster = request.getfixturevalue(name)
    yield demo, kind
    demo.cancel_all()


@pytest.fixture
async def ours(way: tuple[DemoCluster, Kind]) -> AsyncIterator[Ours]:
    """Our side of it."""
    async with connected(*way) as made:
        yield made


@pytest.fixture
async def by_cli(slurm_2205: DemoCluster) -> AsyncIterator[Ours]:
    """Our side of 22.05 over Slurm's programs."""
    async with connected(slurm_2205) as made:
        yield made
    await asyncio.to_thread(slurm_2205.cancel_all)


async def test_a_session_is_started_followed_stopped_and_charged_as_sacct_says(ours: Ours) -> None:
    session = await ours.start(account="ma5501", cpus=2, memory_mib=500, partition="gpu", gpus=1)
    running = await session.wait(State.RUNNING)
    assert running.host == "127.0.0.1"
    assert running.started_at is not None
    assert running.ends_at == running.started_at + timedelta(minutes=30)
    assert abs(running.started_at - utcnow()) < timedelta(seconds=20)
    assert await session.backend.usage(session.launch_id, session.handle) is None
    await asyncio.sleep(1.1)  # so that there is something to charge
    await session.stop()
    assert (await session.status()).state is State.GONE
    used = await session.usage()
    said = await ours.do(lambda: ours.demo.sacct(session.job, has_ended=True))
    assert used.elapsed_seconds == int(said["ElapsedRaw"]) >= 1
    assert "cpu=2," in said["AllocTRES"]
    assert "gres/gpu=1" in said["AllocTRES"]
    assert (used.cpus, used.memory_mib, used.gpus) == (2, 500, 1)
    assert used.cause is EndCause.STOPPED
    assert used.detail == "CANCELLED by maja"
    await session.stop()
    await session.backend.forget(session.launch_id, session.handle)


async def test_a_pending_session_says_why_and_costs_nothing_when_it_is_cancelled(ours: Ours) -> None:
    await ours.start(user="yuki", cpus=30)
    await ours.start(user="yuki", cpus=30)
    session = await ours.start(cpus=20, memory_mib=1000)
    waiting = await session.wait(State.PENDING, reason="Waiting for free resources")
    assert waiting.host is None
    async with asyncio.timeout(20):
        while (await session.status()).expected_start is None:  # Slurm plans in the background
            await asyncio.sleep(0.1)
    expected = (await session.status()).expected_start
    assert expected is not None
    assert timedelta(minutes=25) < expected - utcnow() < timedelta(minutes=35)
    await session.stop()
    used = await session.usage()
    assert (used.elapsed_seconds, used.cpus) == (0, 0)


async def test_a_restart_of_the_engine_finds_what_runs_waits_and_has_ended(
    ours: Ours, way: tuple[DemoCluster, Kind]
) -> None:
    running = await ours.start()
    await running.wait(State.RUNNING)
    held = await ours.start()
    await ours.command("scontrol", "hold", str(held.job))
    over = await ours.start("exit 0")
    async with asyncio.timeout(20):
        while (await over.status()).state is not State.GONE:
            await asyncio.sleep(0.05)
    # Submitted just before a crash: nobody waits for the answer any more.
    last = await ours.start()
    async with connected(*way) as after:
        backend = after.cluster.backend("cpu")
        found = await backend.find()
        for session in (running, held, last):
            assert found[session.launch_id] == session.handle
        assert over.launch_id not in found
        missing = {over.launch_id: "maja", held.launch_id: "yuki"}
        assert await backend.find_ended(missing) == {over.launch_id: over.handle}
        assert await after.cluster.backend("gpu").find() == {}
        states = await backend.status({s.launch_id: s.handle for s in (running, held, over)})
        assert [one.state for one in states.values()] == [State.RUNNING, State.PENDING, State.GONE]
        assert "holds it" in states[held.launch_id].reason


async def test_a_session_that_slurmctld_has_forgotten_is_known_by_slurmdbd(
    ours: Ours, way: tuple[DemoCluster, Kind]
) -> None:
    session = await ours.start("exit 3")
    await ours.do(lambda: ours.demo.sacct(session.job, has_ended=True))
    async with connected(*way) as after:
        transport = after.cluster.transport
        every = transport.jobs

        async def without() -> tuple[object, ...]:
            return tuple(job for job in await every() if job.id != session.job)

        transport.jobs = without  # type: ignore[method-assign, assignment]
        backend = after.cluster.backend("cpu")
        status = (await backend.status({session.launch_id: session.handle}))[session.launch_id]
        assert status.state is State.GONE
        # The 0.0.38 of slurmdbd says 0 for every job that failed.
        assert ("exit code 3" if way[1] == "cli" else "It failed with") in status.reason
        assert await backend.find_ended({session.launch_id: "maja"}) == {session.launch_id: session.handle}


async def test_time_is_extended_and_more_than_the_partition_allows_is_refused(ours: Ours) -> None:
    session = await ours.start()
    await session.wait(State.RUNNING)
    located = await session.backend.locate(session.launch_id, session.handle)
    assert located.started_at is not None
    deadline = located.started_at + timedelta(hours=2)
    await session.backend.set_deadline(session.launch_id, session.handle, deadline)
    located = await session.backend.locate(session.launch_id, session.handle)
    assert located.ends_at == deadline
    await ours.cluster.watcher.with_limits(timeout_s=20)
    await session.backend.set_deadline(session.launch_id, session.handle, deadline)
    assert ours.cluster.watcher.queries["set_time_limit"] == 1
    with pytest.raises(BackendError, match="Partition cpu allows a session 2 days at most"):
        await session.backend.set_deadline(
            session.launch_id, session.handle, located.started_at + timedelta(days=3)
        )


async def test_free_resources_offer_and_expected_start(ours: Ours) -> None:
    backend = ours.cluster.backend("gpu")
    free = await backend.availability()
    assert free.is_reachable
    assert (free.cpus_total, free.gpus_total, free.nodes_total) == (32, 4, 1)
    assert {(gpus.type, gpus.total) for gpus in free.gpus} == {("a100", 3), ("v100", 1)}
    offer = await backend.offer(ours.account("maja"))
    assert offer.why_not is None
    assert {"ma5501", "default"} <= set(offer.accounts)
    assert offer.max_walltime == timedelta(days=1)
    ask = Ask(ours.account("maja"), Size("s", "S", 1, 200, 1, "a100"), timedelta(minutes=30))
    forecast = await backend.forecast(ask)
    # slurmrestd has no question for it.
    assert forecast.basis == ("scheduler" if ours.kind == "cli" else "estimate")
    assert forecast.is_now(utcnow())
    await backend.admit(ours.plan("maja", account="ma5501", gpus=1))
    with pytest.raises(NotAdmittedError):
        await backend.admit(ours.plan("maja", account="es1107"))


async def test_a_job_from_inside_a_session_is_on_its_card(by_cli: Ours) -> None:
    session = await by_cli.start()
    await session.wait(State.RUNNING)
    words = {"wckey": mark(session.launch_id), "job_name": "fit"}
    inner = await by_cli.do(lambda: by_cli.demo.submit_for_test("maja", "sleep 60", **words))
    await by_cli.do(lambda: by_cli.demo.submit_for_test("yuki", "sleep 60", **words))
    await by_cli.do(by_cli.demo.wait_job, inner, "RUNNING")
    handles = {session.launch_id: session.handle}
    await by_cli.cluster.watcher.fresh(utcnow())
    (shown,) = (await session.backend.inner_jobs(handles))[session.launch_id]
    assert (shown.id, shown.name, shown.state) == (str(inner), "fit", "RUNNING")
    await by_cli.command("scancel", str(inner))
    await by_cli.do(by_cli.demo.wait_job, inner, "CANCELLED")
    await by_cli.cluster.watcher.fresh(utcnow())
    (shown,) = (await session.backend.inner_jobs(handles))[session.launch_id]
    assert shown.state == "CANCELLED"


async def test_many_sessions_are_followed_by_one_query_a_period(by_cli: Ours) -> None:
    sessions = await asyncio.gather(*(by_cli.start(memory_mib=100) for _ in range(12)))
    await asyncio.gather(*(session.wait(State.RUNNING) for session in sessions))
    watcher = by_cli.cluster.watcher
    handles = {session.launch_id: session.handle for session in sessions}
    before, began = watcher.queries["jobs"], asyncio.get_running_loop().time()
    for _ in range(100):
        await sessions[0].backend.status(handles)
    look = watcher.look
    assert look is not None
    await watcher.fresh(utcnow())
    passed = asyncio.get_running_loop().time() - began
    assert watcher.queries["jobs"] - before <= 2 + passed / by_cli.cluster.settings.poll_s


async def test_a_refused_submit_has_slurms_words(ours: Ours) -> None:
    with pytest.raises(BackendError) as caught:
        await ours.start(user="rui", account="hc4802", cpus=17)
    assert type(caught.value).__name__ == "SubmitError"
    assert "limit" in str(caught.value).lower() or "violates" in str(caught.value).lower()
