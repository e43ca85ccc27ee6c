"""The first process of a session in a pod, in a view made by bubblewrap: its life, and its ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from spawners.plan import Mount, MountMode
from spawners.session import exits
from spawners.session.proof import session_secret
from tests.support.bare_pod import IMAGE, bare_pod
from tests.support.local import Site, credentials, hub_stub, quick_environment, wait_until
from tests.support.nodesessions import EngineStub

LOOK = """
import glob, os
def code_of(action):
    try:
        action(); return "done"
    except OSError as error:
        return error.strerror
def open_text(path):
    return open(path).read()
states = []
for path in glob.glob("/proc/[0-9]*/stat"):
    states.append(open(path).read().rsplit(")", 1)[1].split()[0])
data = "/data/visitor/hc1/id11/20250101"
result = {
    "environment": dict(os.environ), "uid": os.getuid(), "name": os.path.expanduser("~"),
    "raw": open(data + "/RAW_DATA/secret.txt").read(),
    "write raw": code_of(lambda: open(data + "/RAW_DATA/new", "w")),
    "write processed": code_of(lambda: open(data + "/PROCESSED_DATA/new", "w")),
    "write root": code_of(lambda: open("/new", "w")), "write tmp": code_of(lambda: open("/tmp/new", "w")),
    "homes": os.listdir("/home"), "proposals": os.listdir("/data/visitor"),
    "link": os.listdir(os.path.expanduser("~/work/first/data")),
    "notebook": os.path.exists(os.path.expanduser("~/work/first/plot.ipynb")),
    "deadline": "".join(map(str.strip, map(open_text, glob.glob(os.environ["PANHUB_DEADLINE_FILE"])))),
    "zombies": states.count("Z"), "first": open("/proc/1/cmdline").read().split("\\0")[3],
}
"""

ORPHAN = """
import os
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid(); os._exit(0)
    os._exit(0)
os.wait()
result = True
"""


@pytest.fixture
def site(tmp_path):
    environment = quick_environment(tmp_path / "site" / "environment")
    prefix = PurePosixPath("/opt/panhub/environment")
    # Its programs begin with where they lie, as those of an image do.
    server = tmp_path / "site" / "environment" / "bin" / "jupyterhub-singleuser"
    text = server.read_text().replace(str(environment.prefix), str(prefix), 1)
    server.write_text(text.replace('("127.0.0.1", url.port), Handler', "(url.hostname, url.port), Handler"))
    return Site(tmp_path / "site", replace(environment, container=IMAGE, container_prefix=prefix))


@pytest.fixture
def plan(site):
    return site.plan()


@pytest.fixture
def engine(plan):
    with hub_stub(stub=EngineStub(plan=plan)) as stub:
        yield stub


@pytest.fixture
def start(bubblewrap, site, engine, tmp_path):
    """Starts the pod of a plan."""

    def begin(plan, *, report_url=None, **more):
        environment = {key: more.pop(key) for key in list(more) if key.isupper()}
        given = credentials(engine, plan, **environment)
        if report_url is not None:
            given = replace(given, report_url=report_url)
        return bare_pod(plan, given, site.root, tmp_path / "pod", **more)

    return begin


def answer_of(pod, engine):
    """Reports of the port; fails with what the pod says if it ends before."""
    wait_until(lambda: engine.reports or pod.process.poll() is not None, what="the report of the port")
    assert engine.reports, pod.text
    return engine.reports


def test_a_session_serves_at_its_pods_address_and_ends_when_it_is_asked(start, plan, site, engine):
    with start(plan, MY_OWN="mine") as pod:
        (report,) = answer_of(pod, engine)
        assert report.body == {"port": 8888}
        assert report.authorization == f"Bearer {session_secret(engine.token, plan.launch_id)}"
        wait_until(lambda: pod.run_inside(LOOK)["deadline"], what="the deadline")
        pod.run_inside(ORPHAN)
        found = wait_until(lambda: (now := pod.run_inside(LOOK))["zombies"] == 0 and now, what="no zombie")
        pod.end()
        assert pod.wait() == 143
    environment = found.pop("environment")
    assert float(found.pop("deadline")) == pytest.approx(engine.deadline.timestamp(), abs=1)
    assert found == {
        "uid": 12345,
        "name": "/home/alice",
        "raw": "hc1 RAW_DATA",
        "write raw": "Read-only file system",
        "write processed": "done",
        "write root": "Read-only file system",
        "write tmp": "done",
        "homes": ["alice"],
        "proposals": ["hc1"],
        "link": ["PROCESSED_DATA", "RAW_DATA"],
        "notebook": True,
        "zombies": 0,
        "first": "/opt/panhub/session/pod.py",
    }
    # What the image and the device plugin set reaches the server, what is ours or the cluster's does not.
    assert environment["PATH"] == "/opt/panhub/environment/bin:/opt/image/bin:/usr/bin:/bin"
    assert environment["PYTHONPATH"] == "/opt/panhub/session/python:/opt/image/python"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute"
    # Nobody asked for GPUs, so there are none, whatever the image says.
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert environment["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert environment["MY_OWN"] == "mine"
    assert environment["JUPYTERHUB_API_TOKEN"] == engine.token
    assert (environment["CPU_LIMIT"], environment["MEM_LIMIT"]) == ("1", str(2048 * 1024 * 1024))
    assert environment["OMP_NUM_THREADS"] == "1"
    secret = session_secret(engine.token, plan.launch_id)
    assert not [name for name, value in environment.items() if secret in value]
    for name in ("KUBERNETES_SERVICE_HOST", "PANHUB_POD_IPS", "PANHUB_NODE_NAME", "PANHUB_PREFIX"):
        assert name not in environment
    log = (site.home / ".panhub" / "logs" / f"{plan.launch_id}.log").read_text()
    assert log == pod.text  # the person has it in the home, an operator by the cluster


def test_what_a_session_says_is_read_by_person_operator_and_engine(start, plan, engine):
    with start(plan, TEST_BEHAVIOUR="die") as pod:
        assert pod.wait() == 3
    assert "no module named surprise" in pod.text
    assert ["no module named surprise"] in engine.tails


def test_a_session_ends_at_its_time_though_the_engine_does_not_end_it(start, plan, engine):
    engine.deadline = datetime.now(UTC) - timedelta(minutes=3)
    with start(plan) as pod:
        assert pod.wait() == exits.TIME_LIMIT
    assert "end of its time" in pod.text
    assert engine.reports


NOWHERE = PurePosixPath("/data/visitor/gone")
ELSEWHERE = Mount(PurePosixPath("gone"), NOWHERE, MountMode.READ_ONLY, "team")


@pytest.mark.parametrize(
    ("changes", "more", "code", "words"),
    [
        ({}, {"uid": 777}, exits.WRONG_JOB, "has the number 777, not 12345"),
        ({}, {"without": "token"}, exits.WRONG_JOB, "lacks a file of its secret"),
        ({}, {"address": "fd00::8"}, exits.WRONG_JOB, "no IPv4 address"),
        ({"mounts": (ELSEWHERE,)}, {}, exits.NO_DATA, f"{NOWHERE} cannot be read"),
        (
            {"environment": "bare"},
            {},
            exits.NO_ENVIRONMENT,
            "there is no /opt/panhub/environment/bin/jupyter",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_a_pod_is_said(start, plan, site, engine, changes, more, code, words):
    if changes.get("environment") == "bare":
        (site.root / "environment" / "bin" / "jupyterhub-singleuser").unlink()
        changes = {}
    mounts = tuple(
        replace(one, source=PurePosixPath(site.root / "gone")) for one in changes.get("mounts", ())
    )
    plan = engine.plan = replace(plan, mounts=mounts or plan.mounts)
    with start(plan, **more) as pod:
        assert pod.wait() == code
    assert words in pod.text
    assert not engine.reports
    if "without" not in more:
        assert any(words in line for tail in engine.tails for line in tail)


def test_a_home_that_cannot_be_written_is_said_to_the_engine(start, plan, site, engine):
    (site.home / ".panhub").write_text("a file")
    with start(plan) as pod:
        assert pod.wait() == exits.NO_HOME
    assert "The home folder /home/alice cannot be used on the node node-1" in pod.text
    assert pod.text.splitlines() in engine.tails


def test_an_engine_that_is_away_is_waited_for_and_one_that_refuses_is_not(start, plan, engine):
    engine.statuses[:] = [503, 502]
    with start(plan) as pod:
        answer_of(pod, engine)
    assert pod.text.count("does not answer yet") == 2


def test_a_session_that_nobody_wants_any_more_ends(start, plan, engine):
    engine.statuses[:] = [401]
    with start(plan) as pod:
        assert pod.wait() == exits.NOT_WANTED
    assert "does not want this session" in pod.text


def test_a_request_to_end_is_heard_before_the_server_is_there(start, plan, engine):
    engine.statuses[:] = [503] * 1000
    with start(plan) as pod:
        wait_until(lambda: "does not answer yet" in pod.text, what="the first question")
        pod.end()
        assert pod.wait() == 143


def test_a_real_notebook_server_runs_in_a_pods_view(bubblewrap, notebook_site, tmp_path):
    import json
    import urllib.request

    plan = notebook_site.plan(environment=replace(notebook_site.environment, container=IMAGE))
    with hub_stub(stub=EngineStub(plan=plan)) as engine:
        given = credentials(engine, plan)
        environment = {"PYTHONPATH": "", "LD_LIBRARY_PATH": ""}
        with bare_pod(plan, given, notebook_site.root, tmp_path / "pod", **environment) as pod:
            answer_of(pod, engine)

            def ask(path):
                headers = {"Authorization": f"token {engine.token}"}
                url = f"http://{pod.address}:8888/user/alice/{path}"
                with urllib.request.urlopen(
                    urllib.request.Request(url, headers=headers), timeout=20
                ) as answer:
                    return json.load(answer)

            deadline = engine.deadline.timestamp()
            wait_until(lambda: ask("panhub/time")["deadline"] == pytest.approx(deadline, abs=1))
            assert [one["name"] for one in ask("api/contents/work/first")["content"]]
            pod.end()
            assert pod.wait() == 0
