"""batchspawner's SlurmSpawner under the launch path, on a real Slurm: its own commands, our session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.demo.slurm import SlurmCluster
from spawners.backend import BackendUnavailableError, EndCause, Handle, State, Status, SubmitError
from spawners.batchspawner.backend import BatchspawnerBackend
from spawners.batchspawner.settings import BatchSystemSettings
from spawners.batchspawner.system import BatchSystem
from spawners.plan import LaunchPlan, Scheduling
from tests.support.local import hub_stub, run_inside
from tests.support.nodesessions import OTHER, PERSON, VISIT, EngineStub, NodeSite, given

Make = Callable[..., BatchspawnerBackend]


@pytest.fixture(scope="module")
def site(slurm_2205: SlurmCluster) -> NodeSite:
    return NodeSite.make(slurm_2205)


@pytest.fixture
def stub(site: NodeSite) -> Iterator[EngineStub]:
    with hub_stub(stub=EngineStub()) as found:
        yield found
    site.cluster.reset()


@pytest.fixture
async def make(site: NodeSite, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes a backend; each is a new process of the service on the same records."""
    made = []

    def make_backend(queue: str = "cpu", **changes: Any) -> BatchspawnerBackend:
        settings = BatchSystemSettings(
            **{
                "class_name": "batchspawner:SlurmSpawner",
                "exec_prefix": "setpriv --reuid={username} --regid={username} --init-groups --",
                "environment": site.cluster.environment,
                "session_code": site.root / "code",
                "poll_s": 0.2,
                "accounts": ("ma5501", "default"),
                **changes,
            }
        )
        made.append(BatchspawnerBackend(BatchSystem("slurm", settings, tmp_path / "records"), queue))
        return made[-1]

    yield make_backend
    for backend in made:
        await backend.aclose()


async def start(
    backend: BatchspawnerBackend, stub: EngineStub, plan: LaunchPlan, **environment: str
) -> Handle:
    stub.plan = plan
    (step,) = [step async for step in backend.start(plan, given(stub, plan, **environment))]
    return step.handle


async def wait(
    backend: BatchspawnerBackend, plan: LaunchPlan, handle: Handle, state: State, timeout_s: float = 30
) -> Status:
    """Wait for a state as the engine does: by asking about all sessions again and again."""
    async with asyncio.timeout(timeout_s):
        while True:
            status = (await backend.status({plan.launch_id: handle}))[plan.launch_id]
            if status.state is state:
                return status
            assert status.state is not State.GONE, status
            await asyncio.sleep(0.1)


async def test_session_runs_with_its_data_and_its_charge_is_close_to_sacct(
    make: Make, site: NodeSite, stub: EngineStub
) -> None:
    backend, plan = make(), site.plan(scheduling=Scheduling(account="ma5501"))
    await backend.admit(plan)
    handle = await start(backend, stub, plan, JUPYTERHUB_OAUTH_SCOPES='["a,b", "c\'d"]\nnext')
    running = await wait(backend, plan, handle, State.RUNNING)
    assert running.host == "cpu1"
    assert running.started_at is not None
    assert running.ends_at == running.started_at + plan.walltime
    async with asyncio.timeout(60):
        while not stub.reports:
            await asyncio.sleep(0.05)
    port = stub.reports[0].body["port"]

    def inside(code: str) -> Any:
        return asyncio.to_thread(run_inside, port, code)

    assert await inside(f"result = open('{VISIT}/RAW_DATA/secret.txt').read()") == "hc1 RAW_DATA"
    assert await inside(f"open('{VISIT}/RAW_DATA/new', 'w'); result = 1") == "EROFS"
    scopes = await inside("import os; result = os.environ['JUPYTERHUB_OAUTH_SCOPES']")
    assert scopes == '["a,b", "c\'d"]\nnext'

    await backend.stop(plan.launch_id, handle)
    used = await backend.usage(plan.launch_id, handle)
    said = await asyncio.to_thread(site.cluster.sacct, int(handle["job"]), has_ended=True)
    assert used is not None
    assert used.cause is EndCause.STOPPED
    assert (used.cpus, used.memory_mib) == (2, 1024)
    assert "cpu=2," in said["AllocTRES"]
    assert "mem=1G" in said["AllocTRES"]
    assert said["Account"] == "ma5501"
    assert abs(used.elapsed_seconds - int(said["ElapsedRaw"])) <= 3


async def test_nobody_else_sees_a_secret(make: Make, site: NodeSite, stub: EngineStub) -> None:
    backend, plan = make(), site.plan()
    handle = await start(backend, stub, plan)
    await wait(backend, plan, handle, State.RUNNING)

    def seen_by(user: str, *command: str) -> str:
        done = site.cluster.run(*command, user=user)
        return done.stdout + done.stderr

    job = str(handle["job"])
    for user in (PERSON, OTHER):
        for command in (
            ("scontrol", "show", "job", "-dd", job),
            ("squeue", "--json"),
            ("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"),
        ):
            assert stub.token not in await asyncio.to_thread(seen_by, user, *command), (user, command)
    script = await asyncio.to_thread(seen_by, PERSON, "scontrol", "write", "batch_script", job, "-")
    assert "PANHUB_ENVIRONMENT" in script
    assert stub.token not in script


async def test_controller_that_is_away_ends_no_session(make: Make, site: NodeSite, stub: EngineStub) -> None:
    backend, plan = make(timeout_s=1.5), site.plan()
    handle = await start(backend, stub, plan)
    await wait(backend, plan, handle, State.RUNNING)

    # Stopped and not killed: a job that it had not yet saved would be lost with it.
    await asyncio.to_thread(site.cluster.stop_daemon, "slurmctld")
    try:
        silent = await backend.locate(plan.launch_id, handle)
        assert silent.state is State.UNKNOWN
        assert await backend.usage(plan.launch_id, handle) is None
        with pytest.raises(BackendUnavailableError):
            await backend.stop(plan.launch_id, handle)
        other = site.plan()
        with pytest.raises(BackendUnavailableError):
            await start(backend, stub, other)
    finally:
        await asyncio.to_thread(site.cluster.start_daemon, "slurmctld")
    assert (await wait(backend, plan, handle, State.RUNNING)).host == "cpu1"
    # The start that was not answered was not made: the list says so.
    assert set(await backend.find()) == {plan.launch_id}


async def test_job_whose_number_got_lost_is_found_by_its_name(
    make: Make, site: NodeSite, stub: EngineStub, tmp_path: Path
) -> None:
    before, plan = make(), site.plan(size=site.plan().size)
    handle = await start(before, stub, plan)
    record = tmp_path / "records" / f"{plan.launch_id}.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "job": ""}))

    found = await make().find()

    assert found == {plan.launch_id: handle}
    assert await make("gpu").find() == {}


async def test_refusal_has_slurms_own_words(make: Make, site: NodeSite, stub: EngineStub) -> None:
    plan = site.plan(scheduling=Scheduling(account="ev0317"))

    with pytest.raises(SubmitError, match="Invalid account"):
        await start(make(), stub, plan)

    assert await make().find() == {}


async def test_queue_is_pending_and_cancelled_at_once(make: Make, site: NodeSite, stub: EngineStub) -> None:
    backend = make()
    held = await asyncio.to_thread(
        lambda: site.cluster.run("scontrol", "update", "PartitionName=cpu", "State=DOWN")
    )
    assert held.returncode == 0, held.stderr
    try:
        plan = site.plan()
        handle = await start(backend, stub, plan)
        waiting = await wait(backend, plan, handle, State.PENDING)
        assert waiting.reason
        await backend.stop(plan.launch_id, handle)
        used = await backend.usage(plan.launch_id, handle)
        assert used is not None
        assert used.elapsed_seconds == 0
    finally:
        await asyncio.to_thread(site.cluster.run, "scontrol", "update", "PartitionName=cpu", "State=UP")


async def test_gpus_are_asked_by_type_and_time_is_extended_by_the_sites_command(
    make: Make, site: NodeSite, stub: EngineStub
) -> None:
    backend = make(
        "gpu",
        batch_extend_cmd="scontrol update JobId={job_id} TimeLimit={runtime}",
    )
    size = site.plan().size
    plan = site.plan(
        size=type(size)("gpu", "GPU", 1, 500, gpus=1, gpu_type="a100"), walltime=timedelta(minutes=5)
    )
    handle = await start(backend, stub, plan)
    running = await wait(backend, plan, handle, State.RUNNING)
    said = await asyncio.to_thread(site.cluster.run, "scontrol", "show", "job", "-d", str(handle["job"]))
    assert "gres:gpu:a100:1" in said.stdout
    assert running.started_at is not None
    # A person may not lengthen a job of their own: Slurm's refusal is told.
    with pytest.raises(Exception, match="does not change the session's time"):
        await backend.set_deadline(plan.launch_id, handle, running.started_at + timedelta(minutes=10))
