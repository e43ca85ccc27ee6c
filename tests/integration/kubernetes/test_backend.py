"""The life of sessions in pods of a real cluster, as a service account with the chart's rights."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from spawners.backend import EndCause, State, SubmitError
from spawners.plan import Size
from tests.support.kubernetes_backends import Ours, Session, Site, connected, remove_all


def _times(pod: dict) -> tuple[datetime, datetime]:
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return datetime.fromisoformat(ended["startedAt"]), datetime.fromisoformat(ended["finishedAt"])


async def test_a_session_is_started_followed_stopped_and_charged_as_its_pod_says(ours: Ours) -> None:
    session = await ours.start()
    running = await session.wait(State.RUNNING)
    pod = await session.pod()
    assert running.host == pod["status"]["podIP"]
    assert running.node == ours.site.cluster.node
    assert await ours.backend.usage(session.launch_id, session.handle) is None
    assert await ours.backend.find() == {session.launch_id: session.handle}
    await asyncio.sleep(1.1)  # so that there is something to charge
    await session.stop()
    assert (await session.status()).state is State.GONE
    used = await session.usage()
    began, ended = _times(await session.pod())
    assert (used.started_at, used.ended_at) == (began, ended)
    assert used.elapsed_seconds == (ended - began).total_seconds() >= 1
    assert (used.cpus, used.memory_mib, used.gpus) == (1, 64, 0)
    assert used.cause is EndCause.STOPPED
    await session.stop()
    await session.forget()
    assert await ours.backend.find() == {}
    await ours.until(lambda: not ours.site.objects("pods"), "the pod is there")
    await ours.until(lambda: not ours.site.objects("secrets"), "the secret is there")


async def test_how_a_session_ended_is_told_and_charged(ours: Ours) -> None:
    # All at once: a node takes a second or two for each.
    good, bad, told, hungry = await asyncio.gather(
        ours.start("sleep 1"),
        ours.start("sleep 1; echo last words; exit 3"),
        ours.start("exit 84"),
        ours.start("exec tail /dev/zero"),
    )
    await asyncio.gather(*(session.wait(State.GONE) for session in (good, bad, told, hungry)))
    assert (await good.usage()).cause is EndCause.EXITED
    used = await bad.usage()
    assert (used.cause, used.exit_code, used.detail) == (EndCause.EXITED, 3, "exit code 3")
    assert used.elapsed_seconds >= 1
    assert list(await ours.backend.log_tail(bad.launch_id, bad.handle)) == ["last words"]
    assert (await told.usage()).detail == "Its data cannot be read on the node."
    used = await hungry.usage()
    assert (used.cause, used.exit_code) == (EndCause.OUT_OF_MEMORY, 137)
    assert "more memory" in (await hungry.status()).reason


async def test_a_session_without_room_says_so_and_costs_nothing(ours: Ours) -> None:
    session = await ours.start(size=Size("huge", "Huge", cpus=1, memory_mib=10_000_000))
    waiting = await session.wait(State.PENDING, reason="no node has enough memory free")
    assert waiting.host is None
    await session.stop()
    assert (await session.status()).state is State.GONE
    used = await session.usage()
    assert (used.cause, used.elapsed_seconds) == (EndCause.STOPPED, 0)
    await session.forget()
    await ours.until(lambda: not ours.site.objects("pods"), "the pod is there")


async def test_an_image_that_is_not_there_ends_the_start_with_the_reason(ours: Ours) -> None:
    environment = ours.planned()[0].environment
    absent = replace(environment, container=f"localhost/absent@sha256:{'0' * 64}")
    session = await ours.start(environment=absent)
    gone = await session.wait(State.GONE)
    assert gone.reason.startswith("Its image could not be fetched: the node does not have it")
    used = await session.usage()
    assert (used.cause, used.elapsed_seconds, used.detail) == (EndCause.EXITED, 0, gone.reason)


async def test_a_restarted_engine_goes_on_with_what_runs_what_ended_and_what_was_cut_off(site: Site) -> None:
    async with connected(site) as first:
        runs, ended = await asyncio.gather(first.start(), first.start("exit 0"))
        await runs.wait(State.RUNNING)
        await ended.wait(State.GONE)
        plan, credentials = first.planned()
        start = first.backend.start(plan, credentials)
        cut = Session(first, plan.launch_id, (await anext(start)).handle)
        await start.aclose()  # killed between pod and secret
    async with connected(site) as second:
        found = await second.backend.find()
        assert found == {runs.launch_id: runs.handle, ended.launch_id: ended.handle}
        again = Session(second, ended.launch_id, found[ended.launch_id])
        assert (await again.status()).state is State.GONE
        assert (await again.usage()).cause is EndCause.EXITED
        # The hub asks again: the same pod is taken over, gets its secret and runs.
        async for step in second.backend.start(plan, credentials):
            assert step.handle == cut.handle
        again = Session(second, cut.launch_id, cut.handle)
        await again.wait(State.RUNNING)
        # And once more, as if the answer to the last step had been lost.
        async for step in second.backend.start(plan, credentials):
            assert step.handle == cut.handle
        assert set(await second.backend.find()) == {runs.launch_id, ended.launch_id, cut.launch_id}
    await asyncio.to_thread(remove_all, site)


async def test_a_quota_of_the_namespace_refuses_in_the_words_of_people(ours: Ours) -> None:
    path = f"/api/v1/namespaces/{ours.site.namespace}/resourcequotas/sessions"
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"limits.cpu": "3", "pods": "9"}}}
    await ours.do(lambda: ours.site.cluster.api.apply(path, body))
    try:
        await ours.until(
            lambda: ours.site.cluster.api.request("GET", path).get("status", {}).get("used"), "not counted"
        )
        await ours.start(size=Size("two", "Two", cpus=2, memory_mib=64))
        with pytest.raises(SubmitError) as refused:
            await ours.start(size=Size("two", "Two", cpus=2, memory_mib=64))
        assert str(refused.value).startswith(
            "The cluster's quota for sessions (sessions) has no room for it: it asks for 2 CPUs, "
            "and 2 of 3 CPUs are used."
        )
    finally:
        await ours.do(lambda: ours.site.cluster.api.request("DELETE", path))
