"""The demo's cluster itself: what the other tests rely on holds on every release."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hub.demo.slurm import SlurmCluster, SlurmDemoError
from hub.demo.slurm.environment import prepare_environment
from tests.support.slurm import RELEASES, own_cluster


def rest(cluster: SlurmCluster, method: str, path: str, user: str, body: Any = None) -> Any:
    headers = {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": cluster.token(user, 60)}
    url = f"{cluster.rest_url}/slurm/{cluster.rest_versions[-1]}/{path}"
    answer = httpx.request(method, url, headers=headers, json=body, timeout=10)
    return answer.raise_for_status().json()


def submit_by_rest(cluster: SlurmCluster, user: str, script: str, **job: Any) -> int:
    text = f"#!/bin/sh\n{script}\n"
    home, output = str(cluster.people.home(user)), str(cluster.output("%j"))
    fields = {"current_working_directory": home, "standard_output": output, **job}
    if cluster.release.name == "22.05":
        body = {"script": text, "job": {**fields, "environment": {"PATH": "/usr/bin:/bin"}}}
    else:
        body = {"job": {**fields, "script": text, "environment": ["PATH=/usr/bin:/bin"]}}
    answer = rest(cluster, "POST", "job/submit", user, body)
    assert not answer["errors"]
    return int(answer["job_id"])


def test_people_run_cpu_and_gpu_jobs_that_accounting_knows(slurm_cluster: SlurmCluster):
    by_rest = submit_by_rest(slurm_cluster, "tobi", "id -un; id -Gn", account="ma5501", name="ours")
    by_sbatch = slurm_cluster.submit_for_test(
        "maja",
        'id -un; echo "$CUDA_VISIBLE_DEVICES"',
        account="ma5501",
        partition="gpu",
        gres="gpu:v100:1",
    )

    assert slurm_cluster.wait_job(by_rest) == slurm_cluster.wait_job(by_sbatch) == "COMPLETED"

    assert slurm_cluster.output(by_rest).read_text().split() == ["tobi", "tobi", "ma5501"]
    # The only v100 is the last of the four devices.
    assert slurm_cluster.output(by_sbatch).read_text().split() == ["maja", "3"]
    cpu = slurm_cluster.sacct(by_rest, has_ended=True)
    assert (cpu["User"], cpu["Account"], cpu["Partition"]) == ("tobi", "ma5501", "cpu")
    assert cpu["AllocTRES"] == "billing=1,cpu=1,mem=1000M,node=1"
    gpu = slurm_cluster.sacct(by_sbatch, has_ended=True)
    assert gpu["AllocTRES"] == "billing=1,cpu=1,gres/gpu=1,mem=1000M,node=1"
    assert gpu["State"] == "COMPLETED"


REFUSED = {
    "QOS short is for an hour": ("maja", {"account": "ma5501", "qos": "short", "time": "2:00:00"}),
    "three GPUs need gpu-large": ("maja", {"account": "ma5501", "partition": "gpu", "gres": "gpu:3"}),
    "yuki may not use gpu-large": ("yuki", {"account": "in1204", "qos": "gpu-large"}),
    "rui has 16 CPUs per job": ("rui", {"account": "hc4802", "cpus_per_task": 17}),
    "rui is not of that proposal": ("rui", {"account": "ma5501"}),
    "the partition's time limit": ("maja", {"account": "ma5501", "partition": "gpu", "time": "3-0"}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_jobs_over_a_limit_are_refused(slurm_cluster: SlurmCluster, why: str):
    user, options = REFUSED[why]
    with pytest.raises(SlurmDemoError, match="sbatch"):
        slurm_cluster.submit_for_test(user, "true", **options)


def test_people_do_not_see_each_others_jobs_and_the_operator_sees_all(slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit_for_test("maja", "sleep 60", account="ma5501")

    seen = {
        user: [entry["job_id"] for entry in rest(slurm_cluster, "GET", "jobs/", user)["jobs"]]
        for user in ("maja", "tobi", slurm_cluster.service_account)
    }

    assert job in seen["maja"]
    assert job in seen[slurm_cluster.service_account]
    assert job not in seen["tobi"]


def test_more_urgent_work_sends_a_scavenger_back_to_the_queue(slurm_cluster: SlurmCluster):
    fill = {"account": "ma5501", "partition": "gpu", "cpus_per_task": 32}
    first = slurm_cluster.submit_for_test("tobi", "sleep 60", qos="scavenger", **fill)
    slurm_cluster.wait_job(first, "RUNNING")

    second = slurm_cluster.submit_for_test("maja", "sleep 60", **fill)

    slurm_cluster.wait_job(second, "RUNNING")
    assert slurm_cluster.wait_job(first, "PENDING") == "PENDING"


def test_a_job_over_its_memory_ends_and_says_so(slurm_cluster: SlurmCluster):
    script = "exec /usr/bin/python3 -c 'import time; x = bytearray(600_000_000); time.sleep(30)'"
    job = slurm_cluster.submit_for_test("rui", script, account="hc4802", mem="200M")

    state = slurm_cluster.wait_job(job)

    output = slurm_cluster.output(job).read_text()
    if slurm_cluster.has_cgroup:
        assert state == "OUT_OF_MEMORY"
        assert "oom" in output.lower()
    else:
        assert state == "FAILED"
        assert "Exceeded job memory limit" in output


def test_killed_daemons_come_back_with_what_they_knew(slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit_for_test("maja", "sleep 60", account="ma5501")
    slurm_cluster.wait_job(job, "RUNNING")
    # slurmctld saves its state within seconds; what it had not saved, a kill takes from it.
    changed = time.time()
    slurm_cluster.checked("scontrol", "update", f"JobId={job}", "Comment=kept")
    until(lambda: (slurm_cluster.state / "slurmctld/job_state").stat().st_mtime > changed)
    daemons = ("slurmctld", "slurmdbd", "mariadbd", "slurmrestd", "cpu1", "munged")
    for name in daemons:
        slurm_cluster.kill(name)
        assert not slurm_cluster.is_running(name)

    for name in ("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmrestd", "cpu1"):
        slurm_cluster.start_daemon(name)

    assert slurm_cluster.wait_job(job, "RUNNING") == "RUNNING"
    rest(slurm_cluster, "DELETE", f"job/{job}", "maja")
    slurm_cluster.wait_job(job, "CANCELLED")
    record = slurm_cluster.sacct(job, has_ended=True)
    assert record["State"].startswith("CANCELLED by")
    assert record["Comment"] == "kept"


def test_a_frozen_daemon_answers_nobody_until_it_is_thawed(slurm_cluster: SlurmCluster):
    slurm_cluster.freeze("slurmrestd")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{slurm_cluster.rest_url}/", timeout=0.3)

    slurm_cluster.thaw("slurmrestd")

    assert rest(slurm_cluster, "GET", "ping/", "maja")["errors"] == []


def test_a_lost_node_takes_its_jobs_with_it(slurm_cluster: SlurmCluster):
    # A length that nobody else sleeps, to know the process by.
    command = ["sleep", f"{600 + random.random():.9f}"]
    job = slurm_cluster.submit_for_test("maja", " ".join(command), account="ma5501", nodelist="cpu2")
    slurm_cluster.wait_job(job, "RUNNING")
    until(lambda: command in commands())

    slurm_cluster.lose_node("cpu2")

    assert command not in commands()
    slurm_cluster.set_node("cpu2", "down")
    slurm_cluster.wait_job(job, "PENDING")


def commands() -> list[list[str]]:
    return [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]


def until(is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_reservations_keep_nodes_for_their_people(slurm_cluster: SlurmCluster):
    slurm_cluster.reserve("beamtime", users=("maja",), nodes=("gpu1",))
    inside = {"partition": "gpu", "reservation": "beamtime"}

    mine = slurm_cluster.submit_for_test("maja", "sleep 60", account="ma5501", **inside)

    assert slurm_cluster.wait_job(mine, "RUNNING") == "RUNNING"
    with pytest.raises(SlurmDemoError, match="reservation"):
        slurm_cluster.submit_for_test("rui", "true", account="hc4802", **inside)


def test_people_can_run_the_sessions_environment(slurm_cluster: SlurmCluster):
    environment = prepare_environment(slurm_cluster.release)

    done = slurm_cluster.run(str(environment.prefix / "bin/jupyterhub-singleuser"), "--version", user="rui")

    assert done.returncode == 0, done.stderr
    assert (environment.code / "start.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("release", RELEASES)
def test_stop_leaves_no_process_and_no_mount_and_the_next_start_knows_the_jobs(release: str):
    mounts = Path("/proc/self/mounts").read_text()
    with own_cluster(release) as cluster:
        job = cluster.submit_for_test("maja", "sleep 300 & exec sleep 300", account="ma5501", nodelist="cpu1")
        cluster.wait_job(job, "RUNNING")
        until(lambda: "sleep" in cluster.processes().values())
        inside = cluster.processes()
        with pytest.raises(SlurmDemoError, match="already runs"):
            SlurmCluster(cluster.state, release=release).start()
        expected = {"slurmctld", "slurmdbd", "mariadbd", "munged", "slurmstepd", "sleep"}
        assert expected <= set(inside.values())

        cluster.stop()

        assert not [process for process in inside if process.is_running()]
        assert Path("/proc/self/mounts").read_text() == mounts
        assert cluster.memory_group is None or not cluster.memory_group.exists()
        assert {path.stat().st_mode & 0o777 for path in (cluster.state / "keys").iterdir()} == {0o600}

        cluster.start()

        assert cluster.submit_for_test("maja", "true", account="ma5501") == job + 1


def test_a_cluster_ends_with_the_program_that_made_it_and_its_folder_can_be_used_again():
    release = RELEASES[-1]
    with own_cluster(release) as cluster:
        cluster.stop()
        command = [sys.executable, "-m", "hub.demo.slurm", str(cluster.state), "--release", release]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            assert "is ready" in program.stdout.readline()
            processes = psutil.Process(program.pid).children(recursive=True)
            assert "slurmdbd" in {process.name() for process in processes}
            program.kill()

        _, alive = psutil.wait_procs(processes, timeout=10)

        assert alive == []
        cluster.start()
        assert cluster.run("sinfo").returncode == 0


def test_a_state_folder_that_is_closed_to_others_is_refused(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() == 0:
        with pytest.raises(SlurmDemoError, match="closed to other people"):
            SlurmCluster(closed / "state").start()
