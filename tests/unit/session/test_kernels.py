"""Kernels of a person's own environments: what is found, and what is written."""

import json
import subprocess
import sys

import pytest

from spawners.session import kernels


def environment(prefix, *, kernel=True, conda=False):
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    if kernel:
        package = prefix / "lib" / "python3.11" / "site-packages" / "ipykernel"
        package.mkdir(parents=True)
        (package / "__main__.py").touch()
    if conda:
        (prefix / "conda-meta").mkdir()
    return prefix


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return home


def write(home, tmp_path, own="/nowhere"):
    from pathlib import Path

    return kernels.write(tmp_path / "kernels", home, own=Path(own))


def read(tmp_path, name):
    return json.loads((tmp_path / "kernels" / name / "kernel.json").read_text())


def test_a_conda_environment_with_a_kernel_is_shown_by_its_name(home, tmp_path):
    prefix = environment(home / "miniforge3" / "envs" / "Tomo Prep", conda=True)
    assert write(home, tmp_path) == ["env-tomo-prep"]
    found = read(tmp_path, "env-tomo-prep")
    assert found["argv"][0] == f"{prefix}/bin/python"
    assert found["display_name"] == "Python (Tomo Prep)"
    assert found["env"]["CONDA_PREFIX"] == str(prefix)
    assert found["env"]["PATH"] == f"{prefix}/bin:${{PATH}}"


@pytest.mark.parametrize(
    "make",
    [
        lambda home: environment(home / ".conda" / "envs" / "no-kernel", kernel=False),
        lambda home: (home / ".conda" / "envs" / "empty").mkdir(parents=True),
        lambda home: (home / ".conda").mkdir() or (home / ".conda" / "envs").write_text("not a folder"),
        lambda home: (
            (home / ".conda").mkdir()
            or (home / ".conda" / "environments.txt").write_bytes(b"/nowhere/at/all\n\xff\nrelative\n")
        ),
    ],
)
def test_what_has_no_kernel_is_not_shown(home, tmp_path, make):
    make(home)
    assert write(home, tmp_path) == []


def test_an_environment_is_shown_once_and_the_sessions_own_never(home, tmp_path):
    prefix = environment(home / ".conda" / "envs" / "mine", conda=True)
    own = environment(tmp_path / "session-environment")
    (home / ".conda" / "environments.txt").write_text(f"{prefix}\n{own}\n{prefix}\n")
    assert write(home, tmp_path, own) == ["env-mine"]


def test_two_of_one_name_are_told_apart_and_keep_their_names(home, tmp_path):
    environment(home / ".conda" / "envs" / "work")
    environment(home / ".virtualenvs" / "work")
    first = write(home, tmp_path)
    assert len(first) == 2
    assert first[0] == "env-work"
    assert write(home, tmp_path) == first


def test_there_is_an_end_to_the_list(home, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "_MOST", 3)
    for number in range(5):
        environment(home / ".virtualenvs" / f"e{number}")
    assert len(write(home, tmp_path)) == 3


def test_a_real_virtual_environment_runs_as_the_kernel_that_is_written(home, tmp_path):
    prefix = home / ".virtualenvs" / "real"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    package = next(prefix.glob("lib/python3.*/site-packages")) / "ipykernel"
    package.mkdir()
    (package / "__main__.py").touch()
    write(home, tmp_path)
    python = read(tmp_path, "env-real")["argv"][0]
    done = subprocess.run([python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert done.stdout.strip() == str(prefix)
