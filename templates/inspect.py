"""What is in this NeXus/HDF5 file? A cheap, bounded index; detector data are never read.

Files come from anywhere, so nothing is trusted: the visit ends after a number of objects or seconds,
soft links lead one level, external links only to files of the same folder and one level, values are read
only of single numbers and short texts stored in the file itself. The HDF5 library may still hang or crash
on a hostile file: the engine runs this module as a program of its own (see `templates.inspector`), which
takes one JSON line ``{"path": …}`` at a time and answers with one.
"""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
import time
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import h5py

from templates.facts import FileFacts, Item

SECONDS = 1.0
"""Time cap of one visit: a page waits for it. A BLISS file of 12,000 items takes 1.1 s unbounded."""

OBJECTS = 2000
"""Most objects of one visit; NXsas and BLISS scans have some hundred."""

DEPTH = 7
"""Deepest group; NXdetector_module lies at 5."""

_TEXT_BYTES = 512

_MEMORY_BYTES = 2 << 30  # address space: numpy and HDF5 alone map about 0.6 GiB

_LISTED = 5000  # a folder with a file a frame is not read to its end

_SUFFIXES = (".h5", ".nxs", ".hdf5", ".nx5", ".hdf", ".cxi")


def main_file(path: Path) -> Path | None:
    """The file that stands for a data set: itself, or a folder's file of the folder's name, or its first.

    None if there is none that is a regular file.
    """
    if path.is_dir():
        named = (path / f"{path.name}{suffix}" for suffix in _SUFFIXES)
        listed = sorted(f for f in islice(path.iterdir(), _LISTED) if f.suffix.lower() in _SUFFIXES)
        path = next((f for f in chain(named, listed) if f.is_file()), path)
    return path if stat.S_ISREG(os.stat(path).st_mode) else None  # noqa: PTH116 - one call, follows links


def inspect_file(path: Path, *, seconds: float = SECONDS, objects: int = OBJECTS) -> FileFacts:
    """Index one file, or the file that stands for a folder.

    Raises
    ------
    OSError
        If there is no such file, or it is not HDF5.
    """
    chosen = main_file(path)
    if chosen is None:
        raise FileNotFoundError(f"{path}: no HDF5 file")
    with h5py.File(chosen, "r", locking=False) as file:
        visit = _Visit(chosen.parent, deadline=time.monotonic() + seconds, objects=objects)
        visit.group(file, "", 0)
    return replace(visit.facts(), file="" if chosen == path else chosen.name)


class _Visit:
    """One bounded walk through a file, breadth kept small by its bounds."""

    def __init__(self, folder: Path, *, deadline: float, objects: int) -> None:
        self._folder = folder.resolve()
        self._deadline = deadline
        self._left = objects
        self._seen: set[tuple[int, int]] = set()
        self._items: list[Item] = []
        self._definitions: dict[str, None] = {}
        self._techniques: dict[str, None] = {}
        self._instrument: str | None = None
        self._is_complete = True

    def facts(self) -> FileFacts:
        return FileFacts(
            definitions=tuple(self._definitions),
            techniques=tuple(self._techniques),
            instrument=self._instrument,
            items=tuple(self._items),
            is_complete=self._is_complete,
        )

    def group(self, group: Any, path: str, depth: int, *, follow: bool = True) -> None:
        """Visit one group; ``follow`` is False below a link, where links and groups end."""
        if follow:
            info = h5py.h5o.get_info(group.id)
            if (info.fileno, info.addr) in self._seen:  # hard links can make a circle
                return
            self._seen.add((info.fileno, info.addr))
        nxclass = _text(group.attrs.get("NX_class")) or ""
        for name in group:
            if not self._may_go_on(depth):
                return
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.HardLink):
                self._hard(group, name, f"{path}/{name}", nxclass, depth, follow=follow)
            elif follow:
                self._linked(group, name, link, f"{path}/{name}", nxclass, depth)

    def _hard(self, group: Any, name: str, path: str, nxclass: str, depth: int, *, follow: bool) -> None:
        if follow or issubclass(group.get(name, getclass=True), h5py.Dataset):
            self._object(group.get(name), path, nxclass, depth, is_linked=False)

    def _may_go_on(self, depth: int) -> bool:
        self._left -= 1
        if depth <= DEPTH and self._left >= 0 and time.monotonic() < self._deadline:
            return True
        self._is_complete = False
        return False

    def _linked(self, group: Any, name: str, link: Any, path: str, nxclass: str, depth: int) -> None:
        try:
            if isinstance(link, h5py.ExternalLink):
                with h5py.File(self._beside(link.filename), "r", locking=False) as other:
                    self._local(other, link.path, path, nxclass, depth)
            else:
                inside = link.path if link.path.startswith("/") else f"{group.name}/{link.path}"
                self._local(group.file, inside, path, nxclass, depth)
        except (OSError, KeyError, ValueError):
            self._is_complete = False  # a dangling link, or one that leads outside

    def _local(self, file: Any, inside: str, path: str, nxclass: str, depth: int) -> None:
        if not _is_local(file, inside):
            raise ValueError(f"{inside}: leads on by another link")
        self._object(file[inside], path, nxclass, depth, is_linked=True)

    def _beside(self, name: str) -> Path:
        """A linked file, if it lies in the folder of the file that links to it."""
        target = (self._folder / name).resolve()
        if not target.is_relative_to(self._folder) or not target.is_file():
            raise ValueError(f"{name}: outside the folder of the data set")
        return target

    def _object(self, found: Any, path: str, nxclass: str, depth: int, *, is_linked: bool) -> None:
        if isinstance(found, h5py.Dataset):
            self._dataset(found, path, nxclass)
        elif isinstance(found, h5py.Group):
            self.group(found, path, depth + 1, follow=not is_linked)

    def _dataset(self, dataset: Any, path: str, nxclass: str) -> None:
        value = _value(dataset)
        item = Item(
            path=path,
            nxclass=nxclass,
            shape=tuple(dataset.shape or ()),
            dtype=dataset.dtype.str,
            units=_text(dataset.attrs.get("units")),
            value=value,
        )
        self._items.append(item)
        if not isinstance(value, str):
            return
        if item.name == "definition" and nxclass in ("NXentry", "NXsubentry"):
            self._definitions[value] = None
        elif item.name.startswith("identifier_technique"):
            self._techniques[value] = None
        elif item.name == "name" and nxclass == "NXinstrument":
            self._instrument = self._instrument or value


def _is_local(file: Any, path: str) -> bool:
    """True if no step of a path is a link again: it might lead to another file, which HDF5 would open."""
    steps = [step for step in path.split("/") if step not in ("", ".")]
    for end in range(1, len(steps) + 1):
        link = file.get("/" + "/".join(steps[:end]), getlink=True)
        if not isinstance(link, h5py.HardLink):
            return False
    return True


def _value(dataset: Any) -> float | str | None:
    """Value of a single number or short text; None for all else.

    Chunked, virtual and externally stored data are left alone: reading them may run a filter or open
    another file.
    """
    dtype = dataset.dtype
    if dataset.size != 1 or dataset.chunks or dataset.is_virtual or dataset.external:
        return None
    if dtype.kind in "iuf":
        number = float(dataset[()].reshape(-1)[0]) if dataset.shape else float(dataset[()])
        return number if abs(number) < float("inf") else None
    if dtype.kind in "SUO" and dtype.itemsize <= _TEXT_BYTES and h5py.check_string_dtype(dtype):
        raw = dataset[()]
        return _text(raw if not dataset.shape else raw.reshape(-1)[0])
    return None


def _text(raw: Any) -> str | None:
    """Text of an attribute or value, cut to a reasonable length."""
    if hasattr(raw, "shape") and raw.shape == (1,):
        raw = raw[0]
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "replace")
    return str(raw)[:_TEXT_BYTES] if isinstance(raw, str) else None


def _limit_self() -> None:
    """No more memory than an index needs, and nothing written."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer one request a line until the input ends."""
    _limit_self()
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"facts": inspect_file(Path(json.loads(line)["path"])).to_json()}
        except Exception as error:  # whatever a file does, the next request gets its answer
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
