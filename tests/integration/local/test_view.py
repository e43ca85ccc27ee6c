"""What a session really sees, by reads and writes inside it."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from spawners.backend import State
from spawners.plan import PlannedFile
from tests.support.local import NOTEBOOK, run_inside, wait_until

VISIT = "/data/visitor/hc1/id11/20250101"


@pytest.fixture
async def inside(make_backend, quick_site, run_plan, bubblewrap):
    """Runs code inside one session with a view of its own."""
    _, port = await run_plan(make_backend(), quick_site.plan())

    async def run(code):
        return await asyncio.to_thread(run_inside, port, code)

    return run


async def test_raw_data_is_read_only_by_the_kernel_and_processed_is_writable(inside, quick_site):
    assert await inside(f"result = open('{VISIT}/RAW_DATA/secret.txt').read()") == "hc1 RAW_DATA"
    for code in (
        f"open('{VISIT}/RAW_DATA/secret.txt', 'w')",
        f"open('{VISIT}/RAW_DATA/new', 'w')",
        f"import os; os.unlink('{VISIT}/RAW_DATA/secret.txt')",
        f"import os; os.chmod('{VISIT}/RAW_DATA/secret.txt', 0o777)",
        f"import os; os.rename('{VISIT}/RAW_DATA', '{VISIT}/X')",
        "open('/data/visitor/x', 'w')",
        "open('/opt/panhub/run/deadline', 'w')",
        "open('/opt/panhub/session/start.py', 'a')",
        "open('/usr/bin/x', 'w')",
        "open('/etc/passwd', 'w')",
    ):
        # EACCES where the file is not even ours by its mode; never for the data, which is.
        allowed = {"EROFS", "EBUSY"} if VISIT in code else {"EROFS", "EACCES"}
        assert await inside(code + "; result = 'done'") in allowed, code
    await inside(f"open('{VISIT}/PROCESSED_DATA/out.txt', 'w').write('x'); result = 1")
    assert (quick_site.visit / "PROCESSED_DATA" / "out.txt").read_text() == "x"


async def test_other_proposals_homes_and_the_services_state_are_not_there(inside, quick_site, tmp_path):
    assert await inside("import os; result = os.listdir('/home')") == ["alice"]
    assert await inside("import os; result = os.listdir('/data/visitor')") == ["hc1"]
    assert sorted(await inside(f"import os; result = os.listdir('{VISIT}')")) == [
        "PROCESSED_DATA",
        "RAW_DATA",
    ]
    for path in (
        quick_site.root / "data" / "hc2" / "id11" / "20250101" / "RAW_DATA" / "secret.txt",
        quick_site.root / "data" / "hc1" / "id11" / "20250101" / "RAW_DATA" / "secret.txt",
        quick_site.root / "homes" / "bob" / "private.txt",
        quick_site.root / "homes" / "alice" / "private.txt",
        tmp_path / "state" / "run",
        Path("/etc/shadow"),
        Path("/var/run/docker.sock"),
        Path("/run/dbus"),
        Path("/root/.ssh"),
        Path("/sys/fs/cgroup"),
        Path(__file__),
    ):
        assert await inside(f"open('{path}'); result = 'open'") == "ENOENT", path


async def test_a_link_in_the_data_does_not_lead_out(inside, quick_site):
    for name, target in (
        ("up", "../../../../hc2/id11/20250101/RAW_DATA/secret.txt"),
        ("away", quick_site.root / "data" / "hc2" / "id11" / "20250101" / "RAW_DATA" / "secret.txt"),
    ):
        (quick_site.visit / "PROCESSED_DATA" / name).symlink_to(target)
        assert await inside(f"result = open('{VISIT}/PROCESSED_DATA/{name}').read()") == "ENOENT"


async def test_the_session_is_the_account_of_its_plan_without_any_privilege(inside):
    code = "import os, pwd; result = [os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name]"
    assert await inside(code) == [12345, 12345, "alice"]
    status = await inside("result = open('/proc/self/status').read()")
    capabilities = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm"))]
    assert [int(value, 16) for value in capabilities] == [0, 0]


async def test_only_the_sessions_own_processes_are_visible_and_no_secret_of_the_report(inside):
    code = (
        "import os; result = [open(f'/proc/{n}/cmdline').read() for n in os.listdir('/proc') if n.isdigit()]"
    )
    commands = await inside(code)
    assert len(commands) == 2
    assert any("start.py" in command for command in commands)
    environment = await inside("import os; result = dict(os.environ)")
    assert not any("report-" in value for value in environment.values())
    assert environment["HOME"] == "/home/alice"
    assert environment["PANHUB_DATA"] == "/"
    assert await inside("result = open('/proc/1/environ').read().count('TOKEN')") == 0
    assert await inside("import os; result = os.readlink('/proc/1/fd/0')") == "/dev/null"


async def test_temporary_files_are_the_sessions_own(inside, tmp_path):
    (tmp_path / "mark").touch()
    assert await inside(f"open('{tmp_path}/mark'); result = 'open'") == "ENOENT"
    assert await inside("open('/tmp/x', 'w').write('x'); result = open('/var/tmp/x').read()") == "x"
    assert not Path("/tmp/x").exists()


async def test_the_deadline_is_seen_and_follows_an_extension(make_backend, quick_site, run_plan, bubblewrap):
    from datetime import UTC, datetime

    backend, plan = make_backend(), quick_site.plan()
    handle, port = await run_plan(backend, plan)
    later = datetime(2100, 1, 1, tzinfo=UTC)
    await backend.set_deadline(plan.launch_id, handle, later)
    code = "import os; result = float(open(os.environ['PANHUB_DEADLINE_FILE']).read())"
    assert await asyncio.to_thread(run_inside, port, code) == later.timestamp()


async def test_a_view_of_links_names_the_data_by_its_own_paths(make_backend, quick_site, run_plan):
    backend, plan = make_backend("links"), quick_site.plan()
    _, port = await run_plan(backend, plan)
    code = f"import os; result = open(os.environ['PANHUB_DATA'] + '{VISIT}/RAW_DATA/secret.txt').read()"
    assert await asyncio.to_thread(run_inside, port, code) == "hc1 RAW_DATA"
    work = quick_site.home / "work" / "first"
    assert (work / "data" / "RAW_DATA" / "secret.txt").read_text() == "hc1 RAW_DATA"
    # What a plan's files are told beforehand is where the data is then.
    shown = backend.view(plan.launch_id, plan.account).shown(PurePosixPath(VISIT) / "RAW_DATA/secret.txt")
    assert Path(shown).read_text() == "hc1 RAW_DATA"


# --- working folder ---------------------------------------------------------------------------------


async def test_files_are_put_there_and_never_over_existing_ones(
    isolation, make_backend, quick_site, run_plan
):
    work = quick_site.home / "work" / "first"
    work.mkdir(parents=True)
    (work / "plot.ipynb").write_text("mine")
    files = (
        PlannedFile(PurePosixPath("plot.ipynb"), NOTEBOOK),
        PlannedFile(PurePosixPath("lib/tools.py"), "x = 1\n"),
    )
    _, port = await run_plan(make_backend(isolation), quick_site.plan(files=files))
    assert (work / "plot.ipynb").read_text() == "mine"
    assert json.loads((work / "plot-1.ipynb").read_text())["nbformat"] == 4
    assert (work / "lib" / "tools.py").read_text() == "x = 1\n"
    first = await asyncio.to_thread(
        run_inside, port, "import os; result = os.environ['JUPYTERHUB_DEFAULT_URL']"
    )
    assert first == "/lab/tree/work/first/plot-1.ipynb"


async def test_the_same_file_is_not_written_again(make_backend, quick_site, run_plan, bubblewrap):
    backend = make_backend()
    await run_plan(backend, quick_site.plan())
    await run_plan(backend, quick_site.plan())
    names = sorted(path.name for path in (quick_site.home / "work" / "first").iterdir())
    assert names == ["data", "plot.ipynb"]
    assert str((quick_site.home / "work" / "first" / "data").readlink()) == VISIT


@pytest.mark.parametrize("where", ["work", "work/first"])
async def test_a_working_folder_that_is_a_link_is_refused(
    isolation, where, make_backend, quick_site, run_plan
):
    elsewhere = quick_site.root / "elsewhere"
    elsewhere.mkdir()
    (quick_site.home / where).parent.mkdir(parents=True, exist_ok=True)
    (quick_site.home / where).symlink_to(elsewhere)
    backend, plan = make_backend(isolation), quick_site.plan()
    handle, _ = await run_plan(backend, plan, answers=False)
    await until_gone(backend, plan, handle)
    assert list(elsewhere.iterdir()) == []
    assert any("is a link" in line for line in await backend.log_tail(plan.launch_id, handle))


async def test_a_file_that_is_a_link_is_left_alone(make_backend, quick_site, run_plan):
    # In a view of links the session could reach what the link leads to.
    work, elsewhere = quick_site.home / "work" / "first", quick_site.root / "elsewhere.txt"
    work.mkdir(parents=True)
    (work / "plot.ipynb").symlink_to(elsewhere)
    await run_plan(make_backend("links"), quick_site.plan())
    assert not elsewhere.exists()
    assert (work / "plot-1.ipynb").is_file()


async def test_a_plan_without_data_or_files_starts(isolation, make_backend, quick_site, run_plan):
    plan = replace(
        quick_site.plan(), mounts=(), files=(), open_path=None, data_link=None, workdir=PurePosixPath(".")
    )
    _, port = await run_plan(make_backend(isolation), plan)
    assert port


async def until_gone(backend, plan, handle):
    async def state():
        return (await backend.status({plan.launch_id: handle}))[plan.launch_id].state

    for _ in range(200):
        if await state() is State.GONE:
            return
        await asyncio.sleep(0.05)
    wait_until(lambda: False, 0, "the end of the session")
