"""A desktop without a view of its own, and where it cannot be: with a server that starts at once."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spawners.backend import SubmitError
from spawners.local.backend import LocalBackend
from spawners.local.processes import of_launch
from spawners.local.settings import LocalSettings
from spawners.plan import Interface
from spawners.session import desktop, exits, start
from spawners.session.desktopchild import desktop_specification
from tests.support.local import Site, credentials, hub_stub, quick_environment, wait_until
from tests.support.required import require
from tests.support.rfb import connect_socket


def folder_of(launch_id):
    """The private folder, as the server was told."""
    for pid in of_launch(launch_id):
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(b"PANHUB_DESKTOP_FOLDER="):
                return Path(os.fsdecode(variable.partition(b"=")[2]))
    return None


@pytest.fixture
async def backend(tmp_path):
    made = LocalBackend(LocalSettings(state=tmp_path / "state", isolation="off", grace_s=3))
    yield made
    await made.aclose()


async def test_without_a_view_of_its_own_everything_ends_with_the_session(backend, tmp_path):
    require(not desktop.why_not(), desktop.why_not())
    site = Site(tmp_path / "site", quick_environment(tmp_path / "environment"))
    plan = site.plan(interface=Interface.DESKTOP)
    with hub_stub() as hub:
        handle = dict((await anext(backend.start(plan, credentials(hub, plan)))).handle)
        try:
            await asyncio.to_thread(wait_until, lambda: hub.reports, 60)
            folder = await asyncio.to_thread(wait_until, lambda: folder_of(plan.launch_id), 30)
            assert len(str(folder)) < 90
            assert folder.stat().st_mode & 0o777 == 0o700
            await asyncio.to_thread(wait_until, (folder / "display").exists, 60)
            client, writer = await connect_socket(folder / "rfb", (folder / "password").read_text())
            async with asyncio.timeout(60):
                await client.until(lambda now: now.colours() > 5)
            writer.close()
        finally:
            await backend.stop(plan.launch_id, handle)
    assert not of_launch(plan.launch_id)
    assert not folder.exists()


async def test_where_programs_lack_it_is_refused_with_what_to_install(backend, tmp_path, monkeypatch):
    site = Site(tmp_path / "site", quick_environment(tmp_path / "environment"))
    plan = site.plan(interface=Interface.DESKTOP)
    monkeypatch.setattr(desktop, "_XVNC", ())
    monkeypatch.setitem(desktop._NEEDED, "Xvnc (TigerVNC)", ("no-such-program",))
    with hub_stub() as hub, pytest.raises(SubmitError, match=r"Xvnc \(TigerVNC\).*apt install tigervnc"):
        await anext(backend.start(plan, credentials(hub, plan)))
    without = replace(plan, interface=Interface.LAB)
    with hub_stub() as hub:
        handle = dict((await anext(backend.start(without, credentials(hub, without)))).handle)
        await asyncio.to_thread(wait_until, lambda: hub.reports, 60)
        assert folder_of(without.launch_id) is None
        await backend.stop(without.launch_id, handle)


async def test_a_node_without_the_programs_ends_the_session_with_its_own_code(tmp_path):
    (tmp_path / "home").mkdir()
    made = desktop_specification("/home/x", "/run/j", [], ".")
    spec = {
        "environment": {"PATH": str(tmp_path)},
        "command": [str(tmp_path / "bin" / "server")],
        "home": str(tmp_path / "home"),
        "workdir": "work",
        "files": [],
        "data_link": None,
        "open_path": None,
        "report_url": "http://127.0.0.1:9/",
        "report_secret": "secret",
        "dies_with_parent": False,
        "host": "127.0.0.1",
        "kernels": None,
        "desktop": made,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", start.__file__),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate(json.dumps(spec).encode())
    assert process.returncode == exits.NO_DESKTOP
    assert said.startswith(b"A desktop needs programs that are not installed here: Xvnc")
