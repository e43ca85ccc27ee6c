"""The images of sessions and of the application, built on this machine into archives of its cache.

``python -m hub.demo.kubernetes.images [NAME ...]`` (`make images`) makes ahead what takes minutes. An
image has two parts: what takes long to install and changes with the locks (the container file's stage
``environment``), and our code above it. So each has its key, the hash of what goes into it, and a change
of our code costs seconds. The base is a Debian made by debootstrap, since no registry is asked.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.demo.install import ROOT
from hub.demo.kubernetes.buildah import UV_CACHE_INSIDE, Build, Buildah
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.sources import package_sources
from hub.demo.locks import locked
from hub.demo.slurm.image import SUITE, debian_root
from hub.demo.slurm.release import SlurmDemoError, cache_folder

_FORM = 1
"""Raised when the same files make another image."""

_KEPT_S = 900.0
"""An older archive that nobody asked for in this time goes when a new one is made."""

_DEBIAN = ("images/tools/begin.sh", "images/tools/debian.sh")
_PYTHON = (*_DEBIAN, "images/tools/python.sh", "requirements/bootstrap.lock")
_COMPILED = "images/tools/compiled.sh"
_SESSION = ("spawners/session",)
_APPLICATION = (
    "jupyterhub_config.py",
    "pyproject.toml",
    "LICENSE",
    "profiles",
    "quota",
    "templates",
    "spawners",
    "hub",
    "images/tools/application.sh",
    "images/tools/application.py",
)
_APPLICATION_NEEDS = (
    *_PYTHON,
    "requirements/hub.lock",
    "requirements/node.lock",
    "package.json",
    "package-lock.json",
    "images/tools/node.sh",
    "images/tools/guacd.sh",
    "hub/demo/guacd.py",
    "hub/demo/guacd.lock",
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image of ``images/``: what it stands on and what of the checkout goes into its two parts."""

    parent: str | None
    environment: tuple[str, ...]
    code: tuple[str, ...] = _SESSION


def _with_lock(name: str, parent: str, *more: str) -> Image:
    return Image(parent, (*_PYTHON, f"images/{name}/requirements.lock", *more))


IMAGES = {
    "base": Image(None, _DEBIAN),
    "notebook-core": _with_lock("notebook-core", "base"),
    "notebook-full": _with_lock("notebook-full", "notebook-core", _COMPILED),
    "desktop": _with_lock("desktop", "notebook-core", _COMPILED),
    "gpu": _with_lock("gpu", "notebook-core"),
    "hub": Image("base", _APPLICATION_NEEDS, _APPLICATION),
}
"""By name; ``localhost/panhub/<name>`` is what it is called in the archive."""


def build_image(name: str, cache: Path | None = None) -> Path:
    """OCI archive of an image, made if the cache has none. Blocking: minutes the first time.

    Two callers at once make one. The name in the archive is ``localhost/panhub/<name>:<key>``.

    Raises
    ------
    KubernetesDemoError
        If there is no such image, or it cannot be built; the end of what the builder said is in the text.
    """
    if name not in IMAGES:
        raise KubernetesDemoError(f"There is no image {name!r}; there are {', '.join(IMAGES)}.")
    folder = (cache or cache_folder()) / "images"
    archive = folder / f"{name}-{code_key(name)}.tar"
    if not _is_kept(archive):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, name):
            if not _is_kept(archive):
                _make(name, archive, Buildah(folder / "store", _uv_cache()))
    return archive


def build_above(name: str, context: Path, tag: str, archive: Path, cache: Path | None = None) -> None:
    """Build a folder with a ``Containerfile`` whose argument ``BASE`` is one of our images. Blocking.

    Nothing but the archive is kept.

    Raises
    ------
    KubernetesDemoError
        If it cannot be built.
    """
    folder = (cache or cache_folder()) / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, name), _sources() as sources:
        builder = Buildah(folder / "store", _uv_cache())
        base = _build_code(name, builder, sources)
        builder.build(Build(tag, context / "Containerfile", context, {"BASE": base}), sources)
        builder.write(tag, archive)
        builder.remove([tag, base])


def environment_key(name: str) -> str:
    """Hash of what goes into the part of an image that takes long."""
    image = IMAGES[name]
    below = SUITE if image.parent is None else environment_key(image.parent)
    return _hash(f"{_FORM} {below}", (f"images/{name}/Containerfile", *image.environment))


def code_key(name: str) -> str:
    """Hash of all that goes into an image."""
    return _hash(environment_key(name), IMAGES[name].code)


def _make(name: str, archive: Path, builder: Buildah) -> None:
    repository = f"localhost/panhub/{name}:"
    # What a build that was killed left behind.
    builder.remove([tag for tag in builder.tags() if tag.startswith(repository)])
    with _sources() as sources:
        tag = _build_code(name, builder, sources)
    builder.write(tag, archive)
    builder.remove([tag])
    _tidy(archive.parent)


def _is_kept(archive: Path) -> bool:
    """Whether an archive is there; another checkout's builder does not take it away for some time then."""
    try:
        os.utime(archive)
    except FileNotFoundError:
        return False
    return True


def _tidy(folder: Path) -> None:
    """Remove archives that the files of this checkout do not make and nobody asked for lately."""
    current = {f"{name}-{code_key(name)}.tar" for name in IMAGES}
    for path in folder.glob(f"*-{'[0-9a-f]' * 12}.tar"):
        if path.name not in current and time.time() - path.stat().st_mtime > _KEPT_S:
            path.unlink(missing_ok=True)


def _build_code(name: str, builder: Buildah, sources: Path) -> str:
    """Make a whole image; returns its name in the store."""
    _build_environment(name, builder, sources)
    tag = f"localhost/panhub/{name}:{code_key(name)}"
    arguments = {"BASE": "scratch", "REVISION": _revision()}
    instead = {"environment": _environment_tag(name)}
    builder.build(Build(tag, _containerfile(name), ROOT, arguments, instead=instead), sources)
    return tag


def _build_environment(name: str, builder: Buildah, sources: Path) -> str:
    """Make the long part of an image and of what it stands on; returns its name in the store."""
    tag, repository = _environment_tag(name), f"localhost/panhub/{name}-environment"
    # Of its own, so that nobody who needs another image waits for minutes.
    with locked(builder.folder, f"{name}-environment"):
        known = builder.tags()
        if tag in known:
            return tag
        parent = IMAGES[name].parent
        base = _debian(builder) if parent is None else _build_environment(parent, builder, sources)
        builder.build(Build(tag, _containerfile(name), ROOT, {"BASE": base}, target="environment"), sources)
        builder.remove([old for old in known if old.startswith(f"{repository}:")])
    return tag


def _containerfile(name: str) -> Path:
    return ROOT / f"images/{name}/Containerfile"


def _environment_tag(name: str) -> str:
    return f"localhost/panhub/{name}-environment:{environment_key(name)}"


def _debian(builder: Buildah) -> str:
    """Image of Debian alone, as its mirrors have it: what a site takes from a registry."""
    tag = f"localhost/panhub/debian:{SUITE}"
    if builder.exists(tag):
        return tag
    try:
        root = debian_root()
    except SlurmDemoError as error:
        raise KubernetesDemoError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="panhub-debian-") as name:
        folder = Path(name)
        # Nothing of this machine: its mirror, names, logs; and nothing that every user fetches anew.
        left_out = [
            "etc/apt/sources.list",
            "etc/apt/apt.conf.d/99panhub",
            "etc/resolv.conf",
            "etc/hostname",
            "usr/share/man/*",
            "usr/share/locale/*",
            "usr/share/info/*",
            "var/cache/apt/*",
            "var/lib/apt/lists/*",
            "var/log/*",
        ]
        options = [f"--exclude=./{path}" for path in left_out]
        command = ["tar", "--numeric-owner", *options, "-cf", str(folder / "root.tar"), "-C", str(root), "."]
        subprocess.run(command, check=True)
        (folder / "Containerfile").write_text("FROM scratch\nADD root.tar /\n")
        (folder / "sources").touch()
        builder.build(Build(tag, folder / "Containerfile", folder, {}), folder / "sources")
    return tag


@contextmanager
def _sources() -> Iterator[Path]:
    """File with this machine's package sources, for as long as something is built."""
    with tempfile.TemporaryDirectory(prefix="panhub-sources-") as folder:
        path = Path(folder) / "sources"
        path.write_text(package_sources(SUITE, UV_CACHE_INSIDE))
        yield path


def _uv_cache() -> Path:
    return Path(os.environ.get("UV_CACHE_DIR") or "~/.cache/uv").expanduser()


def _revision() -> str:
    """Commit of the checkout; empty where there is none."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _hash(start: str, paths: tuple[str, ...]) -> str:
    digest = hashlib.sha256(start.encode())
    for path in (ROOT / each for each in paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\n{file.relative_to(ROOT)} ".encode())
                if file.stat().st_mode & 0o100:
                    digest.update(b"x ")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def main() -> int:
    """Make the images that are named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Build images into the cache.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(IMAGES)}; all without")
    began = time.monotonic()
    try:
        for name in parser.parse_args().names or IMAGES:
            archive = build_image(name)
            size_mb = archive.stat().st_size // 1_000_000
            print(f"{archive} ({size_mb} MB) after {time.monotonic() - began:.0f} s", flush=True)
    except KubernetesDemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
