"""guacd's root folder: only what is pinned gets in, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import tarfile
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from hub.demo import guacd
from hub.demo.guacd import LOCK, GuacdRootError, extract, prepare_guacd, read_lock

_MIRROR = "http://mirror"


def _deb(files: dict[str, str], *, links: dict[str, str] | None = None) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    out = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


class Mirror:
    """Stands for `urllib.request.urlopen`: packages by address, and what was fetched."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.silent = 0
        """How many of the next requests find no mirror."""

    def __call__(self, address: str, *, timeout: float) -> io.BytesIO:
        """Open an address of the mirror."""
        self.fetched.append(address)
        if self.silent > 0:
            self.silent -= 1
            raise URLError("Temporary failure in name resolution")
        found = self.content.get(address.removeprefix(_MIRROR))
        if found is None:
            raise HTTPError(address, 404, "Not Found", Message(), None)
        return io.BytesIO(found)

    def lock(self, *paths: str) -> str:
        """Lock of what it has now, for every architecture."""
        lines = [
            f"{hashlib.sha256(self.content[p]).hexdigest()} {len(self.content[p])} {p[1:]}" for p in paths
        ]
        return "".join(f"[{one}]\n" + "\n".join(lines) + "\n" for one in guacd.ARCHITECTURES.values())


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mirror:
    mirror = Mirror()
    mirror.content["/debian/pool/guacd+1.deb"] = _deb(
        {"usr/sbin/guacd": "daemon", "usr/bin/sh": "a shell", "usr/share/doc/guacd/x": "doc"}
    )
    mirror.content["/debian/pool/lib.deb"] = _deb({"usr/lib/libguac.so": "lib"}, links={"lib64": "/usr/lib"})
    lock = tmp_path / "guacd.lock"
    lock.write_text(mirror.lock("/debian/pool/guacd+1.deb", "/debian/pool/lib.deb"))
    monkeypatch.setattr(guacd, "LOCK", lock)
    # The first origin has nothing.
    monkeypatch.setattr(guacd, "mirrors", lambda: ("http://gone", _MIRROR))
    monkeypatch.setattr(guacd.urllib.request, "urlopen", mirror)
    # In addresses a plus is written otherwise.
    mirror.content = {path.replace("+", "%2B"): content for path, content in mirror.content.items()}
    return mirror


def test_what_is_pinned_is_guacd_for_both_architectures() -> None:
    for architecture in guacd.ARCHITECTURES.values():
        names = {Path(one.path).name for one in read_lock(LOCK.read_text(), architecture)}
        assert f"guacd_1.3.0-1+b1_{architecture}.deb" in names
        assert not {name.split("_")[0] for name in names} & {"bash", "dash", "coreutils", "perl-base", "dpkg"}


def test_without_a_mirror_it_says_how_to_name_one(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guacd, "mirrors", lambda: ())
    with pytest.raises(guacd.GuacdRootError, match="PANHUB_DEBIAN_MIRROR"):
        prepare_guacd(tmp_path / "cache")


def test_a_named_mirror_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    own = guacd.mirrors()
    monkeypatch.setenv("PANHUB_DEBIAN_MIRROR", "http://mirror.example.org/")
    assert guacd.mirrors() == ("http://mirror.example.org", *own)


def test_made_once(mirror: Mirror, tmp_path: Path) -> None:
    root = prepare_guacd(tmp_path / "cache")
    assert root == tmp_path / "cache" / "guacd-1.3.0"
    assert (root / "usr/sbin/guacd").read_text() == "daemon"
    assert (root / "usr/lib/libguac.so").is_file()
    assert not (root / "usr/bin/sh").exists()
    assert not (root / "usr/share/doc").exists()
    assert {"dev", "tmp", "proc"} <= {path.name for path in root.iterdir()}
    before = len(mirror.fetched)
    assert prepare_guacd(tmp_path / "cache") == root
    assert len(mirror.fetched) == before


def test_another_lock_makes_another_root(mirror: Mirror, tmp_path: Path) -> None:
    prepare_guacd(tmp_path / "cache")
    mirror.content["/debian/pool/new.deb"] = _deb({"usr/sbin/guacd": "newer"})
    guacd.LOCK.write_text(mirror.lock("/debian/pool/new.deb"))
    root = prepare_guacd(tmp_path / "cache")
    assert (root / "usr/sbin/guacd").read_text() == "newer"
    assert not (root / "usr/lib").exists()


def test_what_was_left_half_way_is_made_anew(mirror: Mirror, tmp_path: Path) -> None:
    for name in ("guacd-1.3.0", ".guacd-1.3.0.part"):
        (tmp_path / "cache" / name / "usr/sbin").mkdir(parents=True)
        (tmp_path / "cache" / name / "usr/sbin/guacd").write_text("half")
    root = prepare_guacd(tmp_path / "cache")
    assert (root / "usr/sbin/guacd").read_text() == "daemon"


def test_another_file_than_the_pinned_one_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    mirror.content["/debian/pool/lib.deb"] += b"\n"
    with pytest.raises(GuacdRootError, match="not the file that is pinned"):
        prepare_guacd(tmp_path / "cache")
    assert not (tmp_path / "cache/guacd-1.3.0").exists()


def test_a_mirror_without_it_is_told(mirror: Mirror, tmp_path: Path) -> None:
    mirror.content.clear()
    with pytest.raises(GuacdRootError, match="404"):
        prepare_guacd(tmp_path / "cache")


def test_a_network_that_fails_for_a_moment_is_asked_again(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guacd, "_WAITS_S", (0, 0))
    monkeypatch.setattr(guacd, "_AT_ONCE", 1)
    mirror.silent = 6
    with pytest.raises(GuacdRootError, match="name resolution"):
        prepare_guacd(tmp_path / "cache")
    mirror.silent = 4
    assert (prepare_guacd(tmp_path / "cache") / "usr/sbin/guacd").is_file()


def test_another_machine_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guacd.platform, "machine", lambda: "riscv64")
    with pytest.raises(GuacdRootError, match="x86_64 and aarch64"):
        prepare_guacd(tmp_path)


@pytest.mark.parametrize("text", ["", "[amd64]\n", "[arm64]\n" + "0" * 64 + " 1 p\n", "[amd64]\nx 1 p\n"])
def test_locks_that_are_none(text: str) -> None:
    with pytest.raises(GuacdRootError):
        read_lock(text, "amd64")


@pytest.mark.parametrize(
    "deb",
    [
        b"",
        b"!<arch>\n",
        b"PK\x03\x04",
        _deb({})[:80],
        _deb({"../outside": "x"}),
        _deb({"a/../../outside": "x"}),
    ],
)
def test_packages_that_are_none(deb: bytes, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(GuacdRootError):
        extract(deb, root)
    assert not (tmp_path / "outside").exists()
