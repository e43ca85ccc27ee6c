"""Which files may be brought in and taken out by the desktop's page? Folders of the data view, by name.

A path is ``<place>/<folder>/…/<name>``; the empty path lists the places. A place is the home folder or one
mount of the session. What lies below is opened part by part without following links (openat(2) with
O_NOFOLLOW), so no path leads out of its place, whatever the person's programs do meanwhile. A file
is never written over: a numbered sibling is made. All of it blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

_MOST_PARTS = 64
_MOST_BYTES = 255
_MOST_ENTRIES = 10_000
_SIBLINGS = 1000

_NEVER = re.compile("[/\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Not in a name: what separates, controls, or lets a name be read in another order than it is."""


class RefusedError(Exception):
    """It may not be; ``status`` is HTTP's, the text is for the person."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Place(NamedTuple):
    """A folder of the data view, as the session sees it."""

    title: str
    path: str
    is_writable: bool


def read_places(raw: Any) -> tuple[Place, ...]:
    """Places as ``start.py`` names them in PANHUB_DESKTOP_PLACES."""
    return tuple(Place(str(one["title"]), str(one["path"]), bool(one["is_writable"])) for one in raw)


def parts_of(path: str) -> list[str]:
    """Parts of a path as a person's browser sends it.

    Raises
    ------
    RefusedError
        If one of them could lead out, or is no name that is shown.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) > _MOST_PARTS or any(not is_name(part) for part in parts):
        raise RefusedError(400, "This is no path below the session's folders.")
    return parts


def is_name(part: str) -> bool:
    """Whether a name can be that of a file and be shown."""
    try:
        size = len(part.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    return part not in {"", ".", ".."} and not _NEVER.search(part) and size <= _MOST_BYTES


class Places:
    """The session's places; the first one takes what is brought in without a folder."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = {place.title: place for place in places}

    def listing(self, path: str) -> Mapping[str, Any]:
        """What is in a folder, or the places: ``path`` and ``entries``, ``may_bring`` whether it is writable.

        Raises
        ------
        RefusedError
            If it cannot be read.
        """
        parts = parts_of(path)
        if not parts:
            entries = [{"name": place.title, "kind": "folder", "size": 0} for place in self._places.values()]
            return {"path": "", "entries": entries, "may_bring": True}
        place = self._place(parts[0])
        with _plainly(parts[-1]), _folder(place.path, parts[1:]) as folder:
            entries = sorted(_entries(folder), key=lambda entry: (entry["kind"] == "file", entry["name"]))
        return {"path": "/".join(parts), "entries": entries, "may_bring": place.is_writable}

    def open_file(self, path: str) -> tuple[int, int]:
        """Descriptor of a file, and its size [bytes].

        Raises
        ------
        RefusedError
            If it is none, or cannot be read.
        """
        parts = parts_of(path)
        if len(parts) < 2:
            raise RefusedError(404, "This is no file.")
        place = self._place(parts[0])
        with _plainly(parts[-1]), _folder(place.path, parts[1:-1]) as folder:
            # Non-blocking: it could be a pipe that nobody writes to.
            found = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            about = os.fstat(found)
            if not stat.S_ISREG(about.st_mode):
                os.close(found)
                raise RefusedError(404, f"“{parts[-1]}” is no file.")
            return found, about.st_size

    def new_file(self, path: str) -> NewFile:
        """A file to write, in a folder that is there.

        Raises
        ------
        RefusedError
            If it may not be written there.
        """
        parts = parts_of(path)
        if not parts:
            raise RefusedError(400, "The file has no name.")
        if len(parts) == 1:
            parts = [next(iter(self._places)), *parts]
        place = self._place(parts[0])
        if not place.is_writable:
            raise RefusedError(409, f"“{place.title}” can only be read. Choose another folder.")
        with _plainly(parts[-1]):
            with _folder(place.path, parts[1:-1]) as folder:
                kept = os.dup(folder)
            try:
                return NewFile.make(kept, parts)
            except BaseException:
                os.close(kept)
                raise

    def _place(self, title: str) -> Place:
        try:
            return self._places[title]
        except KeyError:
            raise RefusedError(404, "There is no such folder.") from None


class NewFile:
    """A file that is being written. `keep` or `drop` must follow; `drop` may come while it is written."""

    def __init__(self, folder: int, descriptor: int, parts: list[str]) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self._parts = parts
        self._lock = threading.Lock()
        self._is_open = True
        self.size = 0

    @classmethod
    def make(cls, folder: int, parts: list[str]) -> NewFile:
        """Make it, under the first name that is free."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        for name in siblings(parts[-1]):
            with contextlib.suppress(FileExistsError):
                return cls(folder, os.open(name, flags, 0o644, dir_fd=folder), [*parts[:-1], name])
        raise RefusedError(409, "There are too many files of this name.")

    def write(self, data: bytes) -> None:
        """Append.

        Raises
        ------
        RefusedError
            If there is no room.
        """
        # The other side may go away meanwhile: the number of a closed file would be another's.
        with self._lock, _plainly(self._parts[-1]):
            if not self._is_open:
                return
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self.size += len(data)

    def keep(self) -> Mapping[str, Any]:
        """Close it; says under which name it is."""
        with self._lock, _plainly(self._parts[-1]):
            self._is_open = False
            try:
                os.close(self._descriptor)  # network storage tells of a full quota here
            finally:
                os.close(self._folder)
        return {"name": self._parts[-1], "path": "/".join(self._parts), "size": self.size}

    def drop(self) -> None:
        """Remove it again."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            with contextlib.suppress(OSError):
                os.unlink(self._parts[-1], dir_fd=self._folder)
            for descriptor in (self._descriptor, self._folder):
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def siblings(name: str) -> Iterator[str]:
    """The name, then ``name-1``, ``name-2`` … with the same ending."""
    stem, dot, ending = name.partition(".") if not name.startswith(".") else (name, "", "")
    yield name
    for number in range(1, _SIBLINGS):
        yield f"{stem}-{number}{dot}{ending}"


@contextmanager
def _folder(root: str, parts: list[str]) -> Iterator[int]:
    """Descriptor of a folder below a place. The place itself may be a link: it is ours."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _entries(folder: int) -> Iterator[dict[str, Any]]:
    """Files and folders that can be named, without hidden ones; links are not followed, so not listed."""
    with os.scandir(folder) as found:
        for number, entry in enumerate(found):
            if number >= _MOST_ENTRIES:
                return
            if entry.name.startswith(".") or not is_name(entry.name):
                continue
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(about.st_mode):
                yield {"name": entry.name, "kind": "folder", "size": 0, "modified": about.st_mtime}
            elif stat.S_ISREG(about.st_mode):
                yield {"name": entry.name, "kind": "file", "size": about.st_size, "modified": about.st_mtime}


_WHY = {
    errno.ENOENT: (404, "is not there (any more)."),
    errno.ENOTDIR: (404, "is not there, or lies behind a link, which is not followed."),
    errno.ELOOP: (404, "is a link, which is not followed."),
    errno.EACCES: (409, "may not be opened by your account."),
    errno.EPERM: (409, "may not be opened by your account."),
    errno.EROFS: (409, "cannot be written: the storage is read-only."),
    errno.ENOSPC: (507, "does not fit: the storage is full."),
    errno.EDQUOT: (507, "does not fit: your quota is used up."),
    errno.ENAMETOOLONG: (400, "has a name that is too long."),
}


@contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Turn errors of the system into words."""
    try:
        yield
    except OSError as error:
        status, why = _WHY.get(error.errno or 0, (409, f"cannot be used: {error.strerror}."))
        raise RefusedError(status, f"“{name}” {why}") from error
