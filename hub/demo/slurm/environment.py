"""The sessions' environment and start-up code, where everybody's jobs can run them.

A checkout may lie in a folder that only its owner can enter, and its Python too. So the same lock
file is installed once more with the system's Python, below the site's folder: one prefix for each
release, since its root has a Python of its own, named by what it is made from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.demo.install import ROOT, TOOLS
from hub.demo.locks import locked
from hub.demo.slurm.namespace import Namespace
from hub.demo.slurm.people import SITE
from hub.demo.slurm.release import Release, SlurmDemoError
from hub.demo.slurm.root import prepare_root

LOCK = ROOT / "images/notebook-core/requirements.lock"
DESKTOP_LOCK = ROOT / "images/desktop/requirements.lock"
CODE = ROOT / "spawners/session"

_PYTHON = "/usr/bin/python3"
_STAMP = ".panhub-complete"
_KEPT_S = 7 * 86400.0
"""What nobody has asked for in this time is removed when a new one is made; each has a gigabyte."""

_Run = Callable[..., None]


@dataclass(frozen=True, slots=True)
class SessionEnvironment:
    """``prefix`` has ``bin/jupyterhub-singleuser``; ``code`` is a copy of ``spawners/session``.

    ``desktop`` is the prefix of desktops, where they were asked for.
    """

    prefix: Path
    code: Path
    desktop: Path | None = None


def prepare_environment(
    release: Release, site: Path = SITE, *, with_desktop: bool = False
) -> SessionEnvironment:
    """Environment for the jobs of a release, made if it is not there. Blocking: seconds to a minute.

    Raises
    ------
    SlurmDemoError
        If it cannot be made.
    """
    folder = site / "environments"
    folder.mkdir(parents=True, exist_ok=True)
    for each in (site, folder):
        each.chmod(0o755)
    with locked(folder, ".made"), _programs(release, site) as run:
        prefix = _made(folder, f"pan-core-{release.name}", [LOCK], lambda path: _install(path, LOCK, run))
        desktop = None
        if with_desktop:
            name, inputs = f"pan-desktop-{release.name}", [DESKTOP_LOCK]
            desktop = _made(folder, name, inputs, lambda path: _install(path, DESKTOP_LOCK, run))
        code = _made(folder, f"session-{release.name}", [CODE], lambda path: _copy_code(path, run))
    return SessionEnvironment(prefix, code, desktop)


def _made(folder: Path, name: str, inputs: list[Path], make: Callable[[Path], None]) -> Path:
    path = folder / f"{name}-{_hash(inputs)}"
    stamp = path / _STAMP
    if not stamp.exists():
        for old in folder.glob(f"{name}-*"):
            if old == path or not (old / _STAMP).exists() or _age_s(old / _STAMP) > _KEPT_S:
                shutil.rmtree(old)
        make(path)
    stamp.touch()
    return path


def _install(prefix: Path, lock: Path, run: _Run) -> None:
    uv = str(_uv())
    run(uv, "venv", "--quiet", "--no-config", "--no-python-downloads", "--python", _PYTHON, str(prefix))
    options = ["--require-hashes", "--compile-bytecode", "--quiet", "--no-config"]
    run(uv, "pip", "sync", "--python", str(prefix / "bin/python"), *options, str(lock))


def _copy_code(target: Path, run: _Run) -> None:
    shutil.copytree(CODE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    # People cannot write the byte code here; without it every session would compile it.
    run(_PYTHON, "-m", "compileall", "-q", str(target))


@contextmanager
def _programs(release: Release, site: Path) -> Iterator[_Run]:
    """Runs commands with the release's Python: here, or in its root."""
    root = prepare_root(release)
    cache = Path(os.environ.get("UV_CACHE_DIR") or "~/.cache/uv").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    drop = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    environment["UV_CACHE_DIR"] = str(cache)
    # The other root is another mount, to which no links can be made.
    environment["UV_LINK_MODE"] = "hardlink" if root is None else "copy"
    certificates = Path("/etc/ssl/certs")
    shared = [
        site,
        cache,
        _uv().parent,
        LOCK.parent.parent,
        *([certificates] if certificates.exists() else []),
    ]
    namespace = Namespace(root, shared)
    namespace.start()
    try:

        def run(*argv: str) -> None:
            command = namespace.enter(*argv, is_inside=True)
            done = subprocess.run(
                command, check=False, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True
            )
            if done.returncode != 0:
                said = done.stderr.decode(errors="replace").strip()[-2000:]
                raise SlurmDemoError(f"{' '.join(argv)} failed with code {done.returncode}: {said}")

        yield run
    finally:
        namespace.stop()


def _uv() -> Path:
    found = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    for path in (TOOLS / "uv/bin/uv", *([Path(found)] if found else [])):
        if path.exists():
            return path
    raise SlurmDemoError(f"There is no uv; make it with: {sys.executable} hub/demo/install.py tools")


def _hash(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime
