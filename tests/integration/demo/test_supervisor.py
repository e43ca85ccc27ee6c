"""The supervisor keeps real processes, and leaves none behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from hub.demo import supervisor as module
from hub.demo.supervisor import Program, StateLock, Supervisor, SupervisorError
from tests.support.required import require

ROOT = Path(__file__).parents[3]

SERVER = """
import http.server, os, pathlib, signal, subprocess, sys
port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "child").write_text(str(child.pid))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(str(os.getpid()).encode())
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def server(name, port, folder, *words, **more):
    argv = (sys.executable, "-c", SERVER, str(port), str(folder), *words)
    return Program(name, argv, {"PATH": os.environ["PATH"]}, f"http://127.0.0.1:{port}/", **more)


def pid_of(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        return int(answer.read())


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def becomes(question, seconds=20):
    for _ in range(seconds * 20):
        with contextlib.suppress(OSError):
            if await asyncio.to_thread(question):
                return
        await asyncio.sleep(0.05)
    pytest.fail("it did not happen in time")


async def test_programs_stop_in_reverse_order_and_are_gone(tmp_path, unused_ports):
    said = []
    first, second = unused_ports(2)
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(server("first", first, tmp_path))
    await supervisor.start(server("second", second, tmp_path))
    pids = [await asyncio.to_thread(pid_of, port) for port in (first, second)]
    await supervisor.aclose()
    assert all(is_gone(pid) for pid in pids)
    assert [line for line in said if line.startswith("stopping")] == ["stopping second", "stopping first"]
    assert not list((tmp_path / "run").iterdir())


async def test_a_program_that_dies_is_started_again(tmp_path, port, monkeypatch):
    monkeypatch.setattr(module, "BACK_OFF_S", (0.05,))
    supervisor = Supervisor(tmp_path, lambda line: None)
    await supervisor.start(server("one", port, tmp_path))
    before = await asyncio.to_thread(pid_of, port)
    os.kill(before, signal.SIGKILL)
    await becomes(lambda: pid_of(port) != before)
    await supervisor.aclose()
    assert is_gone(before)


async def test_a_program_that_ignores_the_signal_is_killed_with_its_children(tmp_path, port):
    supervisor = Supervisor(tmp_path, lambda line: None)
    await supervisor.start(server("one", port, tmp_path, "stubborn", stop_timeout_s=0.2))
    pid, child = await asyncio.to_thread(pid_of, port), int((tmp_path / "child").read_text())
    await supervisor.aclose()
    await becomes(lambda: is_gone(pid) and is_gone(child))


async def test_a_program_that_ends_at_once_shows_its_log(tmp_path, port):
    argv = (sys.executable, "-c", "raise SystemExit('the disk is on fire')")
    supervisor = Supervisor(tmp_path, lambda line: None)
    with pytest.raises(SupervisorError, match="the disk is on fire"):
        await supervisor.start(Program("one", argv, {}, f"http://127.0.0.1:{port}/"))
    await supervisor.aclose()


async def test_a_program_that_never_answers_is_given_up(tmp_path, port):
    argv = (sys.executable, "-c", "import time; time.sleep(600)")
    program = Program("one", argv, {}, f"http://127.0.0.1:{port}/", ready_timeout_s=0.3)
    supervisor = Supervisor(tmp_path, lambda line: None)
    with pytest.raises(SupervisorError, match="did not answer"):
        await supervisor.start(program)
    await supervisor.aclose()


async def test_logs_are_for_the_owner_only(tmp_path, port):
    supervisor = Supervisor(tmp_path, lambda line: None)
    await supervisor.start(server("one", port, tmp_path))
    log = supervisor.logs["one"]
    await supervisor.aclose()
    assert log.stat().st_mode & 0o777 == 0o600


def test_one_folder_serves_one_demo(tmp_path):
    with StateLock(tmp_path), pytest.raises(SupervisorError, match="already runs"), StateLock(tmp_path):
        pass
    with StateLock(tmp_path):
        pass


@contextlib.asynccontextmanager
async def killed_supervisor(folder, program, preparation=""):
    """A supervisor in a process of its own while its program runs; then it is killed."""
    code = f"""
import asyncio, sys
from pathlib import Path
from hub.demo.supervisor import Program, Supervisor
{preparation}
async def main():
    await Supervisor(Path({str(folder)!r}), lambda line: None).start({program})
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert await asyncio.to_thread(killed.stdout.readline) == "ready\n"
        yield
        killed.kill()


async def test_what_a_killed_supervisor_leaves_is_ended_by_the_next(tmp_path, port):
    alone = "import hub.demo.supervisor as module; module._dies_with_parent = lambda program: program.argv"
    argv = f"(sys.executable, '-c', {SERVER!r}, '{port}', {str(tmp_path)!r}, 'stubborn')"
    program = f"Program('one', {argv}, {{}}, 'http://127.0.0.1:{port}/')"
    async with killed_supervisor(tmp_path, program, alone):
        pass
    left = await asyncio.to_thread(pid_of, port)
    child = int((tmp_path / "child").read_text())
    supervisor = Supervisor(tmp_path, lambda line: None)
    await supervisor.start(server("one", port, tmp_path))
    assert await asyncio.to_thread(pid_of, port) != left
    await supervisor.aclose()
    await becomes(lambda: is_gone(left) and is_gone(child))


async def test_a_program_of_another_user_ends_with_a_supervisor_that_is_killed(tmp_path, port):
    require(os.geteuid() == 0, "root, to run a program as another user")
    argv = f"('/usr/bin/python3', '-c', {SERVER!r}, '{port}', '/')"
    program = f"Program('one', {argv}, {{}}, 'http://127.0.0.1:{port}/', user='daemon')"
    async with killed_supervisor(tmp_path, program):
        left = await asyncio.to_thread(pid_of, port)
        assert psutil.Process(left).username() == "daemon"
    await becomes(lambda: is_gone(left))
