"""What the first process of a pod makes of what it finds: its job, its address, its time, its cgroup."""

import json
import time

import pytest

from spawners.kubernetes import mounts, naming
from spawners.session import exits, pod
from spawners.session.minder import Minder
from spawners.session.nodejob import open_log

ENVIRONMENT = {
    "HOME": "/home/alice",
    "PANHUB_REPORT_BASE": "http://engine:8002/services/panhub",
    "PANHUB_POD_IPS": "10.244.0.7",
    "PANHUB_NODE_NAME": "node-1",
    "PANHUB_WALLTIME_S": "3600",
    "PATH": "/opt/image/bin:/usr/bin",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
    "LANG": "de_DE.UTF-8",
    "KUBERNETES_PORT": "tcp://10.0.0.1:443",
    "PWD": "/",
}


@pytest.fixture
def secret(tmp_path):
    files = {
        "token": "a-token",
        "launch-id": "0123456789abcdef",
        "environment": json.dumps({"LANG": "C.UTF-8"}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_job_is_read_from_the_secret_and_what_the_image_sets(secret):
    job, given = pod.read_job(ENVIRONMENT, secret)
    assert (job.launch_id, job.token, str(job.home)) == ("0123456789abcdef", "a-token", "/home/alice")
    assert job.report_base == "http://engine:8002/services/panhub"
    assert given["JUPYTERHUB_API_TOKEN"] == "a-token"
    assert given["LANG"] == "C.UTF-8"  # JupyterHub's word, over the image's
    assert given["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert not [name for name in given if name.startswith(("PANHUB_", "KUBERNETES_"))]


@pytest.mark.parametrize("name", ["token", "launch-id", "environment"])
def test_a_pod_without_its_secret_is_none_of_ours(secret, name):
    (secret / name).unlink()
    with pytest.raises(exits.SessionFailedError, match=name) as found:
        pod.read_job(ENVIRONMENT, secret)
    assert found.value.code == exits.WRONG_JOB


def test_a_pod_without_its_engine_is_none_of_ours(secret):
    less = {key: value for key, value in ENVIRONMENT.items() if key != "PANHUB_REPORT_BASE"}
    with pytest.raises(exits.SessionFailedError, match="PANHUB_REPORT_BASE"):
        pod.read_job(less, secret)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [("10.244.0.7", "10.244.0.7"), ("fd00::7,10.244.0.7", "10.244.0.7"), ("fd00::7", None), ("", None)],
)
def test_a_session_listens_at_its_pods_ipv4_address(addresses, expected):
    if expected is None:
        with pytest.raises(exits.SessionFailedError, match="no IPv4 address"):
            pod.own_address(addresses)
    else:
        assert pod.own_address(addresses) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n", 2),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", 4),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 0),
        ("other", "", 0),
    ],
)
def test_the_kernels_count_of_ended_processes_is_read_in_both_kinds_of_cgroup(tmp_path, name, text, expected):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert pod.oom_kills(tmp_path) == expected


@pytest.fixture
def session(secret, tmp_path, capfdbinary):
    job, given = pod.read_job({**ENVIRONMENT, "HOME": str(tmp_path)}, secret)
    log = open_log(job.home, job.launch_id, pod.PodLog)
    return pod.PodSession(job, given, log, prefix="/opt/e", walltime_s=3600)


@pytest.mark.parametrize(
    ("deadline_in_s", "seconds", "expected"),
    [
        (None, 3600, False),
        (None, 3600 + 119, False),  # the engine's own end comes first
        (None, 3600 + 121, True),
        (7200, 3600 + 121, False),  # it was extended
        (7200, 7200 + 121, True),
        (60, 181, True),  # it was shortened
    ],
)
def test_a_session_knows_its_time_from_the_engine_or_from_its_pod(
    session, monkeypatch, deadline_in_s, seconds, expected
):
    now = time.time()
    if deadline_in_s is not None:
        session._correspondent.deadline = now + deadline_in_s
    monkeypatch.setattr(pod.time, "time", lambda: now + seconds)
    assert session.is_over() is expected


@pytest.mark.parametrize(
    ("code", "kills", "expected"),
    [(137, 1, exits.OUT_OF_MEMORY), (137, 0, 137), (1, 1, 1), (0, 0, 0)],
)
def test_a_server_that_the_kernel_ended_for_memory_is_told_apart(
    session, monkeypatch, capfdbinary, code, kills, expected
):
    class Ended(Minder):
        def __init__(self):
            self._end_at, self.was_over = None, False

        def run(self, *_):
            return code

    spec = {
        "size": {"cpus": 1, "memory_mib": 512},
        "account": {"name": "alice"},
        "environment": {"prefix": "/opt/e"},
        "mounts": [],
        "workdir": ".",
        "files": [],
        "data_link": None,
        "open_path": None,
    }
    monkeypatch.setattr(session._engine, "specification", lambda *_: spec)
    monkeypatch.setattr(session._engine, "send_log", lambda *_, **__: None)
    monkeypatch.setattr(session, "_check", lambda _: None)
    monkeypatch.setattr(pod, "oom_kills", lambda: kills)
    assert session.run(Ended()) == expected
    assert (b"more than the 512 MiB" in capfdbinary.readouterr().out) is (expected == exits.OUT_OF_MEMORY)


def test_both_sides_name_the_same_port_and_folders():
    assert pod.PORT == naming.PORT
    assert str(pod._SECRET) == mounts.SECRET_PATH
    assert (str(pod._SHARED), str(pod._JUPYTER)) == (mounts.SHARED, mounts.JUPYTER)


def test_what_an_operator_can_do_about_an_exit_code_is_said():
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes <= set(exits.SENTENCES)
