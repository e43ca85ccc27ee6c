"""A session's job on real nodes: what it sees, what others see of it, how it ends, what goes wrong."""

import asyncio
import json
import os
import shutil
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import psutil
import pytest

from hub.demo.slurm.environment import prepare_environment
from spawners.plan import Interface, Mount, MountMode
from spawners.session import exits
from spawners.session.proof import session_secret
from spawners.slurm.job import session_view
from spawners.slurm.models import mark
from tests.support.kernelsockets import execute, own_environment
from tests.support.local import hub_stub, request, run_inside, wait_until
from tests.support.mounts import mounts_of, origin
from tests.support.nodesessions import OTHER, PERSON, VISIT, EngineStub, NodeSite, is_open_to_others, submit


@pytest.fixture(scope="module")
def sites():
    return {}


@pytest.fixture
def site(slurm_cluster, sites):
    """One site for each cluster, with nothing of the last test in it."""
    if slurm_cluster not in sites:
        sites[slurm_cluster] = NodeSite.make(slurm_cluster)
    return sites[slurm_cluster]


@pytest.fixture
def stub():
    with hub_stub(stub=EngineStub()) as found:
        yield found


def start(site, stub, plan=None, settings=None, **environment):
    """Submit and wait for the port."""
    plan = plan or site.plan()
    job = submit(site, stub, plan, settings, **environment)
    wait_until(
        lambda: stub.reports or site.cluster.job_state(job) not in {"PENDING", "RUNNING"}, 60, "its port"
    )
    assert stub.reports, site.log(plan)
    return job, plan, stub.reports[-1].body["port"]


def processes(plan):
    """Processes of a launch, as this machine sees them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PANHUB_LAUNCH_ID") == plan.launch_id:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_session_sees_its_data_and_nothing_else(site, stub):
    _, plan, port = start(site, stub)
    assert stub.reports[0].authorization == f"Bearer {session_secret(stub.token, plan.launch_id)}"
    raw, processed = f"{VISIT}/RAW_DATA", f"{VISIT}/PROCESSED_DATA"
    assert run_inside(port, f"result = open('{raw}/secret.txt').read()") == "hc1 RAW_DATA"
    changes = (f"open('{raw}/secret.txt', 'w')", f"open('{raw}/new', 'w')")
    for code in (*changes, f"import os; os.unlink('{raw}/secret.txt')"):
        assert run_inside(port, f"{code}; result = 'done'") == "EROFS", code
    run_inside(port, f"open('{processed}/out.txt', 'w').write('x'); result = 1")
    assert (site.root / "data/hc1/PROCESSED_DATA/out.txt").stat().st_uid == plan.account.uid
    assert run_inside(port, "import os; result = os.listdir('/data/visitor')") == ["hc1"]
    for path in (
        site.root / "data" / "hc2" / "RAW_DATA" / "secret.txt",
        site.root / "data" / "hc1" / "RAW_DATA" / "secret.txt",
        site.cluster.people.home(OTHER),
        "/etc/shadow",
        site.cluster.state / "keys",
    ):
        assert run_inside(port, f"import os; result = os.stat('{path}') and 'there'") == "ENOENT", path
    assert run_inside(port, "import os; result = os.getuid()") == plan.account.uid
    work = plan.account.home / "work/first"
    assert run_inside(port, f"result = open('{work}/data/RAW_DATA/secret.txt').read()") == "hc1 RAW_DATA"


def test_no_secret_is_in_sight_of_others(site, stub):
    _, plan, _ = start(site, stub)
    secrets = {stub.token, session_secret(stub.token, plan.launch_id)}
    found = processes(plan)
    assert len(found) >= 3
    for process in found:
        command = " ".join(process.cmdline())
        assert not any(secret in command for secret in secrets), command
        assert process.uids().real == plan.account.uid
    look = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c JUPYTERHUB_API_TOKEN="
    assert int(site.cluster.run("sh", "-c", look, user=PERSON).stdout) >= 2
    assert int(site.cluster.run("sh", "-c", look, user=OTHER).stdout) == 0
    home = site.cluster.people.home(PERSON)
    assert is_open_to_others(home / ".panhub" / "logs") is False
    assert is_open_to_others(home / ".panhub" / "logs" / f"{plan.launch_id}.log") is False
    assert not list(home.glob(f".panhub-{plan.launch_id}*"))
    assert stub.token not in site.log(plan)


def test_a_job_from_inside_runs_and_carries_its_session(site, stub):
    job, plan, port = start(site, stub)
    output = site.cluster.people.home(PERSON) / f"srun-{plan.launch_id}.out"
    script = f"#!/bin/bash\nsrun sh -c 'echo ran with token: $JUPYTERHUB_API_TOKEN' > {output}; sleep 60"
    code = f"""
import subprocess
done = subprocess.run(["sbatch", "--parsable", "--account=default", "-p", "cpu", "-t", "5", "--mem=100"],
                      input={script!r}, capture_output=True, text=True, cwd="{plan.account.home}")
result = [done.stdout, done.stderr]
"""
    out, problem = run_inside(port, code)
    assert problem == ""
    inner = int(out.split(";")[0])
    site.cluster.wait_job(inner, "RUNNING")
    shown = site.cluster.checked("squeue", "-h", "-j", str(inner), "-o", "%w %u")
    assert shown.split() == [mark(plan.launch_id), PERSON]
    wait_until(lambda: output.exists() and output.read_text(), 20, "srun in the job from inside")
    assert output.read_text() == "ran with token:\n"
    listed = run_inside(port, "import subprocess; result = subprocess.getoutput('squeue -h -o \"%i %u\"')")
    assert set(listed.split("\n")) >= {f"{job} {PERSON}", f"{inner} {PERSON}"}
    step = run_inside(port, "import subprocess; result = subprocess.getoutput('srun -n1 id -un')")
    assert step.split()[-1] == PERSON
    site.cluster.run("scancel", str(inner))


def test_the_deadline_follows_and_an_end_is_orderly(site, stub):
    job, plan, port = start(site, stub)
    code = "import os; result = float(open(os.environ['PANHUB_DEADLINE_FILE']).read())"
    wait_until(lambda: run_inside(port, code) == pytest.approx(stub.deadline.timestamp(), abs=0.01), 10)
    stub.deadline = datetime.now(UTC) + timedelta(hours=5)
    wait_until(lambda: run_inside(port, code) == pytest.approx(stub.deadline.timestamp(), abs=0.01), 15)
    began = time.monotonic()
    site.cluster.run("scancel", str(job))
    wait_until(lambda: not processes(plan), 10, "the end of all its processes")
    assert time.monotonic() - began < 8
    assert site.cluster.wait_job(job) == "CANCELLED"


def test_the_first_process_alone_is_asked_to_end_and_all_end(site, stub):
    job, plan, _ = start(site, stub)
    found = processes(plan)
    first = next(p for p in found if any(word.endswith("node.py") for word in p.cmdline()))
    server = next(p for p in found if any(word.endswith("jupyterhub-singleuser") for word in p.cmdline()))
    run = next(mount for mount in mounts_of(server.pid) if mount.target == Path("/opt/panhub/run"))
    folder = origin(run, mounts_of(first.ppid()))
    assert folder is not None
    assert site.cluster.run("ls", str(folder)).stdout == "bin\ndeadline\n"
    os.kill(first.pid, signal.SIGTERM)
    wait_until(lambda: not processes(plan), 10, "the end of all its processes")
    site.cluster.wait_job(job)
    assert site.cluster.run("ls", str(folder.parent)).returncode != 0


def test_the_last_lines_of_a_server_that_dies_arrive(site, stub):
    job = submit(site, stub, site.plan(), TEST_BEHAVIOUR="die")
    assert site.cluster.wait_job(job) == "FAILED"
    assert stub.tails[-1][-1] == "no module named surprise"
    assert site.cluster.sacct(job, has_ended=True)["ExitCode"] == "3:0"


def test_a_job_waits_for_a_service_that_is_away(site):
    plan = site.plan()
    with hub_stub(stub=EngineStub()) as away:
        port = int(away.url.rpartition(":")[2])
    job = submit(site, away, plan)
    site.cluster.wait_job(job, "RUNNING")
    wait_until(lambda: "does not answer yet" in site.log(plan), 20)
    with hub_stub(port, away):
        away.statuses = [502, 429]
        wait_until(lambda: away.reports, 40, "its port")
    site.cluster.run("scancel", str(job))
    site.cluster.wait_job(job)


def test_a_job_that_is_not_wanted_any_more_ends(site, stub):
    stub.statuses = [401]
    job = submit(site, stub, site.plan())
    assert site.cluster.wait_job(job) == "FAILED"
    assert site.cluster.sacct(job, has_ended=True)["ExitCode"] == f"{exits.NOT_WANTED}:0"


def test_links_are_no_view_of_ones_own_and_say_so(site, stub):
    settings = site.settings(view="links")
    job, plan, port = start(site, stub, settings=settings)
    assert "NOT ISOLATED" in site.log(plan)
    root = session_view(plan.launch_id, plan.account, settings).root
    assert run_inside(port, "import os; result = os.environ['PANHUB_DATA']") == str(root)
    raw = f"{root}{VISIT}/RAW_DATA/secret.txt"
    assert run_inside(port, f"result = open('{raw}').read()") == "hc1 RAW_DATA"
    site.cluster.run("scancel", str(job))
    wait_until(lambda: not processes(plan), 10, "the end of all its processes")
    assert not site.cluster.people.home(PERSON).joinpath(root.relative_to(plan.account.home)).exists()


def broken(site, what):
    plan = site.plan()
    if what == "data":
        missing = Mount(PurePosixPath("/nowhere/raw"), VISIT / "RAW_DATA", MountMode.READ_ONLY, "team")
        return replace(plan, mounts=(missing,)), None
    if what == "environment":
        return replace(plan, environment=replace(plan.environment, prefix=PurePosixPath("/nowhere"))), None
    if what == "image":
        return replace(plan, environment=replace(plan.environment, image=PurePosixPath("/nowhere.sif"))), None
    if what == "module":
        init = site.root / "modules.sh"
        init.write_text('module() { echo "ERROR: Unable to locate $2" >&2; return 1; }\n')
        plan = replace(plan, environment=replace(plan.environment, modules=("pan/2026",)))
        return plan, site.settings(modules_init=init)
    uid = plan.account.uid
    return replace(plan, account=replace(plan.account, uid=uid + 1)), None


@pytest.mark.parametrize(
    ("what", "code", "text"),
    [
        ("data", exits.NO_DATA, "/nowhere/raw"),
        ("environment", exits.NO_ENVIRONMENT, "/nowhere/bin/python"),
        ("image", exits.NO_VIEW, "apptainer"),
        ("module", exits.MODULES, "pan/2026"),
        ("account", exits.WRONG_JOB, PERSON),
    ],
)
def test_what_is_missing_on_the_node_is_named(slurm_2205, sites, stub, what, code, text):
    site = sites.get(slurm_2205) or NodeSite.make(slurm_2205)
    plan, settings = broken(site, what)
    job = submit(site, stub, plan, settings)
    assert site.cluster.wait_job(job) == "FAILED"
    assert site.cluster.sacct(job, has_ended=True)["ExitCode"] == f"{code}:0"
    assert text in stub.tails[-1][-1]
    assert stub.reports == []


@pytest.fixture
def notebook_site(slurm_2205, sites):
    """A site with the demo's environment of sessions, as everybody's jobs can run it."""
    made = prepare_environment(slurm_2205.release)
    site = sites.get(slurm_2205) or NodeSite.make(slurm_2205)
    yield replace(site, environment=replace(site.environment, prefix=PurePosixPath(made.prefix)))
    slurm_2205.reset()


async def test_a_notebook_of_the_real_environment_shows_data_kernels_and_time(notebook_site, stub):
    site, plan = notebook_site, notebook_site.plan()
    name = f"mine-{plan.launch_id}"
    own = site.cluster.people.home(PERSON) / ".virtualenvs" / name
    own_environment(own, plan.environment.prefix)
    job, plan, port = await asyncio.to_thread(start, site, stub, plan)

    async def ask(path, body=None):
        return await asyncio.to_thread(request, stub, port, path, body)

    async def run(kernel, code):
        _, content = await ask("api/kernels", {"name": kernel})
        return await execute(port, stub.token, json.loads(content)["id"], code)

    assert (await ask("lab/tree/work/first/plot.ipynb"))[0] == 200
    stranger = replace(stub, token="another")
    assert (await asyncio.to_thread(request, stranger, port, "api/contents"))[0] == 403
    code = (
        f"import os; raw = '{VISIT}/RAW_DATA/secret.txt'\n"
        "print(open(raw).read(), os.environ.get('PYTHONPATH'), os.environ['USER'])\n"
        "try: open(raw, 'w')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    assert await run("python3", code) == f"hc1 RAW_DATA None {PERSON}\nRead-only file system\n"
    code = "import sys, subprocess; print(sys.prefix, subprocess.getoutput('squeue -h -o %i'))"
    assert await run(f"env-{name}", code) == f"{own} {job}\n"
    code = "import json, ipykernel; print(json.load(open(ipykernel.get_connection_file()))['transport'])"
    assert await run("python3", code) == "ipc\n"  # on the loopback others of the node could listen
    told = json.loads((await ask("panhub/time"))[1])
    assert told["deadline"] == pytest.approx(stub.deadline.timestamp(), abs=0.01)
    secrets = (stub.token, session_secret(stub.token, plan.launch_id))
    found = processes(plan)
    assert len(found) >= 5  # with two kernels
    assert not any(secret in word for process in found for word in process.cmdline() for secret in secrets)
    site.cluster.run("scancel", str(job))
    wait_until(lambda: not processes(plan), 10, "the end of all its processes")
    shutil.rmtree(own)


GREETING = """
import os, pathlib, socket, time
folder = pathlib.Path(os.environ["PANHUB_DESKTOP_FOLDER"])
until = time.monotonic() + 60
while not (folder / "display").exists() and time.monotonic() < until:
    time.sleep(0.05)
with socket.socket(socket.AF_UNIX) as display:
    display.connect(str(folder / "rfb"))
    said = display.recv(12).decode()
result = [said, oct(folder.stat().st_mode & 0o777), os.environ["PANHUB_DESKTOP_PLACES"]]
"""


@pytest.mark.parametrize("view", ["bubblewrap", "links"])
def test_a_desktop_runs_beside_the_server_on_its_node(site, stub, view):
    plan = site.plan(interface=Interface.DESKTOP)
    settings = site.settings(view=view)
    if site.cluster.run("which", "Xvnc", "icewm").returncode != 0:
        job = submit(site, stub, plan, settings)
        wait_until(lambda: site.cluster.job_state(job) == "FAILED", 60, "its end")
        assert "A desktop needs programs that are not installed here" in site.log(plan)
        return
    job, plan, port = start(site, stub, plan, settings)
    said, mode, places = run_inside(port, GREETING)
    assert (said, mode) == ("RFB 003.008\n", "0o700")
    titles = {place["title"]: place["is_writable"] for place in json.loads(places)}
    assert titles == {"Home": True, "RAW_DATA": False, "PROCESSED_DATA": True}
    wait_until(lambda: [p for p in processes(plan) if p.name() == "icewm"], 60, "the window manager")
    site.cluster.run("scancel", str(job))
    wait_until(lambda: not processes(plan), 60, "the end of all of it")
