"""From a repository to a folder that docker, podman and buildah build, and an entry of the profiles."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import yaml

from hub.repository.locks import Repository, RepositoryError

_HERE = Path(__file__).parent
_SCRIPTS = ("install.sh", "finish.sh", "prefix.sh")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLACEHOLDER = f"registry.example.org/NAME@sha256:{'0' * 64}"

BASES = {"session": "panhub/base", "kernel": "panhub/notebook-core"}
"""Image that an environment stands on by default, by its kind."""


def write_context(repository: Repository, name: str, folder: Path) -> Path:
    """Write what is built into a new folder; returns its container file.

    Raises
    ------
    RepositoryError
        If the name cannot be one, or the folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise RepositoryError(f"“{name}” is no name: lower-case letters, digits and hyphens.")
    if folder.exists():
        raise RepositoryError(f"{folder} is there already; nothing is written over.")
    folder.mkdir(parents=True)
    (folder / "requirements.lock").write_bytes(repository.lock)
    (folder / "debian.txt").write_text("".join(f"{each}\n" for each in repository.debian))
    for script in _SCRIPTS:
        (folder / script).write_bytes((_HERE / script).read_bytes())
    text = (_HERE / "Containerfile").read_text(encoding="utf-8")
    values = {
        "BASE": BASES[repository.kind],
        "KIND": repository.kind,
        "NAME": name,
        "LOCK_SHA256": hashlib.sha256(repository.lock).hexdigest(),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path = folder / "Containerfile"
    path.write_text(text, encoding="utf-8")
    return path


def profile_entry(repository: Repository, name: str, title: str, container: str | None) -> str:
    """The environment for the profiles file, in YAML.

    Parameters
    ----------
    container
        The pushed image by digest; None writes a placeholder that says so.
    """
    entry = {
        "title": title,
        "prefix": "/opt/panhub/environment",
        "lock_sha256": hashlib.sha256(repository.lock).hexdigest(),
        "container": container or _PLACEHOLDER.replace("NAME", name),
        **({"kernel": name} if repository.kind == "kernel" else {}),
    }
    text = yaml.safe_dump({"environments": {name: entry}}, sort_keys=False, allow_unicode=True, width=100)
    if container is None:
        text = f"# Put the digest in that the registry gives the image when it is pushed.\n{text}"
    return text
