"""What is submitted for a session: fixed text, an environment without the hub's own, one secret."""

import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

import pytest

from spawners.plan import (
    Account,
    Credentials,
    Environment,
    Interface,
    LaunchId,
    LaunchPlan,
    Mount,
    MountMode,
    PlannedFile,
    Scheduling,
    Size,
)
from spawners.session import exits
from spawners.session.proof import session_secret
from spawners.slurm.job import end_detail, job_spec, node_specification, session_view
from spawners.slurm.settings import ClusterSettings

CLUSTER = ClusterSettings.model_validate(
    {"transport": {"kind": "cli"}, "session_code": "/opt/panhub/session", "constraint": "x86"}
)
EVIL = "$(touch /tmp/x); `id` \"' \n#SBATCH --uid=0"
ACCOUNT = Account("alice", 1234, 1235, PurePosixPath("/home/alice"))
PLAN = LaunchPlan(
    launch_id=LaunchId("0123456789abcdef"),
    username="alice",
    server_name="one",
    interface=Interface.LAB,
    account=ACCOUNT,
    environment=Environment("core", "Core", PurePosixPath("/envs/core"), "0" * 64),
    size=Size("gpu", "GPU", 4, 8192, 2, "a100"),
    place="gpu",
    walltime=timedelta(hours=2),
    mounts=(Mount(PurePosixPath("/storage/raw"), PurePosixPath("/data/raw"), MountMode.READ_ONLY, "team"),),
    workdir=PurePosixPath("work"),
    files=(PlannedFile(PurePosixPath("a.txt"), EVIL),),
    scheduling=Scheduling("hc1", "short", "beamtime"),
)
GIVEN = {
    "JUPYTERHUB_API_TOKEN": "the-token",
    "JUPYTERHUB_USER": "alice",
    "PANHUB_WARN_BEFORE_S": "600",
    "PATH": "/hub/bin",
    "LD_PRELOAD": "/hub/evil.so",
    "PYTHONPATH": "/hub",
    "VIRTUAL_ENV": "/hub",
    "BASH_ENV": "/hub/rc",
    "BASH_FUNC_module%%": "() { id; }",
    "ENV": "/hub/rc",
    "SLURM_CONF": "/hub/slurm.conf",
    "SBATCH_UID": "0",
    "TMPDIR": "/hub/tmp",
}


def spec_of(plan=PLAN, cluster=CLUSTER):
    credentials = Credentials(
        GIVEN, f"http://hub:8002/internal/reports/{plan.launch_id}", "the-report-secret"
    )
    return job_spec(plan, credentials, cluster, "gpu")


def test_the_script_is_the_same_for_everybody():
    other = replace(
        PLAN,
        launch_id=LaunchId("f" * 16),
        account=replace(ACCOUNT, name="bob"),
        environment=replace(PLAN.environment, modules=("foo",)),
    )
    assert spec_of().script == spec_of(other).script
    for text in ("alice", "/envs/core", EVIL, "the-token", PLAN.launch_id):
        assert text not in spec_of().script


def test_the_structured_fields_are_those_of_the_plan():
    spec = spec_of()
    assert (spec.user, spec.partition, spec.cpus, spec.memory_mib) == ("alice", "gpu", 4, 8192)
    assert (spec.gpus, spec.gpu_type, spec.time_limit) == (2, "a100", timedelta(hours=2))
    assert (spec.account, spec.qos, spec.reservation, spec.constraint) == ("hc1", "short", "beamtime", "x86")
    assert (spec.name, spec.comment) == ("panhub", "panhub:0123456789abcdef")
    assert spec.workdir == "/home/alice"
    assert spec.log == "/home/alice/.panhub-0123456789abcdef.log"


def test_of_secrets_only_the_sessions_own_token_is_in_the_job():
    spec = spec_of()
    values = [value for key, value in spec.environment.items() if key != "JUPYTERHUB_API_TOKEN"]
    assert spec.environment["JUPYTERHUB_API_TOKEN"] == "the-token"
    for secret in ("the-token", "the-report-secret", session_secret("the-token", PLAN.launch_id)):
        assert not any(secret in value for value in values)
        assert secret not in spec.script
    assert "the-token" not in repr(spec)


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV", "ENV", "BASH_ENV", "SLURM_CONF", "SBATCH_UID", "TMPDIR"],
)
def test_nothing_of_the_hubs_machine_steers_the_job(name):
    assert name not in spec_of().environment
    assert not any(key.startswith("BASH_FUNC") for key in spec_of().environment)


def test_the_environment_says_where_to_ask_and_marks_jobs_from_inside():
    found = spec_of().environment
    assert found["PANHUB_LAUNCH_ID"] == PLAN.launch_id
    assert found["PANHUB_REPORT_BASE"] == "http://hub:8002"
    assert (found["HOME"], found["USER"], found["PATH"]) == (
        "/home/alice",
        "alice",
        "/usr/local/bin:/usr/bin:/bin",
    )
    assert found["SRUN_CPUS_PER_TASK"] == "4"
    assert found["PANHUB_WARN_BEFORE_S"] == "600"
    for name in ("SLURM_WCKEY", "SBATCH_WCKEY", "SALLOC_WCKEY"):
        assert found[name] == "panhub:0123456789abcdef"
    assert "PANHUB_MODULES" not in found
    there = CLUSTER.model_copy(update={"node_report_url": "https://panhub.site/"})
    assert spec_of(cluster=there).environment["PANHUB_REPORT_BASE"] == "https://panhub.site"


def test_a_node_is_told_the_plan_and_no_more():
    told = node_specification(PLAN)
    assert told["mounts"] == [{"source": "/storage/raw", "target": "/data/raw", "is_writable": False}]
    assert told["files"] == [{"path": "a.txt", "content": EVIL}]
    assert told["account"]["home"] == "/home/alice"
    assert told["environment"] == {"title": "Core", "prefix": "/envs/core", "image": None}


@pytest.mark.parametrize(
    ("view", "root"),
    [
        ("bubblewrap", "/"),
        ("apptainer", "/"),
        ("auto", "/"),
        ("links", "/home/alice/.panhub/views/0123456789abcdef"),
    ],
)
def test_the_plan_knows_where_a_session_sees_its_data(view, root):
    found = session_view(PLAN.launch_id, ACCOUNT, CLUSTER.model_copy(update={"view": view}))
    assert (str(found.root), str(found.home)) == (root, "/home/alice")


def test_our_exit_codes_are_explained_and_others_are_not():
    assert "data" in end_detail(exits.NO_DATA)
    assert [end_detail(code) for code in (None, 0, 1, 143)] == ["", "", "", ""]
    codes = [value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)]
    assert sorted(codes) == sorted(set(codes))
    assert set(codes) <= set(exits.SENTENCES)


MODULE = """
module() {
    [ "$1" = load ] && [ "$2" = good/1.0 ] && { export LOADED="${LOADED:-}$2"; return 0; }
    echo "ERROR: no $2" >&2
    return 1
}
"""


@pytest.mark.parametrize(
    ("modules", "loaded", "failed"),
    [
        ("", "", ""),
        ("good/1.0", "good/1.0", ""),
        ("good/1.0\nbad\ngood/1.0", "good/1.0", "bad"),
        ("--help", "", "--help"),
        ("$(touch evil)", "", "$(touch evil)"),
        ("a b", "", "a b"),
    ],
)
def test_the_script_loads_modules_one_by_one_and_says_which_failed(tmp_path, modules, loaded, failed):
    (tmp_path / "init").write_text(MODULE)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$*|${LOADED:-}|${PANHUB_FAILED_MODULE:-}"\n')
    python.chmod(0o755)
    environment = {
        "PATH": os.defpath,
        "PANHUB_MODULES": modules,
        "PANHUB_MODULES_INIT": str(tmp_path / "init"),
        "PANHUB_PYTHON": str(python),
        "PANHUB_SESSION_CODE": "/code",
    }
    done = subprocess.run(
        ["bash"], input=spec_of().script, env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == f"-I -S /code/node.py|{loaded}|{failed}\n"
    assert not (tmp_path / "evil").exists()
    assert (failed in done.stderr) if failed else done.stderr == ""
