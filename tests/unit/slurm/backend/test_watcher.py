"""One watcher: one query for everybody, an outage said once, nodes only while somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from spawners.slurm import watcher as module
from spawners.slurm.look import NEVER, index
from spawners.slurm.models import JobState, Qos, mark
from spawners.slurm.transport import SlurmUnavailableError
from spawners.slurm.watcher import ClusterWatcher
from tests.support.slurm_models import job, node, snapshot
from tests.support.slurm_scripted import QUICK, WORLD, Scripted, now

LAUNCH = "0123456789abcdef"
OURS = job(7, "cpu1", comment=mark(LAUNCH))
DOWN = SlurmUnavailableError("Unable to contact slurm controller")

Make = Callable[[Scripted], ClusterWatcher]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[ClusterWatcher] = []

    def new(transport: Scripted) -> ClusterWatcher:
        made.append(ClusterWatcher("pan", transport, poll_s=QUICK.poll_s, poll_idle_s=QUICK.poll_idle_s))
        made[-1]._pace = QUICK
        return made[-1]

    yield new
    for one in made:
        await one.aclose()


async def rounds(watcher: ClusterWatcher, count: int) -> None:
    """Let so many looks come by themselves."""
    target = watcher.queries["jobs"] + count
    async with asyncio.timeout(10):
        while watcher.queries["jobs"] < target:
            await watcher._round_done.wait()


async def test_all_who_wait_share_one_query(make: Make) -> None:
    transport = Scripted(jobs=[tuple(job(n, comment=mark(f"{n:016x}")) for n in range(350))])
    watcher = make(transport)
    looks = await asyncio.gather(*(watcher.fresh(now()) for _ in range(500)))
    assert transport.count("jobs") <= 2
    assert len(looks[0].ours) == 350
    assert watcher.queries == {name: transport.count(name) for name in {call[0] for call in transport.calls}}


async def test_a_fresh_look_was_asked_for_after_the_moment(make: Make) -> None:
    transport = Scripted(jobs=[(), (OURS,)])
    watcher = make(transport)
    before = await watcher.fresh(now())
    moment = now()
    after = await watcher.fresh(moment)
    assert before.taken_at < moment <= after.taken_at
    assert (before.jobs, list(after.jobs)) == ({}, [7])


async def test_a_running_session_alone_is_asked_about_seldom(make: Make) -> None:
    watcher = make(Scripted(jobs=[(OURS,)]))
    await watcher.fresh(now())
    watcher._changed -= 1000
    assert watcher._delay() == QUICK.poll_idle_s
    watcher.expect_change()
    assert watcher._delay() == QUICK.poll_s


@pytest.mark.parametrize(
    "changing",
    [
        replace(OURS, state=JobState.PENDING, nodes=()),
        replace(OURS, state=JobState.COMPLETED, flags=frozenset({"COMPLETING"})),
        replace(OURS, flags=frozenset({"CONFIGURING"})),
        replace(OURS, ends_at=snapshot().taken_at),
    ],
)
def test_what_waits_starts_or_ends_is_changing(changing: object) -> None:
    assert index(snapshot(jobs=(changing,))).is_changing()
    assert not index(snapshot(jobs=(OURS,))).is_changing()
    assert not index(snapshot(jobs=(replace(changing, comment=""),))).is_changing()


async def test_an_outage_keeps_the_last_look_and_is_said_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Scripted(jobs=[(OURS,), DOWN])
    watcher = make(transport)
    first = await watcher.fresh(now())
    with caplog.at_level(logging.WARNING):
        with pytest.raises(SlurmUnavailableError, match="Unable to contact"):
            await watcher.fresh(now())
        assert not watcher.is_stale
        async with asyncio.timeout(10):
            while not watcher.is_stale:
                await rounds(watcher, 1)
        assert transport.count("jobs") > 5
        assert watcher.look is first
        assert "Unable to contact" in watcher.error
        assert len(caplog.records) == 1
        transport.say("jobs", (OURS,))
        await rounds(watcher, 3)
        assert not watcher.is_stale
        assert watcher.error == ""
        assert len(caplog.records) == 2
    assert "answered again" in caplog.text


async def test_a_fault_of_a_transport_is_an_outage_with_its_traceback(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Scripted(jobs=[ValueError("cannot read this")])
    watcher = make(transport)
    with pytest.raises(SlurmUnavailableError, match="cannot read this"):
        await watcher.fresh(now())
    assert caplog.records[0].exc_info
    transport.say("jobs", ())
    await rounds(watcher, 1)
    assert (await watcher.fresh(now())).jobs == {}


async def test_a_transport_that_hangs_keeps_nobody_waiting(make: Make) -> None:
    watcher = make(Scripted(jobs=[lambda: asyncio.Event().wait()]))
    with pytest.raises(SlurmUnavailableError, match="did not answer within"):
        await watcher.fresh(now(), timeout_s=0.05)
    assert await watcher.first(timeout_s=0.05) is None


async def test_nodes_are_asked_for_only_while_somebody_looks(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESOURCES_S", 0.0)
    transport = Scripted()
    watcher = make(transport)
    await watcher.fresh(now())
    watcher._resources_looked -= 3600
    await rounds(watcher, 1)
    asked = transport.count("nodes")
    await rounds(watcher, 4)
    assert transport.count("nodes") == asked
    look = await watcher.with_resources(max_age_s=0.0, timeout_s=1)
    await rounds(watcher, 3)
    assert transport.count("nodes") >= asked + 3
    assert look is not None
    assert look.snapshot.nodes == WORLD.nodes


async def test_nodes_that_are_known_are_not_asked_for_again_at_once(make: Make) -> None:
    transport = Scripted()
    watcher = make(transport)
    for _ in range(20):
        await watcher.with_resources(max_age_s=30, timeout_s=1)
    await rounds(watcher, 3)
    assert transport.count("nodes") == transport.count("partitions") == transport.count("reservations") == 1


async def test_changed_jobs_bring_nodes_anew_but_not_every_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESOURCES_CHANGED_S", 0.0)
    transport = Scripted(jobs=[(), (job(1),), (job(1), job(2))])
    watcher = make(transport)
    await watcher.with_resources(max_age_s=30, timeout_s=1)
    await rounds(watcher, 6)
    assert transport.count("nodes") == 3
    monkeypatch.setattr(module, "_RESOURCES_CHANGED_S", 10.0)
    transport.say("jobs", *[(job(n),) for n in range(9)])
    await rounds(watcher, 9)
    assert transport.count("nodes") == 3


async def test_nodes_that_do_not_answer_leave_the_jobs_known(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Scripted(jobs=[(OURS,)], nodes=[DOWN])
    watcher = make(transport)
    look = await watcher.fresh(now())
    assert (list(look.jobs), look.snapshot.resources_at) == ([7], NEVER)
    assert not watcher.is_stale
    transport.say("nodes", (node("cpu9"),))
    await watcher.with_resources(max_age_s=30, timeout_s=5)
    assert watcher.look is not None
    assert [one.name for one in watcher.look.snapshot.nodes] == ["cpu9"]
    assert "list of nodes" in caplog.text


async def test_a_session_on_a_node_that_is_not_known_brings_the_nodes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESOURCES_CHANGED_S", 0.0)
    transport = Scripted(
        jobs=[(), (replace(OURS, nodes=("new1",)),)], nodes=[(), (node("new1", address="a"),)]
    )
    watcher = make(transport)
    await watcher.fresh(now())
    watcher._resources_looked -= 3600
    await watcher.fresh(now())
    look = await watcher.fresh(now())
    assert look.address("new1") == "a"
    asked = transport.count("nodes")
    await rounds(watcher, 3)
    assert transport.count("nodes") == asked


async def test_accounting_that_is_down_leaves_the_jobs_known(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LIMITS_RETRY_S", 0.01)
    transport = Scripted(associations=[DOWN, DOWN, ()], qos=[(Qos("normal"),)])
    watcher = make(transport)
    assert (await watcher.fresh(now())).snapshot.limits_at == NEVER
    known = await watcher.with_limits(timeout_s=5)
    assert known is not None
    assert [one.name for one in known.qos] == ["normal"]
    later = await watcher.fresh(now())
    assert later.snapshot.limits_at == known.limits_at != NEVER
    assert transport.count("qos") == 1


async def test_news_are_what_changed_of_ours(make: Make) -> None:
    foreign = job(1, "cpu1")
    transport = Scripted(jobs=[(OURS,)])
    watcher = make(transport)
    await watcher.fresh(now())
    news = asyncio.create_task(watcher.wait_for_news())
    transport.say("jobs", (OURS, foreign))
    await rounds(watcher, 2)
    assert not news.done()
    transport.say("jobs", (replace(OURS, state=JobState.COMPLETED), foreign))
    look = await asyncio.wait_for(news, 5)
    assert look.jobs[7].state is JobState.COMPLETED
