"""A session's life on this machine, with a server that starts at once, in both kinds of view."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spawners.backend import BackendError, BackendUnavailableError, EndCause, State, SubmitError
from spawners.local.processes import of_launch
from spawners.local.records import Records
from spawners.plan import Size
from tests.support.local import ROOT, credentials, request, wait_until


async def state_of(backend, plan, handle):
    return (await backend.status({plan.launch_id: handle}))[plan.launch_id].state


async def until_gone(backend, plan, handle, timeout_s=20):
    end = time.monotonic() + timeout_s
    while await state_of(backend, plan, handle) is not State.GONE:
        assert time.monotonic() < end, "the session did not end"
        await asyncio.sleep(0.05)
    return await backend.usage(plan.launch_id, handle)


async def test_a_session_reports_its_port_with_its_own_secret_and_answers(
    isolation, make_backend, quick_site, run_plan, hub
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, port = await run_plan(backend, plan)
    assert await asyncio.to_thread(request, hub, port, "api") == (200, b"{}")
    assert [r.authorization for r in hub.reports] == [f"Bearer report-{plan.launch_id}"]
    assert await state_of(backend, plan, handle) is State.RUNNING
    assert await backend.usage(plan.launch_id, handle) is None
    assert json.loads(json.dumps(handle)) == handle


async def test_stop_returns_when_nothing_is_left_and_the_use_is_known(
    isolation, make_backend, quick_site, run_plan
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, _ = await run_plan(backend, plan, TEST_BEHAVIOUR="orphan")
    await backend.stop(plan.launch_id, handle)
    assert of_launch(plan.launch_id) == []
    usage = await backend.usage(plan.launch_id, handle)
    assert usage is not None
    assert usage.cause is EndCause.STOPPED
    assert (usage.cpus, usage.memory_mib, usage.gpus) == (1, 2048, 0)
    assert usage.elapsed_seconds >= 1
    assert usage.ended_at > usage.started_at
    await backend.stop(plan.launch_id, handle)


async def test_a_server_that_ignores_the_request_is_killed_after_the_grace(
    isolation, make_backend, quick_site, run_plan
):
    backend, plan = make_backend(isolation, grace_s=1), quick_site.plan()
    handle, _ = await run_plan(backend, plan, TEST_BEHAVIOUR="stubborn")
    await backend.stop(plan.launch_id, handle)
    assert of_launch(plan.launch_id) == []
    usage = await backend.usage(plan.launch_id, handle)
    assert usage.cause is EndCause.STOPPED
    assert usage.exit_code == 128 + signal.SIGKILL


async def test_a_session_ends_at_its_time_without_an_engine(isolation, make_backend, quick_site, run_plan):
    backend, plan = make_backend(isolation), quick_site.plan(walltime=timedelta(seconds=2))
    handle, _ = await run_plan(backend, plan)
    usage = await until_gone(backend, plan, handle)
    assert usage.cause is EndCause.TIME_LIMIT
    assert 2 <= usage.elapsed_seconds <= 12
    assert of_launch(plan.launch_id) == []


async def test_an_extension_moves_the_end(make_backend, quick_site, run_plan, bubblewrap):
    backend, plan = make_backend(), quick_site.plan(walltime=timedelta(seconds=3))
    handle, _ = await run_plan(backend, plan)
    later = datetime.now(UTC) + timedelta(hours=1)
    await backend.set_deadline(plan.launch_id, handle, later)
    await asyncio.sleep(4)
    assert await state_of(backend, plan, handle) is State.RUNNING
    await backend.set_deadline(plan.launch_id, handle, datetime.now(UTC))
    assert (await until_gone(backend, plan, handle)).cause is EndCause.TIME_LIMIT
    await backend.forget(plan.launch_id, handle)
    with pytest.raises(BackendError):
        await backend.set_deadline(plan.launch_id, handle, later)


async def test_a_killed_supervisor_leaves_nothing_behind_and_bounds_the_use(
    isolation, make_backend, quick_site, run_plan
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, _ = await run_plan(
        backend, plan, TEST_BEHAVIOUR="orphan" if isolation == "bubblewrap" else "serve"
    )
    os.kill(handle["pid"], signal.SIGKILL)
    await asyncio.to_thread(lambda: wait_until(lambda: not of_launch(plan.launch_id), 10))
    assert await state_of(backend, plan, handle) is State.GONE
    usage = await backend.usage(plan.launch_id, handle)
    assert usage.cause is EndCause.LOST
    assert usage.ended_at <= datetime.now(UTC)


async def test_what_left_a_view_of_links_is_ended_when_its_use_is_asked(make_backend, quick_site, run_plan):
    backend, plan = make_backend("links"), quick_site.plan()
    handle, _ = await run_plan(backend, plan, TEST_BEHAVIOUR="orphan")
    os.kill(handle["pid"], signal.SIGKILL)
    await until_gone(backend, plan, handle)
    assert of_launch(plan.launch_id) == []


async def test_a_session_survives_the_engine_and_is_found_again(
    isolation, make_backend, quick_site, run_plan, tmp_path, hub
):
    backend, plan = make_backend(isolation), quick_site.plan()
    given = credentials(hub, plan)
    program = f"""
import asyncio, json, os, signal, sys
from spawners.local.backend import LocalBackend
from spawners.local.settings import LocalSettings
from spawners.plan import Credentials, LaunchPlan
async def main():
    raw = json.load(sys.stdin)
    backend = LocalBackend(LocalSettings(state={str(tmp_path / "state")!r},
        isolation={"required" if isolation == "bubblewrap" else "off"!r}))
    plan, credentials = LaunchPlan.from_json(raw["plan"]), Credentials(**raw["credentials"])
    async for step in backend.start(plan, credentials):
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    raw = {
        "plan": plan.to_json(),
        "credentials": {
            "environment": dict(given.environment),
            "report_url": given.report_url,
            "report_secret": given.report_secret,
        },
    }
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], input=json.dumps(raw).encode(), cwd=ROOT, check=False
    )
    assert died.returncode == -signal.SIGKILL
    await asyncio.to_thread(lambda: wait_until(lambda: hub.reports, 20, "the report"))
    found = await backend.find()
    assert set(found) == {plan.launch_id}
    handle = found[plan.launch_id]
    assert await state_of(backend, plan, handle) is State.RUNNING
    await backend.stop(plan.launch_id, handle)
    assert (await backend.usage(plan.launch_id, handle)).cause is EndCause.STOPPED


async def test_a_session_that_ends_is_known_until_it_is_forgotten_and_its_log_longer(
    isolation, make_backend, quick_site, run_plan
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, _ = await run_plan(backend, plan, answers=False, TEST_BEHAVIOUR="die")
    usage = await until_gone(backend, plan, handle)
    assert (usage.cause, usage.exit_code) == (EndCause.EXITED, 3)
    assert set(await backend.find()) == {plan.launch_id}
    await backend.forget(plan.launch_id, handle)
    assert await backend.find() == {}
    assert await state_of(backend, plan, handle) is State.GONE
    assert "no module named surprise" in await backend.log_tail(plan.launch_id, handle)


async def test_a_port_that_was_taken_meanwhile_is_replaced(
    isolation, make_backend, quick_site, run_plan, hub
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, port = await run_plan(backend, plan, TEST_BEHAVIOUR="port-race")
    assert (await asyncio.to_thread(request, hub, port, "api"))[0] == 200
    assert len(hub.reports) == 1
    assert any("was taken" in line for line in await backend.log_tail(plan.launch_id, handle))


async def test_a_report_is_repeated_while_the_engine_is_away(
    make_backend, quick_site, run_plan, hub, bubblewrap
):
    hub.report_statuses = [503, 503, 204]
    backend, plan = make_backend(), quick_site.plan()
    await run_plan(backend, plan)
    await asyncio.to_thread(lambda: wait_until(lambda: len(hub.reports) == 3, 20, "the third report"))
    await asyncio.sleep(0.5)
    assert len(hub.reports) == 3


async def test_a_refused_report_is_not_repeated(make_backend, quick_site, run_plan, hub, bubblewrap):
    hub.report_statuses = [409]
    backend, plan = make_backend(), quick_site.plan()
    handle, _ = await run_plan(backend, plan)
    await asyncio.sleep(0.5)
    assert len(hub.reports) == 1
    assert await state_of(backend, plan, handle) is State.RUNNING


@pytest.mark.parametrize(("behaviour", "ends"), [("eats", True), ("child-eats", False)])
async def test_memory_over_the_size_is_taken_back_from_the_largest_process(
    behaviour, ends, make_backend, quick_site, run_plan, bubblewrap
):
    size = Size("tiny", "Tiny", 1, 200)
    backend, plan = make_backend(), quick_site.plan(size=size)
    handle, _ = await run_plan(backend, plan, answers=False, TEST_BEHAVIOUR=behaviour)
    end = time.monotonic() + 20
    while not any("200 MiB of memory" in line for line in await backend.log_tail(plan.launch_id, handle)):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    if ends:
        assert (await until_gone(backend, plan, handle)).cause is EndCause.OUT_OF_MEMORY
    else:
        assert await state_of(backend, plan, handle) is State.RUNNING


async def test_run_folder_and_log_are_for_the_service_alone_and_hold_no_secret(
    isolation, make_backend, quick_site, run_plan, hub, tmp_path
):
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, _ = await run_plan(backend, plan)
    assert stat.S_IMODE(Path(handle["run"]).stat().st_mode) == 0o700
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file() and not path.is_symlink() and "view" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.parent.name == "etc", path
            assert hub.token not in path.read_text()
            assert f"report-{plan.launch_id}" not in path.read_text()


async def test_arguments_are_clean_and_only_the_server_has_the_token(
    isolation, make_backend, quick_site, run_plan, hub
):
    backend, plan = make_backend(isolation), quick_site.plan()
    await run_plan(backend, plan)
    with_token = 0
    for pid in of_launch(plan.launch_id):
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode()
        for text in (arguments, environment):
            assert f"report-{plan.launch_id}" not in text
        assert hub.token not in arguments
        assert str(quick_site.visit) not in arguments
        with_token += hub.token in environment
    assert with_token == 1


async def test_the_engine_keeps_no_zombie(make_backend, quick_site, run_plan, bubblewrap):
    backend, plan = make_backend(), quick_site.plan()
    handle, _ = await run_plan(backend, plan)
    await backend.stop(plan.launch_id, handle)
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            assert pid == 0, "a child had ended and nobody had asked for it"
            break


async def test_the_same_launch_does_not_start_twice(make_backend, quick_site, run_plan, bubblewrap):
    backend, plan = make_backend(), quick_site.plan()
    await run_plan(backend, plan)
    with pytest.raises(BackendUnavailableError, match="submitted before"):
        await run_plan(backend, plan)


async def test_a_submit_that_was_cut_off_before_its_supervisor_is_made_anew(
    make_backend, quick_site, run_plan, bubblewrap
):
    backend, plan = make_backend(), quick_site.plan()
    Records(backend._settings.state).make()
    Records(backend._settings.state).folder(plan.launch_id).make()
    assert plan.launch_id not in await backend.find()
    handle, _ = await run_plan(backend, plan)
    assert await state_of(backend, plan, handle) is State.RUNNING


async def test_what_is_missing_is_refused_before_anything_runs(
    make_backend, quick_site, run_plan, bubblewrap
):
    backend, plan = make_backend(), quick_site.plan()
    gone = replace(plan.mounts[0], source=plan.mounts[0].source / "gone")
    for wrong in (
        replace(plan, mounts=(gone,)),
        replace(plan, environment=replace(plan.environment, prefix=plan.environment.prefix / "gone")),
        replace(plan, size=Size("gpu", "GPU", 1, 1024, gpus=1)),
    ):
        with pytest.raises(SubmitError):
            await run_plan(backend, wrong)
    assert await backend.find() == {}


async def test_twenty_starts_at_once_do_not_hold_up_the_loop(
    make_backend, quick_site, run_plan, hub, bubblewrap
):
    backend = make_backend()
    await backend.isolation()
    plans = [quick_site.plan(workdir=Path(f"work/{n}")) for n in range(20)]
    longest = 0.0

    async def beat():
        nonlocal longest
        while True:
            # Time on a processor, not on the clock: other programs may hold up any loop.
            before = time.thread_time()
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - before)

    heart = asyncio.create_task(beat())
    handles = await asyncio.gather(*(run_plan(backend, plan, answers=False) for plan in plans))
    named = {plan.launch_id: handle for plan, (handle, _) in zip(plans, handles, strict=True)}
    states = await backend.status(named)
    heart.cancel()
    assert {status.state for status in states.values()} == {State.RUNNING}
    assert longest < 0.05
    assert set(await backend.find()) == set(named)


async def test_availability_counts_what_running_sessions_were_given(
    isolation, make_backend, quick_site, run_plan
):
    backend, plan = make_backend(isolation, cpus=4, memory_mib=8192), quick_site.plan()
    before = await backend.availability()
    assert (before.cpus_free, before.memory_mib_free) == (4, 8192)
    handle, _ = await run_plan(backend, plan)
    during = await backend.availability()
    assert (during.cpus_free, during.memory_mib_free) == (3, 6144)
    assert ("ISOLATION IS OFF" in during.note) is (isolation == "links")
    await backend.stop(plan.launch_id, handle)
    assert (await backend.availability()).cpus_free == 4


async def test_the_lack_of_isolation_is_said_once(make_backend, caplog):
    backend = make_backend("links")
    await asyncio.gather(backend.isolation(), backend.isolation())
    assert [record.levelname for record in caplog.records if "ISOLATION IS OFF" in record.message] == [
        "WARNING"
    ]
