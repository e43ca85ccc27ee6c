"""Settings that cannot work, and the answers of schedulers that are not here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spawners.backend import State
from spawners.batchspawner.driver import BatchspawnerError, Driver, Found, NoAnswerError
from spawners.batchspawner.settings import BatchSystemSettings
from tests.support.fake_torque import FakeTorque
from tests.unit.batchspawner.conftest import settings


def driver(kind: str = "TorqueSpawner", **changes: Any) -> Driver:
    fields = {"class_name": f"batchspawner:{kind}", "session_code": "/opt/panhub/session", "exec_prefix": ""}
    return Driver("one", BatchSystemSettings(**{**fields, **changes}))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"class_name": "batchspawner:NoSpawner"}, "cannot be loaded"),
        ({"class_name": "no_such_package:Spawner"}, "Install panhub\\[batchspawner\\]"),
        ({"class_name": "json:JSONDecoder"}, "no class of batchspawner's kind"),
        ({"class_name": "batchspawner:BatchSpawnerBase"}, "set state_gone_re"),
        ({"class_name": "batchspawner:CondorSpawner"}, "HTCondor"),
        ({"requests": {"req_nonsense": "1"}}, "has no trait req_nonsense"),
        ({"batch_query_cmd": "qstat '{job_id}"}, "No closing quotation"),
        ({"batch_cancel_cmd": "qdel {job}"}, "cannot be read: 'job'"),
        ({"batch_list_cmd": "qstat", "batch_list_re": "(?P<id>.*)"}, "groups id and name"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(BatchspawnerError, match=text):
        driver(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"req_host": "x"},
        {"requests": {"batch_script": "x"}},
        {"session_code": "/opt/$(id)"},
        {"session_code": "opt"},
        {"python": "/usr/bin/python3; id"},
        {"class_name": "batchspawner"},
    ],
)
def test_settings_are_closed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        driver(**changes)


@pytest.mark.parametrize(
    ("kind", "code", "answer", "state", "host"),
    [
        ("SlurmSpawner", 0, "PENDING ", State.PENDING, None),
        ("SlurmSpawner", 0, "RUNNING cpu1", State.RUNNING, "cpu1"),
        ("SlurmSpawner", 0, "COMPLETING cpu1", State.RUNNING, "cpu1"),
        ("SlurmSpawner", 0, "", State.GONE, None),
        ("SlurmSpawner", 0, "TIMEOUT cpu1", State.GONE, None),
        ("SlurmSpawner", 0, "SUSPENDED cpu1", State.UNKNOWN, None),
        ("SlurmSpawner", 0, "REQUEUED cpu1", State.UNKNOWN, None),
        ("SlurmSpawner", 1, "slurm_load_jobs error: Invalid job id specified", State.GONE, None),
        ("SlurmSpawner", 1, "", State.UNKNOWN, None),
        (
            "SlurmSpawner",
            1,
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
            State.UNKNOWN,
            None,
        ),
        ("SlurmSpawner", 1, "slurm_load_jobs error: Protocol authentication error", State.UNKNOWN, None),
        ("SlurmSpawner", 1, "RUNNING cpu1", State.UNKNOWN, None),
        (
            "PBSSpawner",
            0,
            "Job Id: 1.pbs\n    job_state = R\n    exec_host = node3/0*8",
            State.RUNNING,
            "node3",
        ),
        ("PBSSpawner", 0, "Job Id: 1.pbs\n    job_state = F", State.GONE, None),
        ("PBSSpawner", 35, "qstat: 1.pbs Job has finished, use -x or -H", State.GONE, None),
        ("PBSSpawner", 0, "Job Id: 1.pbs\n    job_state = S", State.UNKNOWN, None),
        ("MoabSpawner", 0, '<Data><job State="Running" AllocNodeList="n1:8"/></Data>', State.RUNNING, "n1"),
        ("MoabSpawner", 0, '<Data><job State="Completed"/></Data>', State.GONE, None),
        ("LsfSpawner", 0, "RUN 4*host7", State.RUNNING, "host7"),
        ("LsfSpawner", 0, "EXIT host7", State.GONE, None),
        ("LsfSpawner", 255, "Job <1> is not found", State.GONE, None),
        ("LsfSpawner", 255, "lsid: host not found", State.UNKNOWN, None),
        (
            "GridengineSpawner",
            0,
            "<job_info><queue_info><job_list state='running'><JB_job_number>1</JB_job_number>"
            "<queue_name>all.q@n5</queue_name></job_list></queue_info></job_info>",
            State.RUNNING,
            "n5",
        ),
        (
            "GridengineSpawner",
            0,
            "<job_info>\n<JB_job_number>12</JB_job_number>\n</job_info>",
            State.GONE,
            None,
        ),
        ("GridengineSpawner", 1, "error: commlib error: got select error", State.UNKNOWN, None),
        ("GridengineSpawner", 0, "<job_info><JB_job_numb", State.UNKNOWN, None),
    ],
)
async def test_answers(
    kind: str, code: int, answer: str, state: State, host: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = driver(kind)

    async def run(*_: object) -> tuple[int, str, str]:
        return (code, answer, "") if code == 0 else (code, "", answer)

    monkeypatch.setattr(made, "_run", run)

    assert await made.query("maja", "1") == Found(state, host)


async def test_no_shell_reads_a_command(torque: FakeTorque) -> None:
    made = Driver("torque", settings(torque, batch_cancel_cmd="qdel '{job_id}' $(id) ; id"))
    torque.fail("qdel", 153, "qdel: Unknown Job Id Error")

    await made.cancel("maja", "1.torque")

    assert torque.calls("qdel")[0]["argv"] == ["qdel", "1.torque", "$(id)", ";", "id"]


@pytest.mark.parametrize("user", ["Maja", "-x", "m a", "$(id)", ""])
async def test_a_name_that_is_no_account_reaches_no_command(torque: FakeTorque, user: str) -> None:
    made = Driver("torque", settings(torque))

    with pytest.raises(BatchspawnerError):
        await made.query(user, "1")

    assert torque.calls("qstat") == []


async def test_submit_without_a_number_is_not_known(
    torque: FakeTorque, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Driver("torque", settings(torque))

    async def run(*_: object) -> tuple[int, str, str]:
        return 0, "Welcome to the cluster!\nqsub: submitted", ""

    monkeypatch.setattr(made, "_run", run)

    with pytest.raises(NoAnswerError, match="No job id"):
        await made.submit(made.spawner("maja"), "", {})


async def test_program_that_is_not_there_is_no_answer(torque: FakeTorque) -> None:
    made = Driver("torque", settings(torque, batch_query_cmd="no-such-program {job_id}"))

    assert await made.query("maja", "1") == Found(State.UNKNOWN)
