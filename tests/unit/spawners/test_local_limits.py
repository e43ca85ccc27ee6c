"""Run folder, log, cgroup files and the watch on memory."""

import os
import subprocess
import sys

import pytest

from spawners.local.cgroup import Cgroup
from spawners.local.memory import MemoryWatch
from spawners.local.processes import descendants, open_process, start_time
from spawners.local.runfolder import RunFolder, read_json, write_json
from spawners.session import sessionlog


@pytest.fixture
def sleeper():
    with subprocess.Popen(
        [sys.executable, "-c", "x = bytearray(50 << 20); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_the_largest_process_over_the_limit_is_killed_and_named(sleeper):
    victim = MemoryWatch(20).look([sleeper.pid], spared=set())
    assert victim.pid == sleeper.pid
    assert victim.parent == os.getpid()
    assert "of its 20 MiB" in victim.message
    assert sleeper.wait(10) == -9


def test_below_the_limit_and_among_the_spared_nothing_is_killed(sleeper):
    assert MemoryWatch(2000).look([sleeper.pid], spared=set()) is None
    assert MemoryWatch(20).look([sleeper.pid], spared={sleeper.pid}) is None
    assert sleeper.poll() is None


def test_near_the_limit_the_watch_looks_more_often(sleeper):
    watch = MemoryWatch(80)
    watch.look([sleeper.pid], spared=set())
    near = watch.pause_s
    watch.look([], spared=set())
    assert near < watch.pause_s


def test_a_process_is_known_by_its_start_time(sleeper):
    started = start_time(sleeper.pid)
    descriptor = open_process(sleeper.pid, started)
    os.close(descriptor)
    assert open_process(sleeper.pid, started + 1) is None
    assert sleeper.pid in descendants(os.getpid())
    sleeper.kill()
    sleeper.wait()
    assert start_time(sleeper.pid) is None
    assert open_process(sleeper.pid, started) is None


def test_a_cgroup_gets_limits_and_tells_kills(tmp_path):
    group = Cgroup(tmp_path, "abc")
    group.make(cpus=2, memory_mib=512)
    files = {path.name: path.read_text() for path in (tmp_path / "session-abc").iterdir()}
    assert files["memory.max"] == str(512 * 2**20)
    assert files["cpu.max"] == "200000 100000"
    assert group.oom_kills() == 0
    (tmp_path / "session-abc" / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2


def test_a_log_is_bounded_and_its_tail_is_plain_text(tmp_path, monkeypatch):
    monkeypatch.setattr(sessionlog, "_MOST_BYTES", 1000)
    log = sessionlog.SessionLog(tmp_path / "x.log")
    for n in range(500):
        log.write(f"\x1b[31mline {n}\x1b[0m\n".encode())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    assert sessionlog.tail(tmp_path / "x.log", 2) == ["line 498", "line 499"]
    assert sessionlog.tail(tmp_path / "none.log", 2) == []


def test_a_deadline_is_read_as_written_and_junk_is_none(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.make()
    assert run.read_deadline() is None
    run.write_deadline(1234.5)
    assert run.read_deadline() == 1234.5
    run.deadline.write_text("soon")
    assert run.read_deadline() is None


def test_files_of_a_run_are_for_us_alone_and_half_written_ones_are_none(tmp_path):
    write_json(tmp_path / "a.json", {"x": 1})
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    assert read_json(tmp_path / "a.json") == {"x": 1}
    (tmp_path / "a.json").write_text('{"x"')
    assert read_json(tmp_path / "a.json") is None
