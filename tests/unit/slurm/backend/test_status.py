"""Gone is what Slurm says has ended; everything else it does not say is unknown."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from spawners.backend import EndCause, State, Status
from spawners.plan import Credentials, LaunchId
from spawners.slurm import statuses
from spawners.slurm.backend import SlurmBackend
from spawners.slurm.cluster import SlurmCluster
from spawners.slurm.models import JobState, mark
from spawners.slurm.pace import Pace
from spawners.slurm.transport import SlurmError
from tests.support.slurm_models import job, node, plan
from tests.support.slurm_scripted import Scripted
from tests.unit.slurm.backend.conftest import DOWN, HANDLE, LAUNCH, MINE, OTHER, RUN, MakeCluster

ENDED = replace(MINE, state=JobState.COMPLETED)
CREDENTIALS = Credentials({"JUPYTERHUB_API_TOKEN": "t"}, "http://engine/internal/reports/x", "s")


async def ask(backend: SlurmBackend) -> Status:
    return (await backend.status({LAUNCH: HANDLE}))[LAUNCH]


async def again(backend: SlurmBackend) -> Status:
    """By a look that is newer than all that was done."""
    return await backend.locate(LAUNCH, HANDLE)


async def stale(cluster: SlurmCluster) -> None:
    """Wait until a silent cluster's last look says nothing any more."""
    async with asyncio.timeout(10):
        while not cluster.watcher.is_stale:
            await cluster.watcher._round_done.wait()


# --- start ------------------------------------------------------------------------------------


async def test_a_start_hands_over_a_job_that_carries_the_launch(make_cluster: MakeCluster) -> None:
    transport = Scripted(submit=[123])
    backend = make_cluster(transport).backend("cpu")
    steps = [step async for step in backend.start(plan(), CREDENTIALS)]
    assert [dict(step.handle) for step in steps] == [{"cluster": "pan", "job": 123, "user": "vera"}]
    assert steps[0].message == "Handed to Slurm as job 123 in partition cpu."
    spec = transport.calls[0][1]
    assert (spec.user, spec.partition, spec.comment) == ("vera", "cpu", mark(LAUNCH))


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            SlurmError("Job violates accounting/QOS policy"),
            "SubmitError",
            "Job violates accounting/QOS policy",
        ),
        (DOWN, "BackendUnavailableError", "does not answer"),
    ],
)
async def test_a_refused_submit_is_told_from_one_that_is_not_known(
    make_cluster: MakeCluster, answer: Exception, error: str, text: str
) -> None:
    backend = make_cluster(Scripted(submit=[answer])).backend("cpu")
    with pytest.raises(Exception, match=text) as caught:
        [step async for step in backend.start(plan(), CREDENTIALS)]
    assert type(caught.value).__name__ == error


async def test_a_job_that_was_just_submitted_is_pending_before_the_next_look(
    make_cluster: MakeCluster,
) -> None:
    transport = Scripted(submit=[7])
    backend = make_cluster(transport).backend("cpu")
    await backend.find()
    [step async for step in backend.start(plan(), CREDENTIALS)]
    assert await ask(backend) == statuses.HANDED_OVER
    transport.say("jobs", (MINE,))
    assert (await again(backend)).state is State.RUNNING


# --- status -----------------------------------------------------------------------------------


async def test_a_thousand_sessions_are_one_query(make_cluster: MakeCluster) -> None:
    numbers = range(1000)
    jobs = tuple(job(n, "cpu1", user="vera", comment=mark(f"{n:016x}")) for n in numbers)
    transport = Scripted(jobs=[jobs])
    cluster = make_cluster(transport)
    handles = {LaunchId(f"{n:016x}"): {"cluster": "pan", "job": n, "user": "vera"} for n in numbers}
    found = await cluster.backend("cpu").status(handles)
    assert {status.state for status in found.values()} == {State.RUNNING}
    assert cluster.watcher.queries["jobs"] == 1
    assert set(cluster.watcher.queries) <= {
        "jobs",
        "nodes",
        "partitions",
        "reservations",
        "associations",
        "qos",
    }


async def test_a_large_cluster_keeps_no_loop_busy(make_cluster: MakeCluster) -> None:
    """350 sessions among 10,000 jobs on 5,000 nodes; the watch of event loops fails what blocks one."""
    numbers = range(350)
    nodes = tuple(node(f"n{n}", address=f"10.0.{n // 250}.{n % 250}") for n in range(5000))
    sessions = tuple(job(n, f"n{4000 + n}", user="vera", comment=mark(f"{n:016x}")) for n in numbers)
    others = tuple(job(n, f"n{n % 5000}") for n in range(1000, 11000))
    cluster = make_cluster(Scripted(jobs=[(*others, *sessions)], nodes=[nodes]))
    cluster.watcher._pace = Pace(poll_s=2, poll_idle_s=15)
    backend = cluster.backend("cpu")
    handles = {LaunchId(f"{n:016x}"): {"cluster": "pan", "job": n, "user": "vera"} for n in numbers}
    await backend.status(handles)
    began = time.thread_time()
    found = await backend.status(handles)
    assert time.thread_time() - began < 0.1  # of this thread, whatever the machine does
    assert found[LaunchId(f"{1:016x}")].host == "10.0.16.1"
    assert len(await backend.find()) == 350
    assert (await backend.availability()).is_reachable


async def test_what_was_seen_to_end_stays_gone_when_slurmctld_forgets_it(make_cluster: MakeCluster) -> None:
    transport = Scripted(jobs=[(ENDED,)])  # and no script for slurmdbd: it must not be asked
    backend = make_cluster(transport).backend("cpu")
    gone = await ask(backend)
    assert gone.state is State.GONE
    transport.say("jobs", ())
    assert await again(backend) == gone
    transport.say("jobs", DOWN)
    assert await again(backend) == gone


async def test_what_slurmctld_has_forgotten_is_gone_if_slurmdbd_says_so(make_cluster: MakeCluster) -> None:
    transport = Scripted(accounted=[(RUN,)])
    cluster = make_cluster(transport)
    backend = cluster.backend("cpu")
    gone = Status(State.GONE, "It was cancelled by root.")
    assert await ask(backend) == gone
    assert ("accounted", (7,)) in transport.calls
    transport.say("jobs", DOWN)
    await again(backend)
    await stale(cluster)
    assert await ask(backend) == gone


@pytest.mark.parametrize(
    "runs",
    [
        (),
        (replace(RUN, state=JobState.RUNNING, ended_at=None),),
        (replace(RUN, comment=mark(OTHER)),),
        (replace(RUN, user="otto", comment=""),),
        DOWN,
        SlurmError("not allowed"),
    ],
)
async def test_what_neither_speaks_for_is_unknown(make_cluster: MakeCluster, runs: object) -> None:
    backend = make_cluster(Scripted(accounted=[runs])).backend("cpu")
    assert await ask(backend) == statuses.NOT_LISTED
    assert statuses.NOT_LISTED.state is State.UNKNOWN


@pytest.mark.parametrize(
    "listed", [replace(MINE, comment=mark(OTHER)), replace(MINE, user="otto", comment="")]
)
async def test_a_job_of_somebody_else_with_the_same_id_is_not_the_session(
    make_cluster: MakeCluster, listed: object
) -> None:
    backend = make_cluster(Scripted(jobs=[(listed,)], accounted=[()])).backend("cpu")
    assert (await ask(backend)).state is State.UNKNOWN


async def test_a_session_whose_comment_its_owner_changed_is_still_theirs(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(jobs=[(replace(MINE, comment="my notes"),)])).backend("cpu")
    assert (await ask(backend)).state is State.RUNNING


async def test_a_silent_cluster_is_unknown_and_nothing_ends(make_cluster: MakeCluster) -> None:
    transport = Scripted(jobs=[(MINE,), DOWN])
    cluster = make_cluster(transport)
    backend = cluster.backend("cpu")
    assert (await ask(backend)).state is State.RUNNING
    await stale(cluster)
    assert await ask(backend) == statuses.SILENT
    transport.say("jobs", (MINE,))
    assert (await again(backend)).state is State.RUNNING


async def test_a_cluster_that_never_answered_is_unknown_at_once(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(jobs=[DOWN])).backend("cpu")
    async with asyncio.timeout(2):
        assert await ask(backend) == statuses.SILENT
        assert await again(backend) == statuses.SILENT


@pytest.mark.parametrize(
    "handle", [{}, {"cluster": "far", "job": 7, "user": "vera"}, {"cluster": "pan", "job": "7"}]
)
async def test_a_handle_of_elsewhere_is_unknown(make_cluster: MakeCluster, handle: dict[str, object]) -> None:
    backend = make_cluster(Scripted()).backend("cpu")
    assert (await backend.status({LAUNCH: handle}))[LAUNCH] == statuses.ELSEWHERE
    assert await backend.usage(LAUNCH, handle) is None


async def test_an_end_that_takes_too_long_is_an_end(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = replace(ENDED, flags=frozenset({"COMPLETING"}))
    backend = make_cluster(Scripted(jobs=[(ending,)])).backend("cpu")
    assert (await ask(backend)).state is State.RUNNING
    monkeypatch.setattr("spawners.slurm.memory.LONGEST_END", timedelta(0))
    assert (await ask(backend)).state is State.GONE


async def test_a_job_requeued_by_hand_after_its_end_is_alive_again(make_cluster: MakeCluster) -> None:
    # Between two runs slurmdbd knows of an end that is none.
    transport = Scripted(jobs=[(ENDED,)], accounted=[(RUN,)])
    backend = make_cluster(transport).backend("cpu")
    assert (await ask(backend)).state is State.GONE
    transport.say("jobs", (replace(MINE, state=JobState.PENDING, restarts=1),))
    assert (await again(backend)).state is State.PENDING
    assert await backend.usage(LAUNCH, HANDLE) is None


# --- usage ------------------------------------------------------------------------------------


async def test_use_is_settled_when_slurmdbd_has_the_end(make_cluster: MakeCluster) -> None:
    unfinished = replace(RUN, state=JobState.RUNNING, ended_at=None)
    transport = Scripted(jobs=[(ENDED,)], accounted=[DOWN, (unfinished,), (RUN,)])
    cluster = make_cluster(transport)
    backend = cluster.backend("cpu")
    await ask(backend)
    assert await backend.usage(LAUNCH, HANDLE) is None
    assert await backend.usage(LAUNCH, HANDLE) is None
    assert transport.count("accounted") == 1  # one that is silent is left alone for a while
    cluster.accounting._not_before = 0
    assert await backend.usage(LAUNCH, HANDLE) is None
    cluster.accounting._not_before = 0
    usage = await backend.usage(LAUNCH, HANDLE)
    assert usage is not None
    assert (usage.elapsed_seconds, usage.cause, usage.detail) == (90, EndCause.CANCELLED, "CANCELLED by root")
    assert await backend.usage(LAUNCH, HANDLE) == usage
    assert transport.count("accounted") == 3


async def test_all_that_ended_are_asked_about_in_one_query(make_cluster: MakeCluster) -> None:
    numbers = range(1, 41)
    runs = tuple(replace(RUN, id=n, comment=mark(f"{n:016x}")) for n in numbers)
    transport = Scripted(accounted=[runs])
    backend = make_cluster(transport).backend("cpu")
    handles = {LaunchId(f"{n:016x}"): {"cluster": "pan", "job": n, "user": "vera"} for n in numbers}
    found = await backend.status(handles)
    assert {status.state for status in found.values()} == {State.GONE}
    for launch_id, handle in handles.items():
        assert await backend.usage(launch_id, handle) is not None
    assert transport.count("accounted") == 1


async def test_a_forgotten_session_leaves_nothing_behind(make_cluster: MakeCluster) -> None:
    transport = Scripted(jobs=[(ENDED,)], accounted=[(RUN,)])
    cluster = make_cluster(transport)
    backend = cluster.backend("cpu")
    await ask(backend)
    await backend.usage(LAUNCH, HANDLE)
    await backend.inner_jobs({LAUNCH: HANDLE})
    await backend.forget(LAUNCH, HANDLE)
    memory = cluster.memory
    assert not any(
        (memory.links, memory.stopped, memory._gone, memory._submitted, memory._ending, memory._inner)
    )
    assert not any((cluster.accounting._final, cluster.accounting._wanted))
