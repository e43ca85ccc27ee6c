"""What a node makes of its job: environment, view, addresses, what Slurm's programs need, log."""

import ast
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from spawners.session import address, engine, exits, node, nodejob, nodeview, slurmclient, view
from spawners.session.nodejob import NodeJob, for_server
from spawners.session.sessionlog import SessionLog

CODE = Path(node.__file__).parent
JOB_ENVIRONMENT = {
    "PANHUB_LAUNCH_ID": "0123456789abcdef",
    "JUPYTERHUB_API_TOKEN": "the-token",
    "HOME": "/home/alice",
    "PANHUB_REPORT_BASE": "http://hub:8002",
    "PANHUB_VIEW": "bubblewrap",
    "PANHUB_LISTEN": "route",
    "PANHUB_READ_ONLY_PATHS": "/opt/a b\n/opt/c",
    "PANHUB_SESSION_CODE": "/code",
    "PANHUB_PYTHON": "/usr/bin/python3",
    "SLURM_JOB_ID": "7",
    "TMPDIR": "/scratch/7",
    "PATH": "/opt/mpi/bin:/usr/bin",
    "PYTHONPATH": "/opt/module/python",
    "PWD": "/home/alice",
}
SPEC = {
    "launch_id": "0123456789abcdef",
    "account": {"name": "alice", "uid": 1234, "gid": 1234, "home": "/home/alice"},
    "environment": {"title": "Core", "prefix": "/envs/core", "image": None},
    "size": {"cpus": 4, "memory_mib": 2048, "gpus": 1},
    "mounts": [{"source": "/storage/v/RAW", "target": "/data/v/RAW", "is_writable": False}],
    "workdir": "work",
    "files": [],
    "data_link": "data",
    "open_path": None,
}


def a_view(kind="bubblewrap", **more):
    return nodeview.NodeView(
        kind=kind,
        note="",
        folder=Path("/tmp/x"),
        shared=Path("/tmp/x/shared"),
        home="/home/alice",
        session_code="/opt/panhub/session",
        session_shared="/opt/panhub/run",
        jupyter="/opt/panhub/jupyter",
        data="/",
        **more,
    )


def start_of(kind="bubblewrap", **environment):
    job = NodeJob.read(JOB_ENVIRONMENT)
    given = {**JOB_ENVIRONMENT, **environment}
    return node.start_specification(job, SPEC, a_view(kind), given, host="10.0.0.7")


def test_what_is_missing_in_the_jobs_environment_is_named():
    job = NodeJob.read(JOB_ENVIRONMENT)
    assert job.read_only_paths == (Path("/opt/a b"), Path("/opt/c"))
    assert job.apptainer == "apptainer"
    assert NodeJob.read({**JOB_ENVIRONMENT, "PANHUB_APPTAINER": "/opt/a/apptainer"}).apptainer[0] == "/"
    for name in ("PANHUB_LAUNCH_ID", "JUPYTERHUB_API_TOKEN", "HOME"):
        less = {key: value for key, value in JOB_ENVIRONMENT.items() if key != name}
        with pytest.raises(exits.SessionFailedError, match=name):
            NodeJob.read(less)


def test_the_server_inherits_slurm_and_modules_but_nothing_that_is_ours_alone():
    found = start_of()["environment"]
    assert found["SLURM_JOB_ID"] == "7"
    assert found["JUPYTERHUB_API_TOKEN"] == "the-token"
    assert found["PATH"] == "/envs/core/bin:/opt/panhub/run/bin:/opt/mpi/bin:/usr/bin"
    assert found["PYTHONPATH"] == "/opt/panhub/session/python:/opt/module/python"
    assert found["PANHUB_DATA"] == "/"
    ours = {"PANHUB_REPORT_BASE", "PANHUB_VIEW", "PANHUB_SESSION_CODE", "PANHUB_PYTHON", "TMPDIR", "PWD"}
    assert not ours & set(found)
    assert not ours - {"TMPDIR"} & set(for_server(JOB_ENVIRONMENT))


def test_the_start_is_told_address_report_and_link():
    found = start_of()
    assert found["host"] == "10.0.0.7"
    assert found["report_url"] == "http://hub:8002/internal/reports/0123456789abcdef"
    assert found["report_secret"] not in json.dumps(found["environment"])
    assert found["data_link"] == {"path": "data", "target": "/data/v"}
    assert start_of("links")["dies_with_parent"]


def test_an_image_keeps_its_own_search_path():
    found = start_of("apptainer")
    assert found["environment"]["PATH"] == "/envs/core/bin:/opt/panhub/run/bin:/usr/local/bin:/usr/bin:/bin"
    assert found["environment"]["PYTHONPATH"] == "/opt/panhub/session/python"
    assert found["inherited"] == ["LD_LIBRARY_PATH"]
    assert start_of("apptainer", TZ="Asia/Tokyo")["environment"]["TZ"] == "Asia/Tokyo"
    command = node.first_command(SPEC, a_view("apptainer", apptainer=["/usr/bin/apptainer", "exec", "i.sif"]))
    assert command[:4] == ["/usr/bin/apptainer", "exec", "i.sif", "/envs/core/bin/python"]
    assert not any("token" in word for word in command)


@pytest.mark.parametrize(
    ("target", "zone"),
    [("/usr/share/zoneinfo/Europe/Paris", "Europe/Paris"), ("../usr/share/zoneinfo/UTC", "UTC"), (None, "")],
)
def test_an_image_is_told_the_nodes_time_zone(tmp_path, target, zone):
    link = tmp_path / "localtime"
    if target is None:
        link.touch()
    else:
        link.symlink_to(target)
    assert nodejob.time_zone(link) == zone


def test_what_a_module_sets_shows_nothing_more_in_a_container():
    given = {
        "APPTAINER_BIND": "/data",
        "SINGULARITY_BINDPATH": "/data",
        "APPTAINERENV_X": "1",
        "APPTAINER_TMPDIR": "/scratch",
        "PATH": "/bin",
    }
    node.forget_settings(given)
    assert given == {"APPTAINER_TMPDIR": "/scratch", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FATAL:   stat /opt/core/bin/python: no such file or directory", exits.NO_ENVIRONMENT),
        ("FATAL:   container creation failed: squashfuse_ll exited", exits.NO_VIEW),
        ("the server's own last word", None),
    ],
)
def test_why_a_container_could_not_start_is_told_apart(tmp_path, line, code):
    path = tmp_path / "session.log"
    path.write_text(f"before\n{line}\n")
    session = node.NodeSession(None, None, path, None, None)
    if code is None:
        session._look_for_view("FATAL: ", "/opt/core/")
        return
    with pytest.raises(exits.SessionFailedError) as found:
        session._look_for_view("FATAL: ", "/opt/core/")
    assert found.value.code == code


def test_apptainer_shows_exactly_what_is_named_whatever_the_names_are():
    words = view.apptainer_arguments(
        image="/images/a.sif",
        folder="/home/alice",
        home="/home/alice",
        binds=[view.Bind("/tmp/x", "/tmp", is_writable=True)],
        mounts=[view.Bind("/s/a,b", "/data/a,b/c"), view.Bind("/s/p", "/data/p", is_writable=True)],
        has_gpus=True,
    )
    mounts = [words[n + 1] for n, word in enumerate(words) if word == "--mount"]
    assert mounts == [
        "type=bind,source=/tmp/x,destination=/tmp",
        "type=bind,source=/s/p,destination=/data/p",
        'type=bind,"source=/s/a,b","destination=/data/a,b/c",ro',
    ]
    assert words[:2] == ["--quiet", "exec"]
    assert {"--containall", "--nv"} <= set(words)
    # A site's apptainer.conf may show all data in every container ("bind path").
    assert words[words.index("--no-mount") + 1] == "bind-paths,hostfs"
    assert words[-1] == "/images/a.sif"


def test_an_outer_mount_never_hides_an_inner_one():
    mounts = [view.Bind("/b", "/data/v/RAW"), view.Bind("/a", "/data/v")]
    assert [bind.target for bind in view.outer_first(mounts)] == ["/data/v", "/data/v/RAW"]


@pytest.mark.parametrize(
    ("wish", "image", "installed", "works", "expected"),
    [
        ("bubblewrap", None, {"bwrap"}, True, "bubblewrap"),
        ("bubblewrap", None, set(), False, exits.NO_VIEW),
        ("auto", None, {"bwrap"}, True, "bubblewrap"),
        ("auto", None, set(), False, "links"),
        ("links", None, {"bwrap"}, True, "links"),
        ("links", __file__, set(), False, exits.NO_VIEW),
        ("auto", __file__, {"apptainer"}, False, "apptainer"),
        ("bubblewrap", "/nowhere.sif", {"apptainer"}, True, exits.NO_ENVIRONMENT),
        ("apptainer", None, {"apptainer"}, True, exits.NO_VIEW),
    ],
)
def test_a_view_is_never_weaker_than_what_the_site_asked_for(
    monkeypatch, wish, image, installed, works, expected
):
    monkeypatch.setattr(
        nodeview.shutil, "which", lambda name, **_: f"/usr/bin/{name}" if name in installed else None
    )
    monkeypatch.setattr(nodeview, "why_not_bubblewrap", lambda: "" if works else "it is not installed")
    if isinstance(expected, str):
        kind, note = nodeview.choose(wish, image)
        assert kind == expected
        assert ("NOT ISOLATED" in note) == (kind == "links")
    else:
        with pytest.raises(exits.SessionFailedError) as found:
            nodeview.choose(wish, image)
        assert found.value.code == expected


def test_data_that_cannot_be_read_is_named(tmp_path):
    nodeview.check_mount({"source": str(tmp_path)})
    with pytest.raises(exits.SessionFailedError, match="/nowhere/raw cannot be read: No such file") as found:
        nodeview.check_mount({"source": "/nowhere/raw"})
    assert found.value.code == exits.NO_DATA


@pytest.mark.parametrize(
    ("listen", "has", "expected"),
    [
        ("any", None, "0.0.0.0"),
        ("route", "10.1.2.3", "10.1.2.3"),
        ("10.1.0.0/16", "10.1.2.3", "10.1.2.3"),
        ("10.1.2.3/32", "10.1.2.3", "10.1.2.3"),
        ("10.2.0.0/16", "10.1.2.3", None),
        ("10.2.0.0/99", "10.1.2.3", None),
        ("route", None, None),
    ],
)
def test_a_session_listens_where_the_site_says(monkeypatch, listen, has, expected):
    def source_address(host, port):
        if has is None:
            raise OSError("Network is unreachable")
        return has

    monkeypatch.setattr(address, "source_address", source_address)
    if expected is not None:
        assert address.listen_address(listen, ("hub", 8002)) == expected
        return
    with pytest.raises(exits.SessionFailedError):
        address.listen_address(listen, ("hub", 8002))


CONF = """
# comment
ClusterName=pan
SlurmUser=daemon
  slurmduser=root
AuthInfo=cred_expire=30,socket={folder}/munge/munge.socket.2
NodeName=a NodeAddr=1.2.3.4
"""


def test_slurms_programs_are_shown_their_configuration_socket_and_accounts(tmp_path):
    (tmp_path / "munge").mkdir()
    conf = tmp_path / "slurm.conf"
    conf.write_text(CONF.format(folder=tmp_path))
    (tmp_path / "gres.conf").touch()
    (tmp_path / "notes.txt").touch()
    found = slurmclient.slurm_client({"SLURM_CONF": str(conf), "PATH": "/usr/bin"})
    shown = {str(part.path) for part in found.shown if not str(part.path).startswith("/run/")}
    assert shown == {f"{tmp_path}/slurm.conf", f"{tmp_path}/gres.conf", f"{tmp_path}/munge"}
    assert [user[0] for user in found.users if user[0] != "munge"] == ["daemon"]


@pytest.mark.parametrize(
    ("auth_info", "path"),
    [
        ("", "/run/munge"),
        ("socket=/run/munge/munge.socket.2", "/run/munge"),
        ("socket=/tmp/munge.socket", "/tmp/munge.socket"),
        ("cred_expire=3,socket=/var/run/m.socket", "/var/run/m.socket"),
    ],
)
def test_the_socket_is_shown_by_its_folder_unless_others_share_it(auth_info, path):
    assert str(slurmclient.socket_path({"authinfo": auth_info})) == path


def test_a_log_is_cut_to_what_the_engine_takes():
    lines = [f"line {number} \x1b[31mred\x07" for number in range(500)]
    found = engine.bounded(lines)
    assert len(found) == engine.MOST_LINES
    assert found[-1] == "line 499 red"
    wide = engine.bounded(["é\u2028" * 800] * 100)
    assert 0 < len(wide) < 100
    assert len(json.dumps({"lines": wide})) <= engine.MOST_TAIL_BYTES


def test_the_log_follows_no_link_and_is_the_persons_alone(tmp_path):
    log = nodejob.open_log(tmp_path, "a" * 16)
    log.write(b"x\n")
    path = tmp_path / ".panhub" / "logs" / f"{'a' * 16}.log"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(exits.SessionFailedError):
        nodejob.open_log(tmp_path, "a" * 16)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".panhub").symlink_to(tmp_path)
    with pytest.raises(exits.SessionFailedError) as found:
        nodejob.open_log(other, "a" * 16)
    assert found.value.code == exits.NO_HOME


def test_slurms_own_output_moves_into_the_log(tmp_path):
    log = SessionLog(tmp_path / "log")
    first = tmp_path / ".panhub-x.log"
    first.write_text("module: nothing\n")
    with first.open("a") as slurm:
        left = nodejob.take_over(first, log)
        assert not first.exists()
        print("CANCELLED DUE TO TIME LIMIT", file=slurm, flush=True)
        import os

        assert os.read(left, 1000) == b"CANCELLED DUE TO TIME LIMIT\n"
        os.close(left)
    assert (tmp_path / "log").read_text() == "module: nothing\n"
    assert nodejob.take_over(first, log) is None


def test_a_job_from_inside_does_not_take_over_the_sessions_allocation(tmp_path):
    for folder in ("own", "real"):
        (tmp_path / folder).mkdir()
    nodeview.write_programs(tmp_path / "own" / "bin")
    real = tmp_path / "real" / "sbatch"
    real.write_text('#!/bin/sh\nenv\nprintf "%s\\n" "$@"\n')
    real.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}/own/bin:{tmp_path}/real:/usr/bin:/bin",
        "SRUN_CPUS_PER_TASK": "4",
        "SLURM_CPUS_PER_TASK": "4",
        "SLURM_MEM_PER_NODE": "1",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_WCKEY": "panhub:x",
        "SBATCH_WCKEY": "panhub:x",
        "JUPYTERHUB_API_TOKEN": "the-token",
        "KEPT": "a\nSLURM_ODD=1",
    }
    done = subprocess.run(
        ["sbatch", "-n", "two words", "$x"], env=environment, capture_output=True, text=True, cwd=tmp_path,
        executable=tmp_path / "own" / "bin" / "sbatch",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("-n\ntwo words\n$x\n")
    for name in ("SLURM_CONF=", "SLURM_WCKEY=", "SBATCH_WCKEY=", "KEPT="):
        assert name in done.stdout
    for name in ("CPUS_PER_TASK", "MEM_PER_NODE", "the-token"):
        assert name not in done.stdout


IMPORTED_BY_NODES = sorted(
    path
    for path in CODE.glob("*.py")
    if path.name not in {"__init__.py", "desktop.py", "desktopmenu.py", "kernels.py", "start.py"}
)


@pytest.mark.parametrize("path", IMPORTED_BY_NODES, ids=lambda path: path.name)
def test_what_nodes_run_is_python_3_9_and_the_standard_library_alone(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for part in ast.walk(tree):
        if isinstance(part, ast.ImportFrom):
            top = part.module.partition(".")[0]
            assert top in sys.stdlib_module_names or part.module.startswith("spawners.session"), part.module
        elif isinstance(part, ast.Import):
            assert all(name.name.partition(".")[0] in sys.stdlib_module_names for name in part.names)
        elif isinstance(part, ast.keyword):
            assert part.arg not in {"slots", "kw_only"}


def test_the_code_runs_from_any_folder_and_says_what_a_job_lacks(tmp_path):
    import shutil

    shutil.copytree(CODE, tmp_path / "anything-7", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-I", "-S", str(tmp_path / "anything-7" / "node.py")]
    done = subprocess.run(command, env={}, capture_output=True, text=True, cwd="/")
    assert done.returncode == exits.WRONG_JOB
    assert done.stderr == "The job's environment lacks PANHUB_LAUNCH_ID.\n"
    assert isinstance(node, types.ModuleType)
