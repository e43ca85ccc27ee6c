"""The view of a session, as arguments and as links; pure."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from spawners.local.specification import server_environment, start_specification
from spawners.local.view import (
    HostPaths,
    bubblewrap_view,
    data_folder,
    links_view,
)
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
    Size,
)
from spawners.session.machine import Shown, interpreter_paths
from spawners.session.view import group, passwd

HOST = HostPaths(
    *(Path(f"/state/{name}") for name in ("home", "code", "shared", "jupyter", "etc", "tmp", "view"))
)
VISIT = PurePosixPath("/data/visitor/hc1/id11/20250101")

PLAN = LaunchPlan(
    launch_id=LaunchId("0123456789abcdef"),
    username="alice",
    server_name="one",
    interface=Interface.LAB,
    account=Account("alice", 1234, 1235, PurePosixPath("/state/home")),
    environment=Environment("core", "Core", PurePosixPath("/envs/core"), "0" * 64),
    size=Size("small", "Small", 2, 1024),
    place="local",
    walltime=timedelta(hours=1),
    mounts=(
        Mount(PurePosixPath("/storage/raw"), VISIT / "RAW_DATA", MountMode.READ_ONLY, "team"),
        Mount(PurePosixPath("/storage/processed"), VISIT / "PROCESSED_DATA", MountMode.READ_WRITE, "team"),
    ),
    files=(PlannedFile(PurePosixPath("a.ipynb"), f'"{VISIT}/RAW_DATA/scan.h5"'),),
    data_link=PurePosixPath("data"),
)


def triples(arguments, option):
    return [tuple(arguments[n + 1 : n + 3]) for n, argument in enumerate(arguments) if argument == option]


def own_view(plan=PLAN):
    return bubblewrap_view(
        plan, HOST, system=[Shown(Path("/usr")), Shown(Path("/bin"), "usr/bin")], software=[]
    )


def test_raw_is_bound_read_only_and_processed_writable():
    arguments = own_view().arguments
    assert ("/storage/raw", f"{VISIT}/RAW_DATA") in triples(arguments, "--ro-bind")
    assert ("/storage/processed", f"{VISIT}/PROCESSED_DATA") in triples(arguments, "--bind")


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(list(MountMode))), unique_by=lambda x: x[0]
    )
)
def test_exactly_the_mounts_of_the_plan_are_shown_and_in_their_mode(wanted):
    mounts = tuple(
        Mount(PurePosixPath(f"/storage/{name}"), PurePosixPath(f"/data/{name}"), mode, "team")
        for name, mode in wanted
    )
    arguments = own_view(replace(PLAN, mounts=mounts)).arguments
    writable = {source for source, _ in triples(arguments, "--bind")}
    shown = writable | {source for source, _ in triples(arguments, "--ro-bind")}
    assert {s for s in shown if s.startswith("/storage")} == {str(m.source) for m in mounts}
    assert writable == {"/state/home", "/state/tmp", "/state/jupyter"} | {
        str(m.source) for m in mounts if m.mode is MountMode.READ_WRITE
    }


def test_the_root_of_the_view_is_closed_last_and_nothing_is_privileged():
    arguments = own_view().arguments
    assert arguments[-4:] == ("--remount-ro", "/", "--chdir", "/home/alice")
    assert triples(arguments, "--cap-drop")[0][0] == "ALL"
    assert "--die-with-parent" in arguments


def test_links_name_the_data_below_the_run_folder():
    view = links_view(PLAN, HOST)
    assert view.arguments is None
    assert view.links[0] == (PurePosixPath(f"/state/view{VISIT}/RAW_DATA"), PurePosixPath("/storage/raw"))
    assert data_folder(PLAN, view) == PurePosixPath(f"/state/view{VISIT}")
    assert data_folder(replace(PLAN, mounts=()), view) is None


def test_the_servers_environment_is_ours_where_the_place_knows_better():
    given = {
        "PATH": "/hub/bin",
        "PYTHONPATH": "/hub",
        "LD_PRELOAD": "x",
        "HOME": "/root",
        "JUPYTERHUB_USER": "a",
    }
    found = server_environment(PLAN, given, own_view())
    assert found["PATH"].startswith("/envs/core/bin:")
    assert found["HOME"] == "/home/alice"
    assert found["PYTHONPATH"] == "/opt/panhub/session/python"
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["JUPYTERHUB_USER"] == "a"
    assert "LD_PRELOAD" not in found


def test_the_report_secret_is_not_in_the_servers_environment():
    credentials = Credentials({"JUPYTERHUB_API_TOKEN": "t"}, "http://127.0.0.1:1/r", "the-secret")
    found = start_specification(PLAN, credentials, own_view())
    assert found["report_secret"] == "the-secret"
    assert "the-secret" not in str(found["environment"])


def test_passwd_and_group_know_the_account():
    found = passwd("alice", 1234, 1235, "/home/alice", system=[("slurm", 64030, 64030)])
    assert "alice:x:1234:1235:alice:/home/alice:/bin/bash\n" in found
    assert "slurm:x:64030:64030:" in found
    assert "alice:x:1235:\n" in group("alice", 1235)


def test_a_virtual_environment_shows_its_interpreter_and_the_links_to_it_and_no_more(tmp_path):
    base = tmp_path / "pythons" / "3.11.7"
    (base / "bin").mkdir(parents=True)
    (base / "bin" / "python3.11").touch()
    (tmp_path / "pythons" / "3.11").symlink_to("3.11.7")
    (tmp_path / "local" / "bin").mkdir(parents=True)
    (tmp_path / "local" / "bin" / "python3.11").symlink_to(
        tmp_path / "pythons" / "3.11" / "bin" / "python3.11"
    )
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(tmp_path / "local" / "bin" / "python3.11")
    (prefix / "pyvenv.cfg").write_text(f"home = {tmp_path}/local/bin\n")
    shown = set(interpreter_paths(prefix))
    assert shown == {
        Shown(prefix),
        Shown(base),
        Shown(tmp_path / "pythons" / "3.11", "3.11.7"),
        Shown(
            tmp_path / "local" / "bin" / "python3.11",
            str(tmp_path / "pythons" / "3.11" / "bin" / "python3.11"),
        ),
    }


def test_a_prefix_that_is_a_link_is_shown_as_one_and_what_it_leads_to_as_a_folder(tmp_path: Path) -> None:
    made = tmp_path / "core-2026"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "python").symlink_to("/usr/bin/python3")
    current = tmp_path / "current"
    current.symlink_to("core-2026")
    assert set(interpreter_paths(current)) == {Shown(current, "core-2026"), Shown(made)}
