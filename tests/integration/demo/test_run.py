"""The whole demo comes up on free ports, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import astuple
from pathlib import Path

import psutil
import pytest
from tornado.httpclient import AsyncHTTPClient

from hub.check import Level, run_checks
from hub.demo.configure import SECRETS, free_ports, is_free
from hub.demo.install import SESSION_ENVIRONMENT, find_node
from hub.demo.run import running_demo, welcome
from hub.demo.site import SiteError
from hub.demo.supervisor import StateLock, SupervisorError
from hub.settings import SERVICE_PREFIX, read_secret
from tests.support.loopwatch import environment, read_report
from tests.support.required import require

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Folder of a demo; its facility is made once for all tests here."""
    require(find_node(), "Node 20 (make demo installs it)")
    require((SESSION_ENVIRONMENT / "bin/python").exists(), "the notebook environment (make demo installs it)")
    umask = os.umask(0o077)
    yield tmp_path_factory.mktemp("demo")
    os.umask(umask)


async def get(url):
    return await AsyncHTTPClient().fetch(url, raise_error=False, follow_redirects=False)


async def test_the_demo_answers_leads_to_sign_in_and_leaves_nothing(state, monkeypatch):
    report = state / "violations.jsonl"
    for name, value in environment(report).items():
        monkeypatch.setenv(name, value)
    ports = free_ports()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    async with running_demo(state, ports, lambda line: None) as demo:
        findings = await run_checks(demo.config)
        assert [f for f in findings if f.level is Level.FAULT] == []
        home = await get(f"{demo.url}{SERVICE_PREFIX}/")
        assert home.code == 302
        assert "/hub/api/oauth2/authorize" in home.headers["Location"]
        assert "Maja Lindqvist" in welcome(demo, 1.0)
        assert (await get(f"{demo.url}/internal/sessions")).code in {302, 404}
        logs = [path.read_text() for path in demo.logs.values()]
        secrets = [read_secret(state / "secrets" / name) for name in SECRETS]
        arguments = [
            " ".join(child.cmdline())
            for child in psutil.Process().children(recursive=True)
            if child.is_running()
        ]
        assert not any(secret in text for secret in secrets for text in (*logs, *arguments))
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert all(is_free(port) for port in astuple(ports))
    assert read_report(report) == []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_whole_demo(state, kind):
    command = [sys.executable, "-m", "hub.cli", "demo", "--ports", "free", "--state", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "PaNHub is ready" in line:
                break
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4
        process.send_signal(kind)
        process.wait(timeout=60)
        expected = -signal.SIGKILL if kind is signal.SIGKILL else 0
        assert process.returncode == expected
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_a_start_that_is_interrupted_leaves_nothing(state):
    command = [sys.executable, "-m", "hub.cli", "demo", "--ports", "free", "--state", str(state)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "is ready" in line:
                break
        time.sleep(0.5)  # the others are on their way
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


async def test_a_second_demo_on_the_same_folder_is_refused(state):
    with StateLock(state), pytest.raises(SupervisorError, match="already runs"):
        async with running_demo(state, free_ports(), lambda line: None):
            pass


class SlowSite:
    """A site whose start waits for a cluster that never comes up, until the site is stopped."""

    place = "none"
    has_desktops = False

    def __init__(self):
        self.done = []
        self.is_starting, self._is_stopped = threading.Event(), threading.Event()

    def start(self, say):
        say("starting a cluster")
        self.is_starting.set()
        self._is_stopped.wait(60.0)
        self.done.append("cut short")
        say("bringing images")
        self.done.append("goes on")

    def share_data(self):
        raise SiteError("setfacl cannot be run: install the package acl.")

    def stop(self):
        self._is_stopped.set()
        self.done.append("stopped")


async def test_a_sites_start_that_is_cancelled_ends_at_its_next_step_before_the_site_is_stopped(state):
    site = SlowSite()

    async def run():
        async with running_demo(state, free_ports(), lambda line: None, site, with_desktops=False):
            pass

    task = asyncio.create_task(run())
    await asyncio.to_thread(site.is_starting.wait, 60.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(site.done[:2]) == ["cut short", "stopped"]
    assert site.done[2:] == ["stopped"]


async def test_what_a_site_cannot_do_is_told(state):
    site = SlowSite()
    site.start = lambda say: None
    with pytest.raises(SupervisorError, match="install the package acl"):
        async with running_demo(state, free_ports(), lambda line: None, site, with_desktops=False):
            pass
    assert site.done == ["stopped"]
