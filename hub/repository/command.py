"""The command ``panhub image``."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from hub.repository.context import profile_entry, write_context
from hub.repository.locks import RepositoryError, needs_repo2docker, read_repository

_PROGRAM = "jupyter-repo2docker"


def run(repository: Path, output: Path, *, name: str | None, title: str | None, container: str | None) -> int:
    """Write the folder to build from and print the entry; returns the exit code."""
    name = name or repository.resolve().name.lower()
    try:
        if needs_repo2docker(repository):
            return _repo2docker(repository, name)
        read = read_repository(repository)
        file = write_context(read, name, output)
    except RepositoryError as error:
        print(error)
        return 1
    entry = profile_entry(read, name, title or name, container)
    (output / "environment.yaml").write_text(entry, encoding="utf-8")
    for note in read.notes:
        print(f"Left out – {note}.")
    print(f"Build it:  buildah build --tag {name} {file.parent}   (podman and docker take the same)")
    print(f"Then push it, and put into the profiles file ({output / 'environment.yaml'}):\n\n{entry}", end="")
    return 0


def _repo2docker(repository: Path, name: str) -> int:
    """Let repo2docker build an image, which needs a docker to build with."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise RepositoryError(
            f"{repository} has no lock, but an environment that {_PROGRAM} builds; it is not installed here."
        )
    # It runs the configuration that is in its own folder, which must not be the repository's.
    with tempfile.TemporaryDirectory(prefix="panhub-image-") as empty:
        done = subprocess.run([program, *repo2docker_words(repository, name)], check=False, cwd=empty)
    if done.returncode == 0:
        print(
            f"{name} is built. Add our start-up code, so that sessions start in it: see the guide on images."
        )
    return done.returncode


def repo2docker_words(repository: Path, name: str) -> list[str]:
    """Arguments of repo2docker: build only, for nobody in particular."""
    identity = ["--user-id", "1000", "--user-name", "person"]
    return ["--no-run", *identity, "--image-name", name, "--", str(repository.resolve())]
