"""Which environments of the person's own have a kernel? Each becomes one in JupyterLab.

Looked for in the home folder and in conda's own list: conda, mamba and virtual environments that
contain ipykernel. Each gets a ``kernel.json`` (jupyter-client.readthedocs.io/en/stable/kernels.html)
in a folder that JUPYTER_PATH names, so nothing has to be installed in the session's environment and
nothing is written into the home. Run inside the data view: what it does not show is no kernel.
Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

_MOST = 50
"""Environments at most: more make no list that helps anybody, and each costs time on a slow home."""

_LISTS = (".conda/environments.txt",)
_FOLDERS = (
    ".conda/envs",
    "miniforge3/envs",
    "mambaforge/envs",
    "miniconda3/envs",
    "anaconda3/envs",
    "micromamba/envs",
    ".local/share/mamba/envs",
    ".virtualenvs",
    ".local/share/virtualenvs",
)
_ROOTS = ("miniforge3", "mambaforge", "miniconda3", "anaconda3")


def write(folder: Path, home: Path, *, own: Path) -> list[str]:
    """Write a kernel for each environment; returns their names. ``own`` is the session's environment."""
    names: set[str] = set()
    for prefix in found(home, own=own):
        name = kernel_name(prefix, names)
        names.add(name)
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "kernel.json").write_text(json.dumps(specification(prefix), indent=1), encoding="utf-8")
    return sorted(names)


def found(home: Path, *, own: Path) -> list[Path]:
    """Environments with ipykernel, by path."""
    prefixes: dict[str, Path] = {}
    for prefix in candidates(home):
        real = os.path.realpath(prefix)
        if real in prefixes or real == os.path.realpath(own) or not has_kernel(prefix):
            continue
        prefixes[real] = prefix
        if len(prefixes) == _MOST:
            break
    return sorted(prefixes.values())


def candidates(home: Path) -> Iterator[Path]:
    """Folders that could be environments."""
    for name in _LISTS:
        yield from listed(home / name)
    yield from (home / name for name in _ROOTS)
    for name in _FOLDERS:
        try:
            yield from sorted(home.joinpath(name).iterdir())
        except OSError:  # most homes have few of these
            continue


def listed(path: Path) -> Iterable[Path]:
    """Prefixes in conda's list of all environments of a person."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [Path(line.strip()) for line in lines[: 10 * _MOST] if line.startswith("/")]


def has_kernel(prefix: Path) -> bool:
    """Whether there is a Python with ipykernel."""
    try:
        if not os.access(prefix / "bin" / "python", os.X_OK):
            return False
        return any(prefix.glob("lib/python3.*/site-packages/ipykernel/__main__.py"))
    except OSError:
        return False


def kernel_name(prefix: Path, taken: Iterable[str]) -> str:
    """Name of an environment's kernel: the same at every start, so that notebooks find it again."""
    name = "env-" + re.sub(r"[^a-z0-9._-]+", "-", prefix.name.lower())[:60]
    if name in taken:
        name += "-" + hashlib.sha256(str(prefix).encode()).hexdigest()[:8]
    return name


def specification(prefix: Path) -> dict[str, Any]:
    """Content of its ``kernel.json``."""
    environment = {"PATH": f"{prefix}/bin:${{PATH}}"}
    if (prefix / "conda-meta").is_dir():
        environment |= {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": prefix.name}
    else:
        environment["VIRTUAL_ENV"] = str(prefix)
    return {
        "argv": [str(prefix / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python ({prefix.name})",
        "language": "python",
        "env": environment,
        "metadata": {"debugger": True},
    }
