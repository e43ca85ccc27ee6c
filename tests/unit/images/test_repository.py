"""Environments from repositories: which can be made, and what is written."""

import hashlib
import re
import subprocess
import sys

import pytest
import yaml

from hub.cli import main
from hub.repository import command
from hub.repository.context import write_context
from hub.repository.locks import RepositoryError, locked_packages, needs_repo2docker, read_repository
from profiles.models import EnvironmentEntry

HASH = f" \\\n    --hash=sha256:{'a' * 64}\n"
KERNEL = f"# made by a tool\nipykernel==7.1.0{HASH}numpy==2.4.6 ; python_full_version < '3.12'{HASH}"
SESSION = f"{KERNEL}JupyterLab==4.6.6{HASH}jupyterhub==6.1.1{HASH}"


@pytest.fixture
def repository(tmp_path):
    """Makes a repository of files."""

    def make(**files):
        for name, text in files.items():
            path = tmp_path / "repository" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "repository"

    return make


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"requirements_lock": KERNEL}, "kernel"),
        ({"requirements_txt": KERNEL}, "kernel"),
        ({"requirements_lock": SESSION, "requirements_txt": "anything"}, "session"),
        ({"binder__requirements_txt": SESSION, "requirements_txt": "anything"}, "session"),
    ],
)
def test_a_lock_is_found_where_binder_looks(repository, files, kind):
    assert read_repository(repository(**files)).kind == kind


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"README_md": ""}, "has none of requirements.lock"),
        ({"requirements_txt": "ipykernel==7.1.0\n"}, "ipykernel has no hash"),
        ({"requirements_txt": f"ipykernel>=7{HASH}"}, "is not `name==version`"),
        ({"requirements_txt": f"-e .\nipykernel==7.1.0{HASH}"}, "is not `name==version`"),
        ({"requirements_txt": f"git+https://example.org/x{HASH}"}, "is not `name==version`"),
        ({"requirements_txt": f"--index-url https://example.org\n{KERNEL}"}, "is not `name==version`"),
        ({"requirements_txt": "# nothing\n"}, "has no packages"),
        ({"requirements_txt": f"numpy==2.4.6{HASH}"}, "has no ipykernel"),
        ({"binder__postBuild": "", "requirements_txt": KERNEL}, "binder has none of"),
        ({"requirements_lock": KERNEL, "apt_txt": "-o x\n"}, "no name of a Debian package"),
        ({"requirements_lock": KERNEL, "apt_txt": "git; reboot\n"}, "no name of a Debian package"),
    ],
)
def test_what_leaves_open_what_is_installed_is_refused(repository, files, says):
    with pytest.raises(RepositoryError, match=says):
        read_repository(repository(**files))


def test_names_are_compared_as_the_index_does():
    assert locked_packages(f"Zope.Interface_x==1{HASH}", "lock") == {"zope-interface-x"}


def test_what_an_image_will_not_have_is_said(repository):
    read = read_repository(
        repository(requirements_lock=KERNEL, postBuild="echo", apt_txt="git\n# no\n\nnano\n")
    )
    assert read.debian == ("git", "nano")
    assert [note.partition(":")[0] for note in read.notes] == ["postBuild"]


@pytest.mark.parametrize(("lock", "base"), [(KERNEL, "panhub/notebook-core"), (SESSION, "panhub/base")])
def test_the_folder_is_whole_and_the_entry_is_one_of_the_profiles(repository, tmp_path, capsys, lock, base):
    folder = repository(requirements_lock=lock, apt_txt="git\n")
    out = tmp_path / "out"
    container = f"registry.example.org/powder@sha256:{'b' * 64}"
    assert main(["image", str(folder), str(out), "--name", "powder", "--container", container]) == 0
    text = (out / "Containerfile").read_text()
    assert "@" not in text
    assert f"ARG BASE={base}\n" in text
    assert f"ARG LOCK_SHA256={hashlib.sha256(lock.encode()).hexdigest()}\n" in text
    assert (out / "requirements.lock").read_text() == lock
    assert (out / "debian.txt").read_text() == "git\n"
    entry = EnvironmentEntry.model_validate(
        yaml.safe_load((out / "environment.yaml").read_text())["environments"]["powder"]
    )
    assert entry.container == container
    assert entry.kernel == ("powder" if lock == KERNEL else "python3")
    assert "Build it:" in capsys.readouterr().out


def test_no_program_of_a_package_runs_where_the_secret_is(repository, tmp_path):
    write_context(read_repository(repository(requirements_lock=KERNEL)), "powder", tmp_path / "out")
    text = (tmp_path / "out" / "Containerfile").read_text()
    steps = re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    (secret,) = [step for step in steps if "type=secret" in step]
    assert re.search(r"^ARG ONLY_BINARY=:all:$", text, re.MULTILINE)
    assert "install.sh kernel powder ${LOCK_SHA256} ${ONLY_BINARY}" in secret
    assert "finish.sh" not in secret
    fetching = (tmp_path / "out" / "install.sh").read_text()
    assert '--only-binary "$only_binary"' in fetching
    # The prefix's Python runs what a package put into its path; pip alone is from before.
    assert re.findall(r'"\$prefix/bin/(\w+)"', fetching) == ["pip"]
    for step in steps:
        (script,) = re.findall(r"/tmp/context/(\w+\.sh)", step)
        subprocess.run(["sh", "-n", tmp_path / "out" / script], check=True)


def test_nothing_is_written_over(repository, tmp_path, capsys):
    folder = repository(requirements_lock=KERNEL)
    assert main(["image", str(folder), str(tmp_path)]) == 1
    assert "there already" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Powder", "-x", "a/b", "", "x\n"])
def test_a_name_goes_into_files_only_if_it_is_one(repository, tmp_path, name):
    with pytest.raises(RepositoryError, match="is no name"):
        write_context(read_repository(repository(requirements_lock=KERNEL)), name, tmp_path / "out")


def test_other_environments_are_left_to_repo2docker_if_it_is_there(repository, tmp_path, monkeypatch, capsys):
    folder = repository(environment_yml="dependencies: []")
    assert needs_repo2docker(folder)
    monkeypatch.setattr(command.shutil, "which", lambda _: None)
    assert main(["image", str(folder), str(tmp_path / "out")]) == 1
    assert "jupyter-repo2docker" in capsys.readouterr().out
    program = tmp_path / "jupyter-repo2docker"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\n')
    program.chmod(0o755)
    monkeypatch.setattr(command.shutil, "which", lambda _: str(program))
    assert main(["image", str(folder), str(tmp_path / "out"), "--name", "alloys"]) == 0
    words = (tmp_path / "words").read_text().split()
    assert words[-4:] == ["--image-name", "alloys", "--", str(folder)]
    assert "--no-run" in words


def test_what_is_beside_the_folder_of_the_build_says_nothing(repository):
    folder = repository(requirements_txt="numpy", environment_yml="dependencies: []")
    assert not needs_repo2docker(folder)
    (folder / "binder").mkdir()
    assert not needs_repo2docker(folder)
    (folder / "binder" / "environment.yml").write_text("dependencies: []")
    assert needs_repo2docker(folder)


def test_the_real_repo2docker_takes_our_words_and_nothing_of_the_repository(
    repository, tmp_path, monkeypatch, capfd
):
    folder = repository(environment_yml="dependencies: [python=3.11]")
    (folder / "repo2docker_config.py").write_text(f"open({str(tmp_path / 'written')!r}, 'w')")
    program = tmp_path / "only-says"
    # Building needs docker; what would be built is printed without.
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m repo2docker --no-build --debug "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(command.shutil, "which", lambda _: str(program))
    monkeypatch.chdir(folder)
    assert main(["image", ".", str(tmp_path / "out"), "--name", "alloys"]) == 0
    printed = capfd.readouterr().out
    assert {"ENV APP_BASE=/srv", "ENV CONDA_DIR=${APP_BASE}/conda"} <= set(printed.splitlines())
    assert "ENV NB_PYTHON_PREFIX=${CONDA_DIR}/envs/notebook" in printed  # as the guide on images says
    assert "COPY --chown=1000:1000 src/ ${REPO_DIR}/" in printed
    assert not (tmp_path / "written").exists()
