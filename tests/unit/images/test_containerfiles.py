"""What the container files say is so: locks, packages, where things come from, when images are made anew."""

import hashlib
import re
from pathlib import Path

import pytest

from hub.demo.install import ROOT
from hub.demo.kubernetes import images
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.images import IMAGES, build_image, code_key, environment_key

NAMES = sorted(IMAGES)
WITH_LOCK = [name for name in NAMES if name != "base"]


def containerfile(name):
    return (ROOT / f"images/{name}/Containerfile").read_text()


def test_every_image_has_its_folder_and_every_folder_its_image():
    there = {path.parent.name for path in (ROOT / "images").glob("*/Containerfile")}
    assert there == set(IMAGES)


@pytest.mark.parametrize("name", WITH_LOCK)
def test_the_lock_s_hash_is_current(name):
    lock = ROOT / ("requirements/hub.lock" if name == "hub" else f"images/{name}/requirements.lock")
    stated = re.search(r"^ARG LOCK_SHA256=([0-9a-f]{64})$", containerfile(name), re.MULTILINE)
    assert stated[1] == hashlib.sha256(lock.read_bytes()).hexdigest(), f"write the hash of {lock} into it"


@pytest.mark.parametrize("name", NAMES)
def test_an_image_names_no_registry_and_stands_on_the_one_that_its_key_counts_with(name):
    text = containerfile(name)
    parent = IMAGES[name].parent
    assert f"ARG BASE={'debian:bookworm-slim' if parent is None else f'panhub/{parent}'}\n" in text
    assert not re.search(r"[a-z0-9-]+\.[a-z]{2,}/", text.replace("org.opencontainers", ""))
    assert re.search(r"^FROM \$\{BASE\} AS environment$", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_runs_as_nobody_in_particular(name):
    users = re.findall(r"^USER (.*)$", containerfile(name), re.MULTILINE)
    assert users[-1] == "1000:1000"
    assert "sudo" not in containerfile(name)


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_a_step_takes_counts_for_the_key(name):
    taken = {*IMAGES[name].environment, *IMAGES[name].code}
    for script in re.findall(r"sh /tmp/(?:images/)?tools/([a-z]+\.sh)", containerfile(name)):
        assert f"images/tools/{script}" in taken
    for words in re.findall(r"^COPY (.*)$", containerfile(name), re.MULTILINE):
        assert set(words.split()[:-1]) <= taken


def test_a_desktop_s_packages_are_those_of_a_machine():
    (line,) = re.findall(
        r"^DESKTOP_PACKAGES = ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    wanted = set(line.replace("\\", " ").split()) - {"bubblewrap"}
    compiler = (ROOT / "images/tools/compiled.sh").read_text()  # is there only while the image is made
    assert wanted <= set((containerfile("desktop") + compiler).replace("\\", " ").split())


def test_desktop_full_and_gpu_have_what_notebook_core_has():
    def versions(name):
        text = (ROOT / f"images/{name}/requirements.lock").read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))

    core = versions("notebook-core")
    for name in ("desktop", "notebook-full", "gpu"):
        others = versions(name)
        decisive = ("jupyterlab", "jupyterhub", "pyfai", "silx", "fabio", "hdf5plugin", "nexusformat", "h5py")
        assert {each: others[each] for each in decisive} == {each: core[each] for each in decisive}


def test_a_change_of_our_code_leaves_what_takes_long(monkeypatch, tmp_path):
    for path in ("images/base/Containerfile", "spawners/session/start.py", *IMAGES["base"].environment):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("before")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = environment_key("base"), code_key("base")
    (tmp_path / "spawners/session/start.py").write_text("after")
    assert environment_key("base") == before[0]
    assert code_key("base") != before[1]
    after = code_key("base")
    (tmp_path / "spawners/session/start.py").chmod(0o755)
    assert code_key("base") != after
    (tmp_path / IMAGES["base"].environment[0]).write_text("after")
    assert environment_key("base") != before[0]


def test_what_takes_long_counts_for_all_that_stands_on_it(monkeypatch):
    before = {name: environment_key(name) for name in NAMES}
    monkeypatch.setattr(images, "_FORM", -1)
    assert all(environment_key(name) != key for name, key in before.items())


def test_an_archive_that_another_checkout_takes_away_meanwhile_is_made_anew(monkeypatch, tmp_path):
    archive = tmp_path / "images" / f"base-{code_key('base')}.tar"

    def make(name, path, builder):
        path.write_text(name)

    monkeypatch.setattr(images, "_make", make)
    assert build_image("base", tmp_path) == archive
    archive.write_text("as it was")
    real = Path.exists

    def exists(path):
        found = real(path)
        if path == archive:
            path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "exists", exists)
    assert build_image("base", tmp_path).read_text() in ("as it was", "base")  # and never empty


def test_an_unknown_image_is_refused(tmp_path):
    with pytest.raises(KubernetesDemoError, match="notebook-core"):
        build_image("nothing", tmp_path)
