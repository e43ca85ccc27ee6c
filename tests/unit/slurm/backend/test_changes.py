"""Stop, time limit, and what is found again after a crash."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from spawners.backend import BackendError, BackendUnavailableError, EndCause
from spawners.slurm.deadline import limit_for
from spawners.slurm.models import AccountedJob, Association, JobState, Qos, mark
from spawners.slurm.transport import SlurmError
from tests.support.slurm_models import NOW, job, node, snapshot
from tests.support.slurm_scripted import Scripted
from tests.unit.slurm.backend.conftest import DOWN, HANDLE, LAUNCH, MINE, OTHER, RUN, MakeCluster

HOUR = timedelta(hours=1)
CANCELLED = replace(MINE, state=JobState.CANCELLED)

# --- stop -------------------------------------------------------------------------------------


async def test_a_stop_returns_when_the_job_has_left(make_cluster: MakeCluster) -> None:
    ending = replace(CANCELLED, flags=frozenset({"COMPLETING"}))
    transport = Scripted(jobs=[(MINE,), (ending,), (CANCELLED,)], cancel=[None], accounted=[(RUN,)])
    backend = make_cluster(transport).backend("cpu")
    await backend.stop(LAUNCH, HANDLE)
    assert [call for call in transport.calls if call[0] == "cancel"] == [("cancel", 7, "vera")]
    assert transport.count("jobs") >= 3
    await backend.stop(LAUNCH, HANDLE)
    assert transport.count("cancel") == 1
    usage = await backend.usage(LAUNCH, HANDLE)
    assert usage is not None
    assert usage.cause is EndCause.STOPPED


async def test_who_may_no_longer_cancel_has_it_done_by_the_service(make_cluster: MakeCluster) -> None:
    transport = Scripted(cancel=[SlurmError("Invalid user"), None])
    await make_cluster(transport).backend("cpu").stop(LAUNCH, HANDLE)
    assert [call for call in transport.calls if call[0] == "cancel"] == [
        ("cancel", 7, "vera"),
        ("cancel", 7, "panhub"),
    ]


@pytest.mark.parametrize(
    "script",
    [
        {"cancel": [DOWN]},
        {"cancel": [SlurmError("no"), SlurmError("never")]},
        {"cancel": [None], "jobs": [DOWN]},
    ],
)
async def test_a_stop_that_is_not_known_to_have_worked_says_so(
    make_cluster: MakeCluster, script: dict[str, list[object]]
) -> None:
    with pytest.raises(BackendUnavailableError):
        await make_cluster(Scripted(**script)).backend("cpu").stop(LAUNCH, HANDLE)


async def test_a_job_that_does_not_end_is_cancelled_again_and_given_up_for_now(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawners.slurm.backend._STOP_S", 0.5)
    monkeypatch.setattr("spawners.slurm.backend._CANCEL_AGAIN_S", 0.0)
    transport = Scripted(jobs=[(MINE,)], cancel=[None])
    with pytest.raises(BackendUnavailableError, match="does not end"):
        await make_cluster(transport).backend("cpu").stop(LAUNCH, HANDLE)
    assert transport.count("cancel") >= 2


# --- time limit -------------------------------------------------------------------------------

SHORT = Qos("short", max_wall=2 * HOUR)
STAFF = Association("staff", user="vera", max_wall=8 * HOUR, qos=("normal", "short"))
SITE = snapshot(
    node("cpu1"),
    partitions={"cpu": {"max_time": 4 * HOUR}},
    associations=(STAFF,),
    qos=(SHORT, Qos("normal")),
)
TIMED = replace(MINE, time_limit=HOUR, qos="normal")


@pytest.mark.parametrize(
    ("until", "limit"),
    [
        (HOUR, None),
        (HOUR - timedelta(seconds=20), None),
        (2 * HOUR, 2 * HOUR),
        (HOUR + timedelta(seconds=1), HOUR + timedelta(minutes=1)),
        (4 * HOUR, 4 * HOUR),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(0), timedelta(minutes=1)),
    ],
)
def test_the_limit_counts_from_the_start_in_whole_minutes(until: timedelta, limit: timedelta | None) -> None:
    assert limit_for(SITE, TIMED, NOW + until) == limit


@pytest.mark.parametrize(
    ("changed", "until", "text"),
    [
        ({}, 5 * HOUR, r"Partition cpu allows a session 4 hours at most"),
        ({"qos": "short"}, 3 * HOUR, r"QOS short allows a session 2 hours at most"),
        ({"state": JobState.PENDING}, 2 * HOUR, "has not started yet"),
        ({"state": JobState.COMPLETED}, 2 * HOUR, "has ended"),
    ],
)
def test_more_than_the_site_allows_is_refused_in_plain_words(
    changed: dict[str, object], until: timedelta, text: str
) -> None:
    with pytest.raises(BackendError, match=text):
        limit_for(SITE, replace(TIMED, **changed), NOW + until)


def test_less_than_it_has_is_never_refused() -> None:
    long = replace(TIMED, time_limit=48 * HOUR)
    assert limit_for(SITE, long, NOW + 24 * HOUR) == 24 * HOUR


async def test_a_deadline_becomes_the_jobs_time_limit(make_cluster: MakeCluster) -> None:
    transport = Scripted(jobs=[(TIMED,)], set_time_limit=[None])
    backend = make_cluster(transport).backend("cpu")
    await backend.set_deadline(LAUNCH, HANDLE, NOW + 2 * HOUR)
    assert ("set_time_limit", 7, 2 * HOUR) in transport.calls
    transport.say("set_time_limit", SlurmError("Requested time limit is invalid"))
    with pytest.raises(BackendError, match="Requested time limit is invalid"):
        await backend.set_deadline(LAUNCH, HANDLE, NOW + 3 * HOUR)


async def test_a_deadline_that_holds_already_asks_slurm_nothing(make_cluster: MakeCluster) -> None:
    await make_cluster(Scripted(jobs=[(TIMED,)])).backend("cpu").set_deadline(LAUNCH, HANDLE, NOW + HOUR)


@pytest.mark.parametrize("jobs", [DOWN, ()])
async def test_a_deadline_that_cannot_be_set_says_so(make_cluster: MakeCluster, jobs: object) -> None:
    with pytest.raises(BackendError):
        await make_cluster(Scripted(jobs=[jobs])).backend("cpu").set_deadline(LAUNCH, HANDLE, NOW + HOUR)


# --- find -------------------------------------------------------------------------------------


async def test_what_lives_in_the_partition_is_found_pending_ones_included(make_cluster: MakeCluster) -> None:
    jobs = (
        MINE,
        job(8, user="otto", comment=mark(OTHER)),
        job(9, "gpu1", user="otto", comment=mark("1" * 16), partition="gpu"),
        replace(CANCELLED, id=10, comment=mark("2" * 16)),
        job(11, "cpu1", comment="panhub:not one of ours"),
        job(12, user="otto", comment=mark("3" * 16), partition="gpu,cpu"),
    )
    backend = make_cluster(Scripted(jobs=[jobs])).backend("cpu")
    assert await backend.find() == {
        LAUNCH: HANDLE,
        OTHER: {"cluster": "pan", "job": 8, "user": "otto"},
        "3" * 16: {"cluster": "pan", "job": 12, "user": "otto"},
    }


async def test_find_asks_anew(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(jobs=[(), (MINE,)])).backend("cpu")
    assert await backend.find() == {}
    assert await backend.find() == {LAUNCH: HANDLE}


async def test_a_silent_cluster_finds_nothing_and_says_so(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(jobs=[DOWN])).backend("cpu")
    with pytest.raises(BackendUnavailableError):
        await backend.find()
    with pytest.raises(BackendUnavailableError):
        await backend.find_ended({LAUNCH: "vera"})


@pytest.mark.parametrize(("known", "kept", "cancelled"), [(None, 7, 8), (7, 7, 8), (8, 8, 7)])
async def test_of_two_jobs_for_one_launch_one_is_kept(
    make_cluster: MakeCluster, known: int | None, kept: int, cancelled: int
) -> None:
    transport = Scripted(jobs=[(replace(MINE, id=8), MINE)], cancel=[None])
    backend = make_cluster(transport).backend("cpu")
    if known is not None:
        await backend.status({LAUNCH: {**HANDLE, "job": known}})
    assert await backend.find() == {LAUNCH: {**HANDLE, "job": kept}}
    assert [call for call in transport.calls if call[0] == "cancel"] == [("cancel", cancelled, "vera")]


async def test_a_job_with_anothers_mark_is_neither_taken_nor_ended(
    make_cluster: MakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    forged = replace(MINE, id=6, user="mallory")
    transport = Scripted(jobs=[(forged, MINE)])  # and no script for cancel: it must not be called
    backend = make_cluster(transport).backend("cpu")
    await backend.status({LAUNCH: HANDLE})
    assert await backend.find() == {LAUNCH: HANDLE}
    assert await backend.find() == {LAUNCH: HANDLE}
    assert caplog.text.count("not theirs") == 1


async def test_what_ended_meanwhile_is_found_by_slurmctld_or_slurmdbd(make_cluster: MakeCluster) -> None:
    late = replace(RUN, id=9, comment=mark(OTHER))
    transport = Scripted(jobs=[(CANCELLED,)], accounted_since=[(late,)])
    backend = make_cluster(transport).backend("cpu")
    assert await backend.find() == {}
    assert await backend.find_ended({LAUNCH: "vera", OTHER: "vera"}) == {
        LAUNCH: HANDLE,
        OTHER: {**HANDLE, "job": 9},
    }
    assert await backend.find_ended({LAUNCH: "vera"}) == {LAUNCH: HANDLE}
    assert transport.count("accounted_since") == 1
    assert await backend.find_ended({}) == {}


@pytest.mark.parametrize(
    "run", [replace(RUN, user="mallory"), replace(RUN, partition="gpu"), replace(RUN, comment="")]
)
async def test_what_is_not_the_launchs_is_not_found(make_cluster: MakeCluster, run: AccountedJob) -> None:
    backend = make_cluster(Scripted(accounted_since=[(run,)])).backend("cpu")
    assert await backend.find_ended({LAUNCH: "vera"}) == {}


async def test_while_slurmdbd_is_down_nothing_is_taken_for_lost(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(accounted_since=[DOWN])).backend("cpu")
    with pytest.raises(BackendUnavailableError, match="accounting"):
        await backend.find_ended({LAUNCH: "vera"})
