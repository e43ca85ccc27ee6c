"""Where does guacd come from on a machine that has none? From Debian 11, as a small root folder of its own.

guacd 1.3.0 is in Debian 11 (bullseye) and in no later release of Debian. Its packages and the libraries
that they need, with versions and SHA-256 pinned in ``guacd.lock`` (made by `hub.demo.guacd_lock`), are
fetched from a mirror of Debian and unpacked into the cache: about 65 MB, without root rights and without
Debian's tools, so on any Linux. Nothing but guacd is in that root: no shell, no interpreter, no account.
It is for trying and for tests; what a site runs is in ``docs/how-to/desktops.md``.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hub.demo.locks import locked
from hub.demo.slurm.release import cache_folder

VERSION = "1.3.0"
LOCK = Path(__file__).with_name("guacd.lock")
PROGRAM = Path("usr/sbin/guacd")
"""The daemon, in the root."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of what `platform.machine` says."""

MIRROR_VARIABLE = "PANHUB_DEBIAN_MIRROR"
"""Names a mirror of Debian (without ``/debian``), where the machine's own apt has none: on Ubuntu, or after
the release has moved to the archive.

What is fetched is checked by the pinned SHA-256, so that plain HTTP (and its caches) will do.
"""

_TIMEOUT_S = 60
_AT_ONCE = 8
_WAITS_S = (1, 4, 10)
"""Before each further attempt: among hundreds of requests one meets a name server that is silent."""

_ROOT_FORM = 1
"""Raised when `_finish` makes another root of the same packages."""

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60


class GuacdRootError(Exception):
    """The root cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned ``.deb``. Its path on a mirror begins with the archive: ``debian/``, ``debian-security/``."""

    sha256: str
    size: int
    path: str


def prepare_guacd(cache: Path | None = None) -> Path:
    """Root folder with guacd, made if it is not in the cache. Blocking: less than a minute the first time.

    Two callers at once make one root; one that was stopped half-way leaves nothing that is taken for whole.

    Raises
    ------
    GuacdRootError
        If there is none for this machine, or it cannot be fetched.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        raise GuacdRootError(f"guacd is pinned for Linux on {' and '.join(ARCHITECTURES)} only.")
    packages = read_lock(LOCK.read_text(), architecture)
    stamp = hashlib.sha256(repr((_ROOT_FORM, packages)).encode()).hexdigest()
    folder = cache or cache_folder()
    root = folder / f"guacd-{VERSION}"
    with locked(folder, root.name):
        if _stamp_of(root) == stamp:
            return root
        part = folder / f".{root.name}.part"
        for left_over in (part, root):
            shutil.rmtree(left_over, ignore_errors=True)
        part.mkdir()
        _unpack_all(packages, part)
        _finish(part)
        (part / "etc/panhub-root").write_text(stamp)
        part.rename(root)
    return root


def read_lock(text: str, architecture: str) -> tuple[Package, ...]:
    """Packages of an architecture: lines ``<sha256> <bytes> <path>`` below ``[<architecture>]``.

    Raises
    ------
    GuacdRootError
        If a line is none, or there are no packages.
    """
    found, here = [], ""
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("["):
            here = line.strip("[]")
        elif len(words) != 3 or len(words[0]) != 64 or not words[1].isdigit():
            raise GuacdRootError(f"Not a line of guacd.lock: {line}")
        elif here == architecture:
            found.append(Package(words[0], int(words[1]), words[2]))
    if not found:
        raise GuacdRootError(f"guacd.lock has no packages for {architecture}.")
    return tuple(found)


def extract(deb: bytes, root: Path) -> None:
    """Unpack the files of a ``.deb`` (deb(5)) into a folder.

    Raises
    ------
    GuacdRootError
        If it is none, or is compressed in a way that Python does not know.
    """
    for name, content in _members(deb):
        if not name.startswith("data.tar"):
            continue
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                # Debian's links are absolute ones of the root, so they are never followed here.
                # Python before 3.11.4 (Debian 12 has 3.11.2) has no filters and does as this one.
                archive.extraction_filter = getattr(tarfile, "tar_filter", None)
                archive.extractall(root)  # noqa: S202 - pinned by SHA-256
        except tarfile.TarError as error:
            raise GuacdRootError(f"{name}: {error}") from error
        return
    raise GuacdRootError("a package without files")


def _members(deb: bytes) -> Iterator[tuple[str, bytes]]:
    if not deb.startswith(_AR_MAGIC):
        raise GuacdRootError("not a Debian package")
    position = len(_AR_MAGIC)
    while position + _AR_HEADER <= len(deb):
        header = deb[position : position + _AR_HEADER]
        size = int(header[48:58])
        position += _AR_HEADER
        yield header[:16].decode("ascii").rstrip(" /"), deb[position : position + size]
        position += size + size % 2


def _unpack_all(packages: tuple[Package, ...], root: Path) -> None:
    origins = mirrors()
    if not origins:
        raise GuacdRootError(
            f"The apt of this machine knows no mirror of Debian: name one in {MIRROR_VARIABLE} (http://host)."
        )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for deb in pool.map(lambda package: _fetch(package, origins), packages):
                extract(deb, root)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch(package: Package, origins: tuple[str, ...]) -> bytes:
    for wait_s in (*_WAITS_S, None):
        why, may_pass = [], False
        for origin in origins:
            address = f"{origin}/{urllib.parse.quote(package.path)}"
            try:
                with urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                    content: bytes = answer.read(package.size + 1)
            except (OSError, http.client.HTTPException) as error:
                why.append(f"{address}: {error}")
                may_pass |= not isinstance(error, urllib.error.HTTPError) or error.code >= 500
                continue
            if hashlib.sha256(content).hexdigest() == package.sha256:
                return content
            why.append(f"{address} is not the file that is pinned")
        if wait_s is None or not may_pass:
            break
        time.sleep(wait_s)
    raise GuacdRootError(f"A package of guacd cannot be fetched: {'; '.join(why)}")


def mirrors() -> tuple[str, ...]:
    """What the packages' paths follow: the mirror of `MIRROR_VARIABLE`, then the machine's own of Debian."""
    form = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    try:
        done = subprocess.run(form, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
        words = done.stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        words = []
    own = [word.rstrip("/").removesuffix("/debian") for word in words if word.rstrip("/").endswith("/debian")]
    named = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    return tuple(dict.fromkeys([*([named] if named else []), *own]))


def _finish(root: Path) -> None:
    """What the packages' scripts would have done, as far as guacd needs it; and what nobody reads goes."""
    for name in ("proc", "dev", "tmp", "run", "etc"):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("guacd:x:1000:1000::/tmp:/none\n")
    (root / "etc/group").write_text("guacd:x:1000:\n")
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    fonts = root / "etc/fonts"
    if not (fonts / "fonts.conf").exists() and (fonts / "fonts.conf.dpkg-dist").exists():
        (fonts / "fonts.conf.dpkg-dist").rename(fonts / "fonts.conf")
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/bug", "usr/share/lintian"):
        shutil.rmtree(root / name, ignore_errors=True)
    for folder in ("bin", "sbin", "usr/bin", "usr/sbin"):
        for program in (root / folder).glob("*"):
            if program != root / PROGRAM:
                program.unlink()
    if not (root / PROGRAM).is_file():
        raise GuacdRootError("the pinned packages have no guacd")


def _stamp_of(root: Path) -> str | None:
    try:
        return (root / "etc/panhub-root").read_text()
    except OSError:
        return None


def main() -> int:
    """Make the root and say where it is."""
    try:
        print(prepare_guacd())
    except GuacdRootError as error:
        print(error, file=sys.stderr)
        return 1
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
