"""Where a build takes packages from: what the machine says, run by a shell, and nothing that stays."""

import os
import subprocess

import pytest

from hub.demo.kubernetes import sources
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.sources import debian_sources, package_sources

TARGETS = """\
bookworm main http://mirror.example.org/debian/
bookworm contrib http://mirror.example.org/debian/
bookworm-updates main http://mirror.example.org/debian/
bookworm-security main http://mirror.example.org/debian-security/
"""


@pytest.fixture
def apt(monkeypatch):
    monkeypatch.setattr(sources, "_index_targets", lambda: TARGETS)
    monkeypatch.setattr(sources, "acquire_options", lambda: 'Acquire::Retries "7";\n')


def test_a_release_comes_from_its_mirror_with_its_updates():
    assert debian_sources("bookworm", TARGETS) == [
        "http://mirror.example.org/debian/ bookworm main",
        "http://mirror.example.org/debian/ bookworm-updates main",
        "http://mirror.example.org/debian-security/ bookworm-security main",
    ]


def test_another_release_comes_from_the_same_mirror_without_the_updates_of_this_one():
    assert debian_sources("trixie", TARGETS) == ["http://mirror.example.org/debian/ trixie main"]


@pytest.mark.parametrize("targets", ["", "bookworm-updates main http://mirror.example.org/debian/\n"])
def test_without_a_mirror_nothing_is_built(targets):
    with pytest.raises(KubernetesDemoError, match="no mirror"):
        debian_sources("bookworm", targets)


def test_the_fragment_sets_what_the_programs_read(apt, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates with $signs and 'quotes'")
    given = {
        "PIP_INDEX_URL": "https://packages.example.org/a b/$HOME",
        "PIP_CERT": str(bundle),
        "PANHUB_DEBIAN_MIRROR": "http://mirror.example.org",
        "HOME": "/nowhere",
        "AWS_SECRET_ACCESS_KEY": "not for a build",
        "UV_CONFIG_FILE": str(tmp_path / "missing"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = tmp_path / "sources"
    script.write_text(package_sources("bookworm", "/srv", given))
    shell = f"set -aeu; SCRATCH={scratch}; . {script}; env; cat $APT_CONFIG; cat $SSL_CERT_FILE"
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, env={}).stdout
    lines = said.splitlines()
    assert "PIP_INDEX_URL=https://packages.example.org/a b/$HOME" in lines
    assert f"PIP_CERT={scratch}/certificates" in lines
    assert "UV_CACHE_DIR=/srv" in lines
    assert "PANHUB_DEBIAN_MIRROR=http://mirror.example.org" in lines
    assert 'Acquire::Retries "7";' in lines
    assert f'Dir::Etc::sourcelist "{scratch}/apt.list";' in lines
    assert "certificates with $signs and 'quotes'" in lines
    assert "not for a build" not in script.read_text()
    assert (
        (scratch / "apt.list").read_text().startswith("deb http://mirror.example.org/debian/ bookworm main\n")
    )
