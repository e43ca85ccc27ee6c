"""TorqueSpawner's commands under the launch path, on Torque's own answers."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spawners.backend import (
    Backend,
    BackendError,
    BackendUnavailableError,
    EndCause,
    Handle,
    NotAdmittedError,
    State,
    Status,
    SubmitError,
)
from spawners.batchspawner.backend import BatchspawnerBackend
from spawners.plan import Credentials, LaunchId, LaunchPlan, Scheduling
from tests.support.fake_torque import FakeTorque
from tests.support.slurm_models import plan
from tests.unit.batchspawner.conftest import TOKEN, Make

ID = LaunchId("0123456789abcdef")


async def start(backend: BatchspawnerBackend, wanted: LaunchPlan, credentials: Credentials) -> Handle:
    (step,) = [step async for step in backend.start(wanted, credentials)]
    return step.handle


async def state(backend: Backend, handle: Handle) -> Status:
    return await backend.locate(ID, handle)


async def test_session_is_followed_from_queue_to_end(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)
    job = str(handle["job"])
    assert job == "1000.torque.example.org"

    assert (await state(backend, handle)).state is State.PENDING
    torque.set_state(job, "R")
    running = await state(backend, handle)
    assert (running.state, running.host) == (State.RUNNING, "node07")
    assert running.started_at is not None
    assert running.ends_at == running.started_at + timedelta(hours=1)
    assert await backend.usage(ID, handle) is None

    torque.forget(job)
    gone = await state(backend, handle)
    assert (gone.state, gone.reason) == (State.GONE, "The session's job has ended.")
    usage = await backend.usage(ID, handle)
    assert usage is not None
    assert (usage.started_at, usage.cpus, usage.memory_mib, usage.cause) == (
        running.started_at,
        8,
        8000,
        EndCause.EXITED,
    )


async def test_script_has_the_plans_numbers_and_no_argument_has_a_secret(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    await start(make(), wanted, credentials)

    (job,) = torque.jobs()
    head = [line for line in job["script"].splitlines() if line.startswith("#PBS")]
    assert head == [
        "#PBS -S /bin/bash",
        "#PBS -N p0123456789abcd",
        "#PBS -j oe",
        "#PBS -o /dev/null",
        "#PBS -r n",
        "#PBS -q batch",
        "#PBS -l walltime=01:00:00",
        "#PBS -l nodes=1:ppn=8",
        "#PBS -l mem=8000mb",
    ]
    (call,) = torque.calls("qsub")
    assert call["argv"] == ["qsub"]
    assert TOKEN not in json.dumps(call)  # qstat -f would show the job's variables to everybody


async def test_script_hands_every_variable_over_as_it_was(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, tmp_path: Path
) -> None:
    """The script is run here, with a module file and a node.py that tell what they were given."""
    code, home = tmp_path / "code", tmp_path / "home"
    code.mkdir()
    home.mkdir()
    (code / "node.py").write_text("import json, os; print(json.dumps(dict(os.environ)))")
    modules = tmp_path / "modules.sh"
    modules.write_text('module() { export LOADED="${LOADED:-}$*"; }')
    account = replace(wanted.account, home=home)
    backend = make(session_code=code, modules_init=modules, python="/usr/bin/python3")
    await start(backend, replace(wanted, account=account), credentials)

    done = subprocess.run(
        ["bash"], input=torque.jobs()[0]["script"], env={"PBS_JOBID": "1"}, text=True, check=True
    )

    given = json.loads((home / f".panhub-{ID}.log").read_text())
    assert done.returncode == 0
    assert given["JUPYTERHUB_OAUTH_SCOPES"] == credentials.environment["JUPYTERHUB_OAUTH_SCOPES"]
    assert given["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert (given["HOME"], given["PANHUB_LAUNCH_ID"], given["PBS_JOBID"]) == (str(home), ID, "1")
    assert given["LOADED"] == "load gcc/12"
    assert not [name for name in given if name.startswith("SLURM")]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (111, "qstat: cannot connect to server torque.example.org (errno=111) Connection refused"),
        (15, "socket_connect error (VERIFY THAT trqauthd IS RUNNING)"),
        (170, "qstat: Request invalid for state of job"),
        (1, ""),
        (1, "sudo: a password is required"),
        (255, "something that nobody has seen before"),
        ("hang", ""),
    ],
)
async def test_failed_query_never_ends_a_session(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, code: Any, text: str
) -> None:
    backend = make(timeout_s=1)
    handle = await start(backend, wanted, credentials)
    torque.set_state(str(handle["job"]), "R")
    assert (await state(backend, handle)).state is State.RUNNING

    torque.fail("qstat", code, text)
    assert (await state(backend, handle)).state is State.UNKNOWN
    assert await backend.usage(ID, handle) is None

    torque.heal("qstat")
    assert (await state(backend, handle)).state is State.RUNNING


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Q", State.PENDING),
        ("H", State.PENDING),
        ("W", State.UNKNOWN),
        ("S", State.UNKNOWN),
        ("E", State.UNKNOWN),
    ],
)
async def test_only_completed_is_the_end(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, said: str, expected: State
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)

    torque.set_state(str(handle["job"]), said)
    assert (await state(backend, handle)).state is expected
    torque.set_state(str(handle["job"]), "C")
    assert (await state(backend, handle)).state is State.GONE


async def test_refused_submit_leaves_nothing(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    torque.fail("qsub", 188, "qsub: submit error (Unauthorized Request  MSG=user not in the ACL of batch)")

    with pytest.raises(SubmitError, match="user not in the ACL"):
        await start(backend, wanted, credentials)

    assert await backend.find() == {}


@pytest.mark.parametrize("is_new", [False, True])
async def test_job_whose_number_got_lost_is_found_by_its_name(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, is_new: bool
) -> None:
    backend = make()
    torque.lose_answers()

    with pytest.raises(BackendUnavailableError, match="End of File"):
        await start(backend, wanted, credentials)

    later = make() if is_new else backend
    handle = (await later.find())[ID]
    assert handle["job"] == torque.jobs()[0]["id"]
    assert (await state(later, handle)).state is State.PENDING


async def test_find_that_cannot_list_says_so(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    torque.lose_answers()
    with pytest.raises(BackendUnavailableError):
        await start(backend, wanted, credentials)
    torque.fail("qstat", 111, "qstat: cannot connect to server torque.example.org")

    with pytest.raises(BackendUnavailableError, match="cannot connect"):
        await backend.find()


async def test_after_a_restart_sessions_are_found_by_their_records_and_by_place(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    before = make()
    handle = await start(before, wanted, credentials)
    torque.set_state(str(handle["job"]), "R")
    began = (await state(before, handle)).started_at

    after, other = make(), make("long")

    assert await after.find() == {ID: handle}
    assert await other.find() == {}
    assert (await after.status({ID: handle}))[ID].started_at == began


async def test_a_lost_record_is_made_again_from_the_handle(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, tmp_path: Path
) -> None:
    handle = await start(make(), wanted, credentials)
    for path in (tmp_path / "records").glob("*.json"):
        path.unlink()
    after = make()
    torque.set_state(str(handle["job"]), "R")

    assert (await state(after, handle)).state is State.RUNNING
    torque.forget(str(handle["job"]))
    await state(after, handle)
    usage = await after.usage(ID, json.loads(json.dumps(dict(handle))))
    assert usage is not None
    assert usage.cpus == 8


async def test_stop_cancels_and_returns_when_the_job_is_over(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)
    torque.set_state(str(handle["job"]), "R")
    await state(backend, handle)

    await backend.stop(ID, handle)
    await backend.stop(ID, handle)

    assert len(torque.calls("qdel")) == 1
    usage = await backend.usage(ID, handle)
    assert usage is not None
    assert usage.cause is EndCause.STOPPED
    await backend.forget(ID, handle)
    assert await backend.find() == {}


async def test_stop_that_cannot_be_known_is_said(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)
    torque.fail("qdel", 111, "qdel: cannot connect to server torque.example.org")

    with pytest.raises(BackendUnavailableError, match="cannot connect"):
        await backend.stop(ID, handle)


async def test_one_job_is_asked_about_once_at_a_time_and_then_rarely(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make(poll_s=30, poll_idle_s=60)
    handle = await start(backend, wanted, credentials)

    for _ in range(5):
        await backend.status({ID: handle})

    assert len(torque.calls("qstat")) == 1


async def test_use_is_at_most_the_time_limit(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials, tmp_path: Path
) -> None:
    """The service was away for a day, in which the job ended."""
    handle = await start(make(), wanted, credentials)
    (path,) = (tmp_path / "records").glob("*.json")
    record = json.loads(path.read_text())
    began = datetime.now(UTC) - timedelta(days=1)
    path.write_text(json.dumps({**record, "started_at": began.isoformat()}))
    torque.forget(str(handle["job"]))
    backend = make()

    assert (await state(backend, handle)).reason == "The session reached the end of its time."
    usage = await backend.usage(ID, handle)
    assert usage is not None
    assert (usage.elapsed_seconds, usage.cause) == (3600, EndCause.TIME_LIMIT)


async def test_job_that_never_ran_costs_nothing(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)
    await state(backend, handle)
    await backend.stop(ID, handle)

    usage = await backend.usage(ID, handle)
    assert usage is not None
    assert usage.elapsed_seconds == 0


async def test_time_is_changed_only_where_the_site_has_a_command(
    make: Make, torque: FakeTorque, wanted: LaunchPlan, credentials: Credentials
) -> None:
    without = make()
    handle = await start(without, wanted, credentials)
    later = datetime.now(UTC) + timedelta(hours=2)
    with pytest.raises(BackendError, match="not started yet"):
        await without.set_deadline(ID, handle, later)
    torque.set_state(str(handle["job"]), "R")
    began = (await state(without, handle)).started_at
    assert began is not None
    await without.set_deadline(ID, handle, began + timedelta(minutes=30))  # sooner is the service's own work
    with pytest.raises(BackendError, match="cannot be changed"):
        await without.set_deadline(ID, handle, began + timedelta(hours=2))

    backend = make(batch_extend_cmd="qalter -l walltime={seconds} {job_id}")
    await backend.set_deadline(ID, handle, began + timedelta(hours=2))

    assert torque.calls("qalter")[0]["argv"] == ["qalter", "-l", "walltime=7200", handle["job"]]
    assert (await state(backend, handle)).ends_at == began + timedelta(hours=2)


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (plan(17), "place_limit", "at most 16 CPUs; asked were 17"),
        (plan(memory_mib=65536), "place_limit", "at most 32 GiB of memory; asked were 64 GiB"),
        (plan(gpus=2), "place_limit", "at most 1 GPUs"),
        (plan(hours=9), "place_limit", "at most 8 h; asked were 9 h"),
        (plan(gpus=1, gpu_type="a100"), "place_limit", "types of GPUs"),
        (plan(scheduling=Scheduling(account="x; rm -rf /")), "account_unknown", "no account"),
        (plan(scheduling=Scheduling(qos="fast")), "qos_unknown", "no QOS fast"),
        (plan(scheduling=Scheduling(reservation="bt")), "reservation_unknown", "no reservation bt"),
    ],
)
async def test_plan_over_the_settings_is_refused(make: Make, asked: LaunchPlan, code: str, text: str) -> None:
    backend = make(max_cpus=16, max_memory_mib=32768, max_gpus=1, max_walltime_s=8 * 3600, accounts=("p1",))

    with pytest.raises(NotAdmittedError, match=text) as caught:
        await backend.admit(asked)

    assert caught.value.code == code
    assert caught.value.hint
    await backend.admit(plan(16, scheduling=Scheduling(account="p1")))


async def test_place_says_that_its_scheduler_is_silent(
    make: Make,
    torque: FakeTorque,
    wanted: LaunchPlan,
    credentials: Credentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = make()
    handle = await start(backend, wanted, credentials)
    assert (await backend.availability()).is_reachable
    torque.fail("qstat", 111, "qstat: cannot connect to server")
    await state(backend, handle)
    monkeypatch.setattr("spawners.batchspawner.backend._SILENT_S", -1.0)

    assert not (await backend.availability()).is_reachable
