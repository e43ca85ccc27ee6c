"""The installation is skipped exactly while its inputs are unchanged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.demo import install as module
from hub.demo.install import InstallError, Step

SCRIPT = Path(module.__file__)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "STAMPS", tmp_path / "stamps")
    (tmp_path / "stamps").mkdir()
    (tmp_path / "lock").write_text("a==1\n")
    return tmp_path


@pytest.fixture
def runs():
    return []


@pytest.fixture
def step(root, runs):
    def run():
        runs.append(1)
        (root / "made").touch()

    return Step("one", "One", (root / "lock",), root / "made", run)


def do(step):
    module._do(step, "[1/1] One")


def test_a_step_is_done_once(step, runs, capsys):
    do(step)
    do(step)
    assert len(runs) == 1
    assert capsys.readouterr().out.count("done in") == 1


def test_a_changed_input_does_it_again(step, runs, root):
    do(step)
    (root / "lock").write_text("a==2\n")
    do(step)
    assert len(runs) == 2


def test_a_result_that_is_gone_does_it_again(step, runs, root):
    do(step)
    (root / "made").unlink()
    do(step)
    assert len(runs) == 2


def test_a_step_that_failed_is_done_again(root, runs):
    def fail():
        runs.append(1)
        raise InstallError("no")

    step = Step("one", "One", (root / "lock",), root / "lock", fail)
    for _ in range(2):
        with pytest.raises(InstallError):
            do(step)
    assert len(runs) == 2


def test_the_script_needs_nothing_installed():
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
