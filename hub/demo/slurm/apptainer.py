"""Apptainer for the demo's nodes, built from its Go module: Debian 12 has no package of it.

It is built once into the cache (`make apptainer`), in two to four minutes of two processors, with Go
and a C compiler and without root. A module's archive has neither the file with the version nor the
executable bits of the repository; with these the build is apptainer's own, of the parts that run a
container without privileges. Where it is installed is not built in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from hub.demo.locks import locked
from hub.demo.slurm.release import SlurmDemoError, cache_folder
from hub.demo.slurm.root import run_logged

VERSION = "1.4.3"

_MODULE = "github.com/apptainer/apptainer"
_SUMS = f"""{_MODULE} v{VERSION} h1:2gBgyoYkEI5pAlP7uYBPW7cCrJkfSl8uaEE0se8kubk=
{_MODULE} v{VERSION}/go.mod h1:DdoE/z+ibMMJ+rNB3lnJGGTd9Wb3HjlGY1gl8L9CCCI=
"""
"""As in a go.sum; those of what it is built from are in its own."""

_PREFIX = "/opt/apptainer"
_MADE = (
    "bin/apptainer",
    "libexec/apptainer/bin/starter",
    "etc/apptainer/apptainer.conf",
    "etc/apptainer/capability.json",
    "etc/apptainer/ecl.toml",
    "etc/apptainer/global-pgp-public",
    "etc/apptainer/nvliblist.conf",
    "etc/apptainer/remote.yaml",
    "etc/apptainer/rocmliblist.conf",
    "var/apptainer/mnt/session",
)
"""What of an installation runs containers; the rest is manuals, completions and plugins."""

_OPTIONS = ("--without-suid", "--without-network", "--without-seccomp", "--without-libsubid")


def apptainer_prefix(cache: Path | None = None) -> Path | None:
    """Folder of the built apptainer, with ``bin/apptainer``; None if it has not been built."""
    prefix = (cache or cache_folder()) / f"apptainer-{VERSION}"
    return prefix if prefix.exists() else None


def build_apptainer(cache: Path | None = None) -> Path:
    """Build apptainer if the cache has none; returns its folder. Blocking: minutes.

    Raises
    ------
    SlurmDemoError
        If a program for it is missing or a step fails; the end of the log is in the text.
    """
    folder = cache or cache_folder()
    with locked(folder, f"apptainer-{VERSION}"):
        if (found := apptainer_prefix(folder)) is not None:
            return found
        if missing := [name for name in ("go", "cc", "make") if shutil.which(name) is None]:
            raise SlurmDemoError(f"To build apptainer, {' and '.join(missing)} must be installed.")
        part = folder / f".apptainer-{VERSION}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        log = part / "build.log"
        source = _source(part)
        environment = {**_go_environment(), "GOCACHE": str(part / "compiled"), "GOFLAGS": "-buildvcs=false"}
        words = [f"--prefix={_PREFIX}", "-P", "release-stripped", "-b", str(part / "build")]
        run_logged(["./mconfig", *_OPTIONS, *words], log, cwd=source, environment=environment)
        # Before the starter make would throw away all that it has compiled for the program.
        (part / "build/.clean-starter").touch()
        made = [f"{part}/root{_PREFIX}/{name}" for name in _MADE]
        jobs = f"-j{os.cpu_count() or 1}"
        command = ["make", jobs, f"DESTDIR={part}/root", *made]
        run_logged(command, log, cwd=part / "build", environment=environment)
        prefix = folder / f"apptainer-{VERSION}"
        (part / f"root{_PREFIX}").rename(prefix)
        shutil.rmtree(part)
        return prefix


def _source(part: Path) -> Path:
    """The module's files, as the repository has them."""
    module = part / "module"
    module.mkdir()
    (module / "go.mod").write_text("module panhub.invalid/apptainer\n")
    (module / "go.sum").write_text(_SUMS)
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{_MODULE}@v{VERSION}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=module,
        env=_go_environment(),
    )
    if done.returncode != 0:
        raise SlurmDemoError(f"The module {_MODULE} cannot be had: {(done.stdout + done.stderr).strip()}")
    source = part / "source"
    shutil.copytree(json.loads(done.stdout)["Dir"], source)
    for path in (source, *source.rglob("*")):
        path.chmod(0o755)
    (source / "VERSION").write_text(f"{VERSION}\n")
    return source


def _go_environment() -> dict[str, str]:
    return {**os.environ, "GOWORK": "off", "GOTOOLCHAIN": "local"}
