"""Steps of the installation: done once, and left out where the machine lacks what they need."""

from __future__ import annotations

import shutil
import sysconfig

import pytest

from hub.demo import install
from hub.demo.install import Step


@pytest.fixture
def step(tmp_path, monkeypatch):
    """A step that makes an environment; it says how often it did, and what the machine lacks."""
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "STAMPS", tmp_path)
    made, lock = tmp_path / "environment/bin/program", tmp_path / "lock"
    lock.write_text("one")
    runs, lacking = [], []

    def run():
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
        runs.append(lock.read_text())

    return (
        Step("environment-stamp", "Environment", (lock,), made, run, lambda: "".join(lacking)),
        runs,
        lacking,
    )


def test_a_step_is_done_again_only_when_its_inputs_change(step):
    it, runs, _ = step
    install._do(it, "1")
    install._do(it, "1")
    it.inputs[0].write_text("two")
    install._do(it, "1")
    assert runs == ["one", "two"]


def test_a_step_is_left_out_with_a_word_and_done_when_it_can_be(step, capsys):
    it, runs, lacking = step
    lacking.append("there is no compiler")
    install._do(it, "[1/1] Environment")
    assert capsys.readouterr().out == "[1/1] Environment: left out, since there is no compiler\n"
    assert not it.made.exists()
    lacking.clear()
    install._do(it, "1")
    assert runs == ["one"]


def test_what_is_there_needs_no_compiler_and_what_is_older_goes(step):
    it, runs, lacking = step
    install._do(it, "1")
    lacking.append("there is no compiler")
    install._do(it, "1")
    assert it.made.exists()
    it.inputs[0].write_text("two")
    install._do(it, "1")
    assert not it.made.parents[1].exists()
    assert runs == ["one"]


def test_the_desktop_environment_needs_a_compiler_and_headers(monkeypatch, tmp_path):
    (desktop,) = [
        one for one in install.steps("demo") if one.made.is_relative_to(install.DESKTOP_ENVIRONMENT)
    ]
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, **_: "/usr/bin/g++" if name == "g++" else None)
    assert desktop.lacking() == ""
    (tmp_path / "Python.h").unlink()
    assert "header files" in desktop.lacking()
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "C++ compiler" in desktop.lacking()
    assert "make desktop-packages" in desktop.lacking()
