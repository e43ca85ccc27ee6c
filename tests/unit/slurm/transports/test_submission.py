"""What is sent for a job: by both generations of slurmrestd, and by sbatch."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from spawners.slurm.cli import transport as transport_module
from spawners.slurm.cli.transport import CliTransport
from spawners.slurm.models import JobSpec, JobState
from spawners.slurm.rest.adapters import ADAPTERS
from spawners.slurm.settings import CliSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError

SPEC = JobSpec(
    user="maja",
    script="#!/bin/sh\nexit 0\n",
    environment={"TOKEN": "s3cret", "LINES": "a\nb=c"},
    name="panhub-x",
    comment="panhub:0123456789abcdef",
    partition="gpu",
    cpus=4,
    memory_mib=2048,
    time_limit=timedelta(minutes=90, seconds=1),
    workdir="/home/maja",
    log="/home/maja/.panhub/log",
    gpus=2,
    gpu_type="a100",
    account="ma5501",
    qos="short",
    reservation="beam",
    constraint="x86",
)
SAME = {
    "name": "panhub-x",
    "comment": "panhub:0123456789abcdef",
    "partition": "gpu",
    "tasks": 1,
    "cpus_per_task": 4,
    "current_working_directory": "/home/maja",
    "standard_output": "/home/maja/.panhub/log",
    "open_mode": "append",
    "account": "ma5501",
    "qos": "short",
    "reservation": "beam",
    "constraints": "x86",
}


def test_the_body_for_0_0_38():
    assert ADAPTERS["v0.0.38"].submission(SPEC) == {
        "script": SPEC.script,
        "job": SAME
        | {
            "nodes": [1, 1],
            "environment": {"TOKEN": "s3cret", "LINES": "a\nb=c"},
            "memory_per_node": 2048,
            "time_limit": 91,
            "no_requeue": True,
            "gres": "gpu:a100:2",
        },
    }


@pytest.mark.parametrize("version", ["v0.0.40", "v0.0.45"])
def test_the_body_for_newer_versions(version):
    def number(value: int) -> dict[str, object]:
        return {"set": True, "infinite": False, "number": value}

    assert ADAPTERS[version].submission(SPEC) == {
        "job": SAME
        | {
            "script": SPEC.script,
            "minimum_nodes": 1,
            "maximum_nodes": 1,
            "environment": ["TOKEN=s3cret", "LINES=a\nb=c"],
            "memory_per_node": number(2048),
            "time_limit": number(91),
            "requeue": False,
            "tres_per_node": "gres/gpu:a100:2",
        }
    }


def test_what_is_not_asked_is_not_sent():
    bare = replace(SPEC, gpus=0, account=None, qos=None, reservation=None, constraint=None)
    for version in ("v0.0.38", "v0.0.42"):
        job = ADAPTERS[version].submission(bare)["job"]
        assert not {"gres", "tres_per_node", "account", "qos", "reservation", "constraints"} & set(job)


def test_a_gpu_of_any_type():
    any_type = replace(SPEC, gpu_type="")
    assert ADAPTERS["v0.0.38"].submission(any_type)["job"]["gres"] == "gpu:2"
    assert ADAPTERS["v0.0.42"].submission(any_type)["job"]["tres_per_node"] == "gres/gpu:2"


PROGRAM = """#!{python}
import json, os, sys
words = [word for word in sys.argv[1:] if not word.startswith("--export-file=")]
(file,) = [int(word.split("=")[1]) for word in sys.argv[1:] if word.startswith("--export-file=")] or [None]
seen = {{"argv": words, "environment": dict(os.environ), "script": sys.stdin.read()}}
seen["exported"] = os.read(file, 10**6).decode() if file is not None else None
open({seen!r}, "w").write(json.dumps(seen))
{then}
"""


def _program(folder: Path, name: str, then: str) -> Path:
    path = folder / name
    path.write_text(PROGRAM.format(python=sys.executable, seen=str(folder / "seen"), then=then))
    path.chmod(0o755)
    return folder / "seen"


FAILED = "sbatch: error: Batch job submission failed"


def _fails(text: str) -> str:
    return f"print({text!r}, file=sys.stderr); sys.exit(1)"


@pytest.fixture
async def cli(tmp_path):
    transport = CliTransport(
        CliSettings(kind="cli", bin=tmp_path, conf=Path("/etc/slurm.conf"), run_as=(), timeout_s=5), "panhub"
    )
    yield transport
    await transport.aclose()


async def test_sbatch_gets_fixed_words_and_the_secrets_elsewhere(cli, tmp_path, monkeypatch):
    seen_file = _program(tmp_path, "sbatch", "print('17;pan')")
    monkeypatch.setenv("SBATCH_ACCOUNT", "somebody")
    monkeypatch.setenv("HUB_SECRET", "very")
    assert await cli.submit(SPEC) == 17
    seen = json.loads(seen_file.read_text())
    assert seen["argv"] == [
        "--parsable",
        "--export=ALL",
        "--job-name=panhub-x",
        "--comment=panhub:0123456789abcdef",
        "--partition=gpu",
        "--nodes=1",
        "--ntasks=1",
        "--cpus-per-task=4",
        "--mem=2048M",
        "--time=91",
        "--chdir=/home/maja",
        "--output=/home/maja/.panhub/log",
        "--open-mode=append",
        "--gres=gpu:a100:2",
        "--account=ma5501",
        "--qos=short",
        "--reservation=beam",
        "--constraint=x86",
        "--propagate=NONE",
        "--no-requeue",
    ]
    assert seen["exported"] == "TOKEN=s3cret\0LINES=a\nb=c\0"
    assert seen["script"] == SPEC.script
    own = {"PATH", "TZ", "LC_ALL", "SLURM_CONF"}
    # macOS and some C libraries add variables of their own.
    assert own <= set(seen["environment"]) <= own | {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"}
    assert "s3cret" not in json.dumps([seen["argv"], seen["environment"]])


@pytest.mark.parametrize(
    ("then", "error", "text"),
    [
        (_fails(f"{FAILED}: Invalid qos specification"), SlurmError, "Invalid qos specification"),
        (
            _fails(f"sbatch: error: QOSMaxGRESPerUser\n{FAILED}: Job violates accounting/QOS policy"),
            SlurmError,
            "QOSMaxGRESPerUser · Job violates accounting/QOS policy",
        ),
        (_fails(f"{FAILED}: Unable to contact slurm controller"), SlurmUnavailableError, "Unable to contact"),
        (_fails(f"{FAILED}: Socket timed out on send/recv operation"), SlurmUnavailableError, "timed out"),
        (_fails("sudo: a password is required"), SlurmUnavailableError, "password"),
        ("os.kill(os.getpid(), 9)", SlurmUnavailableError, "code"),
        ("sys.exit(0)", SlurmUnavailableError, "in place of a job id"),
        ("print('oh\\x1b[31m')", SlurmUnavailableError, "oh \\[31m"),
    ],
)
async def test_refused_or_not_known(cli, tmp_path, then, error, text):
    _program(tmp_path, "sbatch", then)
    with pytest.raises(error, match=text):
        await cli.submit(SPEC)


async def test_a_program_that_does_not_end_is_ended(tmp_path):
    transport = CliTransport(CliSettings(kind="cli", bin=tmp_path, run_as=(), timeout_s=1), "panhub")
    _program(
        tmp_path,
        "squeue",
        "import time; open(sys.argv[0] + '.pid', 'w').write(str(os.getpid())); time.sleep(60)",
    )
    with pytest.raises(SlurmUnavailableError, match=r"did not end|code -14"):
        await transport.jobs()
    pid = int((tmp_path / "squeue.pid").read_text())
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    await transport.aclose()


@pytest.mark.parametrize(
    "then",
    [
        _fails("slurm_load_jobs error: Unable to contact slurm controller (connect failure)"),
        "print('squeue: error: Invalid user', file=sys.stderr)",
        "print('anything', file=sys.stderr)",
        "print('one line that is no record')",
    ],
)
async def test_an_empty_answer_with_an_error_is_not_no_jobs(cli, tmp_path, then):
    _program(tmp_path, "squeue", then)
    with pytest.raises(SlurmUnavailableError):
        await cli.jobs()


async def test_an_empty_answer_is_no_jobs(cli, tmp_path):
    _program(tmp_path, "squeue", "")
    assert await cli.jobs() == ()


async def test_partial_accounting_is_no_answer(cli, tmp_path):
    _program(
        tmp_path,
        "sacct",
        "mark = [w for w in sys.argv if w.startswith('--delimiter=')][0][12:]\n"
        "print(mark.join(['1', 'FAILED'] + [''] * 13) + mark)\n"
        "print('sacct: error: slurmdbd: Connection refused', file=sys.stderr)",
    )
    with pytest.raises(SlurmUnavailableError, match="Connection refused"):
        await cli.accounted([1])


async def test_a_missing_program(cli):
    with pytest.raises(SlurmUnavailableError, match="squeue"):
        await cli.jobs()


async def test_cancelling_what_is_over_is_no_error(cli, tmp_path):
    _program(
        tmp_path, "scancel", _fails("scancel: error: Kill job error on job id 5: Invalid job id specified")
    )
    await cli.cancel(5, user="maja")


async def test_cancelling_without_the_right_is_refused(cli, tmp_path):
    _program(
        tmp_path, "scancel", _fails("scancel: error: Kill job error on job id 5: Access/permission denied")
    )
    with pytest.raises(SlurmError, match="permission denied"):
        await cli.cancel(5, user="maja")


async def test_expected_start_is_read_from_the_test(cli, tmp_path):
    line = "sbatch: Job 24 to start at 2026-11-21T15:46:00 using 2 processors on nodes gpu1 in partition gpu"
    _program(tmp_path, "sbatch", f"print({line!r}, file=sys.stderr)")
    found = await cli.expected_start(SPEC)
    assert found is not None
    assert found.isoformat() == "2026-11-21T15:46:00+00:00"


async def test_a_test_that_is_refused_says_why(cli, tmp_path):
    _program(tmp_path, "sbatch", _fails("allocation failure: Requested reservation is invalid"))
    with pytest.raises(SlurmError, match=r"^Requested reservation is invalid$"):
        await cli.expected_start(SPEC)


async def test_a_directory_that_never_answers_leaves_the_number_of_who_cancelled(cli, tmp_path, monkeypatch):
    fields = (
        "7|CANCELLED by 4711|maja|ma5501|cpu||2026-11-01T10:00:00|2026-11-01T10:00:01|2026-11-01T10:01:01"
    )
    fields += "|60|cpu=1,mem=1G|cpu1|0:0||None"
    mark = "next(word[12:] for word in words if word.startswith('--delimiter='))"
    _program(tmp_path, "sacct", f"print(''.join(f + {mark} for f in {fields!r}.split('|')))")
    is_over = threading.Event()
    monkeypatch.setattr(transport_module, "_DIRECTORY_S", 0.1)
    monkeypatch.setattr(transport_module.pwd, "getpwuid", lambda _uid: is_over.wait(60))
    try:
        (run,) = await cli.accounted([7])
    finally:
        is_over.set()
    assert (run.state, run.cancelled_by) == (JobState.CANCELLED, "4711")
