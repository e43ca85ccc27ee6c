"""An environment in an apptainer image, as a site offers one: Debian and the sessions' own packages.

The system is made by debootstrap and kept in the cache. Over it lies the environment of the nodes
(`hub.demo.slurm.environment`), under a path that the nodes do not have: what runs from there runs in
the image. ``python -m hub.demo.slurm.image`` (`make apptainer`) makes ahead what takes minutes:
apptainer itself, and the system.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hub.demo.locks import locked
from hub.demo.slurm.apptainer import apptainer_prefix, build_apptainer
from hub.demo.slurm.people import SITE
from hub.demo.slurm.release import SlurmDemoError, cache_folder
from hub.demo.slurm.root import debian_mirror, run_logged

PREFIX = PurePosixPath("/opt/pan-core")
"""Where the environment lies in the image."""

SUITE = "bookworm"
"""The environment was made with the Python of Debian 12, as it is on the machine's own nodes."""

_PACKAGES = "python3,ca-certificates"


@dataclass(frozen=True, slots=True)
class NodeImage:
    """``program`` is apptainer and ``image`` the image, where everybody's jobs can use them."""

    program: Path
    image: Path


def prepare_image(environment: Path, site: Path = SITE) -> NodeImage:
    """Image with an environment, made if it is not there. Blocking: half a minute the first time.

    Parameters
    ----------
    environment
        Prefix of the environment, made by the machine's own Python.

    Raises
    ------
    SlurmDemoError
        If apptainer was not built, or the image cannot be made.
    """
    built = apptainer_prefix()
    if built is None:
        raise SlurmDemoError("There is no apptainer; build it with: make apptainer")
    image = site / "images" / f"{environment.name}.sif"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.parent.chmod(0o755)
    with locked(image.parent, ".made"):
        program = _installed(built, site) / "bin/apptainer"
        if not image.exists():
            for old in image.parent.glob("*.sif"):
                old.unlink()
            _make(image, environment, program)
    return NodeImage(program, image)


def _installed(built: Path, site: Path) -> Path:
    """A copy where people can run it: the cache may be closed to them."""
    prefix = site / built.name
    if not prefix.exists():
        part = prefix.with_name(f".{built.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(built, part, symlinks=True)
        part.rename(prefix)
    return prefix


def _make(image: Path, environment: Path, apptainer: Path) -> None:
    part = image.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    log = image.with_suffix(".log")
    _copy(debian_root(), part, log)
    _copy(environment, part / PREFIX.relative_to("/"), log)
    # Programs of a virtual environment begin with its path.
    for path in (part / PREFIX.relative_to("/") / "bin").iterdir():
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if bytes(environment) in text:
            mode = path.stat().st_mode
            path.unlink()  # it may be one file with the environment's own
            path.write_bytes(text.replace(bytes(environment), bytes(PREFIX)))
            path.chmod(mode)
    made = image.with_suffix(".new")
    # Compressed for the time that it takes, not for its size.
    options = ["--force", "--mksquashfs-args", "-comp lz4"]
    run_logged([str(apptainer), "build", *options, str(made), str(part)], log)
    shutil.rmtree(part)
    log.unlink()
    made.rename(image)


def debian_root() -> Path:
    """Root folder of a Debian with its Python, made if it is not in the cache. Blocking: a minute then."""
    cache = cache_folder()
    root = cache / f"image-{SUITE}"
    with locked(cache, root.name):
        if not root.exists():
            part = cache / f".{root.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            debootstrap = shutil.which("debootstrap", path="/usr/sbin:/usr/bin:/sbin:/bin")
            if debootstrap is None:
                raise SlurmDemoError("debootstrap is needed (Debian package debootstrap).")
            words = ["--variant=minbase", f"--include={_PACKAGES}", SUITE, str(part), debian_mirror()]
            run_logged([debootstrap, *words], root.with_suffix(".log"))
            shutil.rmtree(part / "var/cache/apt", ignore_errors=True)
            part.rename(root)
            root.with_suffix(".log").unlink()
    return root


def _copy(source: Path, target: Path, log: Path) -> None:
    """Copy a folder by links where it can be; what is linked is not written to."""
    linked = subprocess.run(["cp", "-al", str(source), str(target)], check=False, capture_output=True)
    if linked.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        run_logged(["cp", "-a", "--reflink=auto", str(source), str(target)], log)


def main() -> int:
    """Make what images need and takes minutes; what is there is kept."""
    began = time.monotonic()
    try:
        print(f"{build_apptainer()} after {time.monotonic() - began:.0f} s", flush=True)
        print(f"{debian_root()} after {time.monotonic() - began:.0f} s", flush=True)
    except SlurmDemoError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
