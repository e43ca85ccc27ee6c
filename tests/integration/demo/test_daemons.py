"""A cluster's daemons are real processes, children of what enters the cluster's namespaces."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from hub.demo.daemons import Daemon
from hub.demo.site import SiteError

# As nsenter(1) does: it forks a moment after its start, and ends with its child.
_ENTER = """
import subprocess, sys, time
time.sleep(0.3)
sys.exit(subprocess.run(["sh", "-c", sys.argv[1]]).returncode)
"""


def _daemon(folder, script):
    return Daemon("one", [sys.executable, "-c", _ENTER, script], {"PATH": "/bin"}, folder / "one.log")


def _becomes(is_so):
    deadline = time.monotonic() + 30.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("end", [Daemon.kill, Daemon.stop], ids=["killed", "stopped"])
def test_one_that_was_just_started_can_be_ended(tmp_path, end):
    daemon = _daemon(tmp_path, "exec sleep 600")
    daemon.start()
    wrapper = daemon._wrapper.pid
    end(daemon)
    assert not daemon.is_running
    assert not psutil.pid_exists(wrapper)


def test_one_that_ends_between_two_signals_is_ended(tmp_path, monkeypatch):
    daemon = _daemon(tmp_path, "exec sleep 600")
    daemon.start()
    send = psutil.Process.send_signal

    def send_and_wait(process, number):
        send(process, number)
        _becomes(lambda: not daemon.is_running)

    monkeypatch.setattr(psutil.Process, "send_signal", send_and_wait)
    daemon.stop()
    assert not daemon.is_running


def test_one_that_is_frozen_goes_on_when_thawed(tmp_path):
    daemon = _daemon(tmp_path, "exec sleep 600")
    daemon.start()
    daemon.freeze()
    process = psutil.Process(daemon.pid)
    _becomes(lambda: process.status() == psutil.STATUS_STOPPED)
    assert daemon.is_running
    daemon.thaw()
    _becomes(lambda: process.status() != psutil.STATUS_STOPPED)
    daemon.stop()
    with pytest.raises(SiteError, match="one does not run"):
        daemon.freeze()


def test_one_that_ends_says_the_end_of_its_log(tmp_path):
    daemon = _daemon(tmp_path, "echo no such key; exit 3")
    daemon.start()
    with pytest.raises(SiteError, match=r"one ended\. The end of .*one\.log:\nno such key"):
        daemon.wait(lambda: False, "did not answer", 30.0)
