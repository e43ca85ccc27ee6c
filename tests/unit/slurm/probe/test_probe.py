"""The look from a node: what it finds, what its exit code says, and that its script is fixed text."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest

from spawners.slurm.probe import node
from spawners.slurm.probe.job import Asked, probe_spec, views_of
from spawners.slurm.probe.verdict import verdict
from spawners.slurm.settings import CliSettings, ClusterSettings

ME = pwd.getpwuid(os.getuid()).pw_name
CLUSTER = ClusterSettings(
    transport=CliSettings(kind="cli"), session_code=PurePosixPath("/opt/panhub/session")
)


@pytest.fixture
def asked(tmp_path):
    """What is all there; hub and service are left out."""
    program = tmp_path / "prefix/bin/jupyterhub-singleuser"
    for path in (program, tmp_path / "code/node.py", tmp_path / "image.sif"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    program.chmod(0o755)
    return asdict(
        Asked(
            user=ME,
            hub="",
            service="",
            prefixes=[str(tmp_path / "prefix")],
            files=[str(tmp_path / "image.sif")],
            session_code=str(tmp_path / "code"),
            home=str(tmp_path),
            views=["links"],
        )
    )


def test_where_all_is_there_the_code_is_zero(asked):
    assert node.look(asked) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prefixes": ["/opt/not-there"]}, node.ENVIRONMENT),
        ({"files": ["/opt/not-there.sif"]}, node.ENVIRONMENT),
        ({"session_code": "/opt/not-there"}, node.SESSION_CODE),
        ({"home": "/proc"}, node.HOME),
        ({"home": "/not-there"}, node.HOME),
        ({"views": []}, node.VIEW),
        ({"image": "/opt/x.sif", "apptainer": "/opt/not-there"}, node.VIEW),
        ({"image": "/opt/x.sif", "apptainer": "false"}, node.VIEW),
        ({"image": "/opt/x.sif", "apptainer": "true"}, 0),
        ({"user": "somebody-else"}, node.OTHER_ACCOUNT),
        ({"home": "/proc", "session_code": "/not-there"}, node.HOME | node.SESSION_CODE),
    ],
)
def test_each_thing_that_is_missing_has_its_number(asked, change, code):
    assert node.look({**asked, **change}) == code


def test_a_program_that_cannot_be_run_is_no_environment(asked, tmp_path):
    (tmp_path / "prefix/bin/jupyterhub-singleuser").chmod(0o644)
    assert node.look(asked) == node.ENVIRONMENT


@pytest.mark.parametrize(("clock", "code"), [(0.0, 0), (29.0, 0), (31.0, node.CLOCK), (None, node.SERVICE)])
def test_the_clock_is_told_by_the_services_answer(asked, monkeypatch, clock, code):
    monkeypatch.setattr(node, "fetch", lambda _url, _sign: clock)
    assert node.look({**asked, "service": "http://service.example/internal/"}) == code
    assert node.look({**asked, "hub": "http://hub.example/hub/api/"}) == (node.HUB if clock is None else 0)


def test_no_two_findings_share_a_code():
    bits = [node.HUB, node.SERVICE, node.CLOCK, node.ENVIRONMENT, node.SESSION_CODE, node.HOME, node.VIEW]
    assert bits == [1 << place for place in range(7)]
    early = [node.NO_PYTHON, node.OLD_PYTHON, node.OTHER_ACCOUNT, node.CRASHED]
    assert len(set(early)) == 4
    # The clock is not known without the service's answer, so no sum of findings is one of these.
    assert all(code & node.SERVICE and code & node.CLOCK and code < 128 for code in early)


def read(code: int) -> list[str]:
    asked = Asked(
        user="maja",
        hub="http://hub.example/hub/api/",
        service="http://service.example/internal/",
        prefixes=["/opt/pan"],
        files=["/opt/pan.sif"],
        session_code="/opt/panhub/session",
        home="/home/maja",
        views=["bubblewrap"],
    )
    found = verdict(code, asked, CLUSTER, "cpu1")
    assert all("cpu1" in one.text and one.mend.endswith((".", ")")) for one in found)
    return [one.what for one in found]


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (0, []),
        (1, ["hub"]),
        (2, ["service"]),
        (3, ["hub", "service"]),
        (4, ["clock"]),
        (8, ["environment"]),
        (16, ["session code"]),
        (32, ["home"]),
        (64, ["view"]),
        (121, ["hub", "environment", "session code", "home", "view"]),
        (node.NO_PYTHON, ["python"]),
        (node.OLD_PYTHON, ["python"]),
        (node.OTHER_ACCOUNT, ["account"]),
        (node.CRASHED, ["probe"]),
        (128, ["probe"]),
        (-9, ["probe"]),
    ],
)
def test_what_a_code_says(code, what):
    assert read(code) == what


def run(asked, **environment: str) -> int:
    spec = probe_spec(Asked(**asked), CLUSTER, "cpu")
    values = {**spec.environment, "PANHUB_PYTHON": sys.executable, **environment}
    done = subprocess.run(["sh"], input=spec.script, text=True, env=values, check=False, capture_output=True)
    assert done.stdout == ""
    return done.returncode


def test_the_job_is_this_script(asked, tmp_path):
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert run(asked) == 0
    assert run({**asked, "home": "/proc"}) == node.HOME
    assert run(asked, PANHUB_PYTHON="/opt/not-there") == node.NO_PYTHON
    assert run(asked, PANHUB_PYTHON=str(old)) == node.OLD_PYTHON
    assert run(asked, PANHUB_PROBE="nonsense") == node.CRASHED
    assert run(asked, PANHUB_PROBE="{}") == node.CRASHED


def test_the_node_says_its_word_to_the_first_who_calls():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = SimpleNamespace(settimeout=lambda _s: None, accept=lambda: (theirs, ("", 0)))
        node.answer_call(server, "0123abcd", 6.0)
        assert ours.recv(100) == b"0123abcd"


def test_a_node_that_nobody_calls_goes_on():
    def never():
        raise TimeoutError

    node.answer_call(SimpleNamespace(settimeout=lambda _s: None, accept=never), "0123abcd", 6.0)


def test_the_script_has_nothing_of_what_is_asked(asked):
    hostile = {**asked, "home": "/home/x\nPANHUB_PROBE_END\nid > /tmp/x\n$(id)`id`", "user": "'; id"}
    one, other = (probe_spec(Asked(**what), CLUSTER, "cpu") for what in (asked, hostile))
    assert one.script == other.script
    assert one.script.isascii()
    assert json.loads(other.environment["PANHUB_PROBE"])["user"] == "'; id"
    assert run(hostile) == node.OTHER_ACCOUNT


def test_the_job_needs_no_home_and_no_shared_folder(asked):
    spec = probe_spec(Asked(**asked), CLUSTER, "cpu")
    assert (spec.workdir, spec.log, spec.cpus, spec.gpus) == ("/", "/dev/null", 1, 0)


@pytest.mark.parametrize(
    ("view", "ways"),
    [("bubblewrap", ("bubblewrap",)), ("links", ("links",)), ("auto", ("bubblewrap", "apptainer", "links"))],
)
def test_which_views_may_be(view, ways):
    assert views_of(CLUSTER.model_copy(update={"view": view})) == ways
