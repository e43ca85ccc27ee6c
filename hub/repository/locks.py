"""What can be made of a repository? An image if it says exactly what is installed, with hashes.

Where it may say so is where Binder looks: the repository, else its folder ``binder`` or ``.binder``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["session", "kernel"]

_FOLDERS = ("binder", ".binder", "")
"""In this order, and the first that is there holds all (repo2docker's rule)."""

_LOCKS = ("requirements.lock", "requirements.txt")
_NOT_DONE = {
    "postBuild": "a script of the build is not run",
    "start": "a script of the start is not run",
    "setup.py": "the repository itself is not installed",
    "pyproject.toml": "the repository itself is not installed",
    "runtime.txt": "the Python is that of the image below",
}
_BUILDERS = (
    "environment.yml",
    "environment.yaml",
    "Dockerfile",
    "Pipfile",
    "Pipfile.lock",
    "Project.toml",
    "JuliaProject.toml",
    "REQUIRE",
    "install.R",
    "DESCRIPTION",
    "default.nix",
)
"""What only repo2docker makes an environment of."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[^\]]*\])?==[^\s;]+")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,100}")


class RepositoryError(ValueError):
    """No environment can be made of the repository; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository says of its environment.

    ``kind`` is ``session`` where the lock has JupyterLab and JupyterHub, so that sessions run in it, else
    ``kernel``: notebooks run in it, the server beside it. ``debian`` are packages of Debian, ``notes``
    what the repository has and its image will not.
    """

    lock: bytes
    kind: Kind
    debian: tuple[str, ...]
    notes: tuple[str, ...]


def read_repository(folder: Path) -> Repository:
    """Read the lock of a repository.

    Raises
    ------
    RepositoryError
        If it has none, or one that leaves open what is installed.
    """
    if not folder.is_dir():
        raise RepositoryError(f"{folder} is no folder.")
    place = _place(folder)
    path = next((place / name for name in _LOCKS if (place / name).is_file()), None)
    if path is None:
        raise RepositoryError(f"{place} has none of {', '.join(_LOCKS)}. {_HOW}")
    lock = path.read_bytes()
    names = locked_packages(lock.decode("utf-8", errors="replace"), path.name)
    if {"jupyterlab", "jupyterhub"} <= names:
        kind: Kind = "session"
    elif "ipykernel" in names:
        kind = "kernel"
    else:
        raise RepositoryError(
            f"{path.name} has no ipykernel, so that no notebook can run in it: add it and lock again."
        )
    present = {each.name for each in place.iterdir()} | {each.name for each in folder.iterdir()}
    notes = [f"{name}: {why}" for name, why in _NOT_DONE.items() if name in present]
    return Repository(lock, kind, _debian(place / "apt.txt"), tuple(notes))


def needs_repo2docker(folder: Path) -> bool:
    """Whether the repository has no lock, but what repo2docker makes an environment of."""
    place = _place(folder)
    has_lock = any((place / name).is_file() for name in _LOCKS)
    return not has_lock and any((place / name).is_file() for name in _BUILDERS)


def _place(folder: Path) -> Path:
    return next(folder / name for name in _FOLDERS if not name or (folder / name).is_dir())


def locked_packages(text: str, name: str) -> set[str]:
    """Names of the packages in a lock, in the form of PEP 503.

    Raises
    ------
    RepositoryError
        If a line is not a package with its version and hashes.
    """
    found = set()
    joined = text.replace("\\\n", " ").replace("\\\r\n", " ")
    for number, line in enumerate(joined.splitlines(), start=1):
        words = line.partition(" #")[0].strip()
        if not words or words.startswith("#"):
            continue
        requirement = _REQUIREMENT.match(words)
        if requirement is None:
            raise RepositoryError(f"{name}, package {number}: “{words[:60]}” is not `name==version`. {_HOW}")
        if "--hash=sha256:" not in words:
            raise RepositoryError(f"{name}: {requirement[1]} has no hash. {_HOW}")
        found.add(re.sub(r"[-_.]+", "-", requirement[1]).lower())
    if not found:
        raise RepositoryError(f"{name} has no packages.")
    return found


def _debian(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    words = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for word in filter(None, words):
        if not _PACKAGE.fullmatch(word):
            raise RepositoryError(f"apt.txt: “{word}” is no name of a Debian package.")
    return tuple(filter(None, words))


_HOW = (
    "Lock what it needs, with hashes: uv pip compile --universal --generate-hashes requirements.in -o "
    "requirements.lock"
)
