"""What is free, offered and when it would start; jobs from inside sessions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from spawners.backend import BackendUnavailableError, Forecast, NotAdmittedError
from spawners.plan import LaunchId
from spawners.slurm.models import Association, JobState, Qos, mark
from spawners.slurm.transport import SlurmError, SlurmUnavailableError
from tests.support.slurm_models import NOW, VERA, ask, job, node, plan, snapshot
from tests.support.slurm_scripted import Scripted, now
from tests.unit.slurm.backend.conftest import MakeCluster

DOWN = SlurmUnavailableError("no answer")
LAUNCH = LaunchId("0123456789abcdef")
HANDLE = {"cluster": "pan", "job": 7, "user": "vera"}
SITE = snapshot(node("cpu1"), partitions={"cpu": {"max_time": timedelta(hours=4)}})
STAFF = Association("staff", user="vera", is_default=True, qos=("normal",), default_qos="normal")


def site(**script: object) -> Scripted:
    """A cluster of one node where vera has an account."""
    lists = {"partitions": [SITE.partitions], "nodes": [SITE.nodes], "associations": [(STAFF,)]}
    return Scripted(**{**lists, "qos": [(Qos("normal"),)], **script})


async def test_availability_is_that_of_the_snapshot(make_cluster: MakeCluster) -> None:
    transport = site()
    backend = make_cluster(transport).backend("cpu")
    free = [await backend.availability() for _ in range(20)][-1]
    assert (free.is_reachable, free.cpus_free, free.cpus_total, free.is_isolated) == (True, 32, 32, True)
    assert transport.count("nodes") == 1


async def test_a_silent_cluster_offers_nothing_and_says_so(make_cluster: MakeCluster) -> None:
    backend = make_cluster(Scripted(jobs=[DOWN])).backend("cpu")
    free = await backend.availability()
    assert (free.is_reachable, free.note) == (False, "Slurm does not answer.")
    assert await backend.forecast(ask()) == Forecast(None)
    for question in (backend.offer(VERA), backend.admit(plan())):
        with pytest.raises(BackendUnavailableError):
            await question


async def test_without_accounting_limits_are_not_known(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawners.slurm.outlook._WAIT_S", 0.05)
    backend = make_cluster(site(associations=[DOWN])).backend("cpu")
    with pytest.raises(BackendUnavailableError, match="accounting"):
        await backend.offer(VERA)
    assert (await backend.availability()).is_reachable


async def test_an_offer_and_a_refusal_are_by_slurms_limits(make_cluster: MakeCluster) -> None:
    backend = make_cluster(site()).backend("cpu")
    offer = await backend.offer(VERA)
    assert (offer.accounts, offer.max_cpus, offer.max_walltime) == (("staff",), 32, timedelta(hours=4))
    await backend.admit(plan(8, hours=4))
    with pytest.raises(NotAdmittedError):
        await backend.admit(plan(8, hours=5))
    with pytest.raises(NotAdmittedError):
        await backend.admit(plan(64))


async def test_the_scheduler_is_asked_once_for_all_who_ask_the_same(make_cluster: MakeCluster) -> None:
    at = now() + timedelta(minutes=20)
    transport = site(expected_start=[at])
    backend = make_cluster(transport).backend("cpu")
    found = await asyncio.gather(*(backend.forecast(ask()) for _ in range(30)))
    assert set(found) == {Forecast(at, "scheduler")}
    assert transport.count("expected_start") == 1
    await backend.forecast(ask(16))
    assert transport.count("expected_start") == 2
    spec = next(call[1] for call in transport.calls if call[0] == "expected_start")
    assert (spec.user, spec.cpus, spec.comment) == ("vera", 8, "")


@pytest.mark.parametrize("answer", [None, DOWN, lambda spec: asyncio.sleep(60)])
async def test_a_scheduler_that_does_not_say_leaves_it_to_the_estimate(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr("spawners.slurm.outlook._FORECAST_S", 0.05)
    backend = make_cluster(site(expected_start=[answer])).backend("cpu")
    found = await backend.forecast(ask())
    assert found.basis == "estimate"
    assert found.is_now(now())
    await backend.aclose()


async def test_what_slurm_would_refuse_has_no_start(make_cluster: MakeCluster) -> None:
    backend = make_cluster(site(expected_start=[SlurmError("Invalid qos")])).backend("cpu")
    assert await backend.forecast(ask()) == Forecast(None)


async def test_jobs_from_inside_a_session_are_shown_with_their_state(make_cluster: MakeCluster) -> None:
    inner = job(20, "cpu1", user="vera", name="fit", wckey=mark(LAUNCH), starts_at=NOW)
    other = job(21, "cpu1", user="mallory", name="forged", wckey=mark(LAUNCH))
    waiting = job(22, user="vera", name="more", wckey="*" + mark(LAUNCH), reason="Priority")
    transport = Scripted(jobs=[(inner, other, waiting)])
    cluster = make_cluster(transport)
    backend = cluster.backend("cpu")
    await cluster.watcher.fresh(now())

    async def shown() -> list[tuple[str, str]]:
        await cluster.watcher.fresh(now())
        found = await backend.inner_jobs({LAUNCH: HANDLE})
        return [(one.name, one.state) for one in found.get(LAUNCH, ())]

    assert await shown() == [("fit", "RUNNING"), ("more", "PENDING")]
    done = replace(inner, state=JobState.COMPLETED, ends_at=NOW)
    transport.say("jobs", (done, replace(waiting, state=JobState.RUNNING, nodes=("cpu1",))))
    assert await shown() == [("fit", "COMPLETED"), ("more", "RUNNING")]
    transport.say("jobs", ())  # ended ones stay; how the other ended nobody knows
    assert await shown() == [("fit", "COMPLETED")]
    transport.say("jobs", DOWN)
    found = await backend.inner_jobs({LAUNCH: HANDLE})
    assert [one.name for one in found[LAUNCH]] == ["fit"]
    assert await backend.inner_jobs({LaunchId("0" * 16): HANDLE}) == {}
