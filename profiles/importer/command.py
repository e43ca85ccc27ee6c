"""``panhub import-profiles``: read a file of the other kind, write ours, say what is left to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from profiles.importer.convert import Imported, Wishes, convert
from profiles.importer.shapes import SourceError
from profiles.importer.source import read_source
from profiles.loader import ProfilesError, load_profiles
from spawners.kubernetes.settings import KubernetesSettings

PROFILES, SETTINGS, NOTES = "profiles.yaml", "settings.yaml", "left-to-do.txt"

_DIGEST = re.compile(r"([^=@\s]+)=(sha256:[0-9a-f]{64})\Z")

_ABOUT = {
    PROFILES: "Imported from {source}. A lock_sha256 is the image's digest: it says what the software is.",
    SETTINGS: "Imported from {source}: put this into the settings of the site.",
    NOTES: "What {source} says and these files do not, or not in the same way.",
}


class NotImportedError(Exception):
    """Nothing was written; the text says why."""


class _Fragment(BaseModel):
    """The part of the settings that can be checked alone."""

    model_config = ConfigDict(extra="ignore")

    kubernetes: KubernetesSettings


def read_digests(given: Iterable[str]) -> dict[str, str]:
    """``IMAGE=sha256:…`` of the command line, by image.

    Raises
    ------
    NotImportedError
        If one is written otherwise.
    """
    found = {}
    for text in given:
        match = _DIGEST.match(text)
        if match is None:
            raise NotImportedError(f"{text}: write IMAGE=sha256:… with 64 hexadecimal digits")
        found[match.group(1)] = match.group(2)
    return found


def import_profiles(source: Path, folder: Path, wishes: Wishes) -> tuple[Imported, list[str]]:
    """Write the files; returns what was made, and what our own loader says against it.

    Raises
    ------
    NotImportedError
        If the source cannot be read, or a file is there already.
    """
    try:
        made = convert(read_source(source), wishes)
    except SourceError as error:
        raise NotImportedError(f"{source}: {error}") from error
    texts = {
        PROFILES: _yaml(made.profiles),
        SETTINGS: _yaml(made.settings),
        NOTES: "".join(f"{note}\n" for note in made.notes),
    }
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise NotImportedError(f"{folder / there[0]} is there already; nothing was written")
    for name, text in texts.items():
        (folder / name).write_text(f"# {_ABOUT[name].format(source=source.name)}\n\n{text}", encoding="utf-8")
    return made, _faults(folder / PROFILES, made.settings)


def _faults(path: Path, settings: Mapping[str, Any]) -> list[str]:
    faults = []
    try:
        load_profiles(path)
    except ProfilesError as error:
        faults = [str(fault) for fault in error.faults]
    try:
        _Fragment.model_validate(settings)
    except ValidationError as error:
        for one in error.errors():
            faults.append(f"{SETTINGS}: {'.'.join(map(str, one['loc']))}: {one['msg']}")
    return faults


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=110)
