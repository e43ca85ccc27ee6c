"""From a site's profiles file to what the launch path works with.

Everything wrong in the file is reported at once, each fault with file, line, key and cause; the
service does not start on a file with a fault. Paths of environments may be relative to a root, so
that one file serves a checkout wherever it lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import ValidationError

from profiles.models import EnvironmentEntry, ProfileEntry, ProfilesFile, SizeEntry
from profiles.places import PlaceEntry
from spawners.plan import Environment, Interface, Size

Key = tuple[str | int, ...]

_DEEPEST = 12
"""No key of the file lies deeper; an alias that holds itself would have no end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend. ``line`` counts from 1; ``key`` is the path through the file."""

    file: Path
    line: int
    key: str
    cause: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.cause}" if self.key else f"{where}: {self.cause}"


class ProfilesError(Exception):
    """The profiles file cannot be used. ``faults`` lists all that is to be mended."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Profiles:
    """What a site offers, with every reference known to hold. Order is that of the file.

    A profile's places are only those that its environment is built for; ``unfit`` are the others.
    """

    environments: Mapping[str, Environment]
    sizes: Mapping[str, Size]
    places: Mapping[str, PlaceEntry]
    profiles: Mapping[str, ProfileEntry]
    default_profile: str
    unfit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def without(self, interface: Interface) -> Profiles:
        """What is left of the offer where a site does not run an interface, its only profiles left out.

        Raises
        ------
        ValueError
            If the default profile would go.
        """
        kept = {
            name: profile.model_copy(update={"interfaces": rest})
            for name, profile in self.profiles.items()
            if (rest := tuple(one for one in profile.interfaces if one is not interface))
        }
        if self.default_profile not in kept:
            name = self.default_profile
            raise ValueError(f"default_profile: `{name}` offers `{interface}` only, which is not run here")
        return replace(self, profiles=MappingProxyType(kept))


def load_profiles(path: Path, *, environments_root: Path | None = None) -> Profiles:
    """Read and check a profiles file.

    Parameters
    ----------
    path
        The YAML file.
    environments_root
        Folder that relative `prefix` and `lock` start from; by default the folder of the file.

    Raises
    ------
    ProfilesError
        If anything in it is wrong, with all faults.
    """
    document = _Document.read(path)
    try:
        file = ProfilesFile.model_validate(document.content)
    except ValidationError as error:
        raise ProfilesError(
            document.fault(_key_of(e["loc"], document.content), _cause_of(e["msg"])) for e in error.errors()
        ) from error
    if broken := file.broken_references():
        raise ProfilesError(document.fault(error.key, str(error)) for error in broken)
    return Profiles(
        environments=_environments(file, document, (environments_root or path.parent).absolute()),
        sizes=MappingProxyType({name: _size(name, size) for name, size in file.sizes.items()}),
        places=MappingProxyType(dict(file.places)),
        profiles=MappingProxyType(
            {name: p.model_copy(update={"places": file.fitting(p)}) for name, p in file.profiles.items()}
        ),
        default_profile=file.default_profile,
        unfit=MappingProxyType({name: _unfit(file, profile) for name, profile in file.profiles.items()}),
    )


def _unfit(file: ProfilesFile, profile: ProfileEntry) -> tuple[str, ...]:
    return tuple(name for name in profile.places if name not in file.fitting(profile))


def _size(name: str, entry: SizeEntry) -> Size:
    return Size(
        id=name,
        title=entry.title,
        cpus=entry.cpus,
        memory_mib=entry.memory_mib,
        gpus=entry.gpus,
        gpu_type=entry.gpu_type or "",
    )


def _environments(file: ProfilesFile, document: _Document, root: Path) -> Mapping[str, Environment]:
    made: dict[str, Environment] = {}
    faults: list[Fault] = []
    for name, entry in file.environments.items():
        try:
            made[name] = _environment(name, entry, root)
        except OSError as error:
            cause = f"cannot read the lock file: {error.strerror} ({error.filename})"
            faults.append(document.fault(("environments", name, "lock"), cause))
    if faults:
        raise ProfilesError(faults)
    return MappingProxyType(made)


def _environment(name: str, entry: EnvironmentEntry, root: Path) -> Environment:
    lock_sha256 = entry.lock_sha256
    if lock_sha256 is None:
        assert entry.lock is not None
        lock_sha256 = hashlib.sha256((root / entry.lock).read_bytes()).hexdigest()
    return Environment(
        id=name,
        title=entry.title,
        prefix=PurePosixPath(root / entry.prefix),
        lock_sha256=lock_sha256,
        kernel=entry.kernel,
        modules=entry.modules,
        image=None if entry.image is None else PurePosixPath(root / entry.image),
        architectures=entry.architectures,
        desktop=entry.desktop,
        container=entry.container or "",
        container_prefix=None if entry.container_prefix is None else PurePosixPath(entry.container_prefix),
    )


class _Document:
    """A YAML file with the line of each key."""

    def __init__(self, path: Path, node: yaml.Node, content: Any) -> None:
        self._path = path
        self._node = node
        self.content = content

    @classmethod
    def read(cls, path: Path) -> _Document:
        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ProfilesError([Fault(path, 1, "", f"cannot be read: {error}")]) from error
        except yaml.YAMLError as error:
            raise ProfilesError([_syntax_fault(path, error)]) from error
        try:
            node = loader.get_single_node()
            if node is None:
                raise ProfilesError([Fault(path, 1, "", "the file is empty")])
            _refuse_repeated_keys(path, node)
            return cls(path, node, loader.construct_document(node))
        except yaml.YAMLError as error:
            raise ProfilesError([_syntax_fault(path, error)]) from error
        finally:
            loader.dispose()

    def fault(self, key: Key, cause: str) -> Fault:
        """A fault at ``key``; the line is that of the deepest part of the key that is there."""
        return Fault(self._path, _line_of(self._node, key), ".".join(str(part) for part in key), cause)


def _line_of(node: yaml.Node, key: Key) -> int:
    line = node.start_mark.line
    for part in key:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line + 1


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(part):
                return name.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line, item
    return None


def _refuse_repeated_keys(path: Path, node: yaml.Node, key: Key = ()) -> None:
    # YAML keeps the last of two equal keys without a word: half of a rule would be lost.
    if len(key) > _DEEPEST:
        raise ProfilesError([Fault(path, node.start_mark.line + 1, "", "is nested too deep")])
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _refuse_repeated_keys(path, value, (*key, index))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            this = str(name.value)
            inner = (*key, this)
            if this in seen:
                text = ".".join(str(part) for part in inner)
                raise ProfilesError([Fault(path, name.start_mark.line + 1, text, "the key stands twice")])
            seen.add(this)
            _refuse_repeated_keys(path, value, inner)


def _syntax_fault(path: Path, error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    cause = getattr(error, "problem", None) or str(error)
    return Fault(path, mark.line + 1 if mark else 1, "", f"is not YAML: {cause}")


def _key_of(loc: Key, content: Any) -> Key:
    """Path through the file, without the names of union members and keys that pydantic adds."""
    key: list[str | int] = []
    for part in loc:
        if isinstance(content, dict):
            if part not in content and content.get("backend") == part:
                continue  # which member of the union of places it is
            # A missing key is its parent's fault and named; anything else pydantic made up.
            if part not in content and not _is_key(part):
                break
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
        else:
            break
        key.append(part)
    return tuple(key)


def _is_key(part: str | int) -> bool:
    return isinstance(part, str) and part.isidentifier() and part.islower()


def _cause_of(message: str) -> str:
    return message.removeprefix("Value error, ")
