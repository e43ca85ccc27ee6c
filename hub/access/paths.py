"""Does this path stay where it belongs? Guards for paths that a catalogue or a person named.

A path is resolved by opening one component after the other, each without following a link, so
a link anywhere below the root (people may write links into their processed data) is refused and
cannot be swapped in between check and open. Blocking: call it in a thread.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

_MAX_PATH = 4096
"""PATH_MAX of Linux, in bytes, with the closing NUL."""

_MAX_NAME = 255
"""NAME_MAX of Linux file systems, in bytes."""


class UnsafePathError(Exception):
    """The path is not one that stays below its root; the text names no content."""


class MissingPathError(Exception):
    """There is nothing at the path."""


def check_name(name: str) -> str:
    """One component of a path, unchanged.

    Raises
    ------
    UnsafePathError
        If it is empty, ``.`` or ``..``, holds ``/``, a control or unencodable character, or is
        too long.
    """
    if name in {"", ".", ".."} or "/" in name:
        raise UnsafePathError("a name must not be empty, '.', '..', or hold '/'")
    if any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in name):
        raise UnsafePathError("a name must not hold control characters")
    if len(name.encode()) > _MAX_NAME:
        raise UnsafePathError("a name must not be longer than 255 bytes")
    return name


def check_relative(path: str | PurePosixPath) -> PurePosixPath:
    """A relative path of checked names; ``.`` alone stands for the root itself.

    Raises
    ------
    UnsafePathError
        If it is absolute, too long, or a name in it is refused.
    """
    text = str(path)
    if text.startswith("/"):
        raise UnsafePathError("the path must be relative")
    # 'surrogatepass': a lone surrogate has a length too; `check_name` refuses it.
    if len(text.encode(errors="surrogatepass")) >= _MAX_PATH:
        raise UnsafePathError("the path must be shorter than 4096 bytes")
    if text == ".":
        return PurePosixPath()
    # Split by hand: PurePosixPath would drop '.' and double slashes without a word.
    return PurePosixPath(*(check_name(name) for name in text.split("/")))


@contextmanager
def open_beneath(root: Path, relative: str | PurePosixPath) -> Iterator[int]:
    """Descriptor (O_PATH) of what lies at ``relative`` below ``root``, without following links.

    The root itself is the site's own and may be a link.

    Raises
    ------
    UnsafePathError
        If the path is refused, or a link or something that is neither file nor folder is on it.
    MissingPathError
        If there is nothing.
    """
    parts = check_relative(relative).parts
    current = _open(None, os.fspath(root))
    try:
        for number, name in enumerate(parts):
            following = _open(current, name)
            os.close(current)
            current = following
            _check_kind(current, is_last=number == len(parts) - 1)
        yield current
    finally:
        os.close(current)


def resolve_beneath(root: Path, relative: str | PurePosixPath) -> PurePosixPath:
    """Absolute path of what lies at ``relative`` below ``root``; raises as `open_beneath`."""
    with open_beneath(root, relative):
        return PurePosixPath(os.path.realpath(root)) / check_relative(relative)


def _open(parent: int | None, name: str) -> int:
    follow = 0 if parent is None else os.O_NOFOLLOW
    try:
        return os.open(name, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            raise MissingPathError("there is nothing at this path") from error
        raise UnsafePathError(f"the path cannot be opened: {error.strerror}") from error


def _check_kind(descriptor: int, *, is_last: bool) -> None:
    # O_PATH with O_NOFOLLOW opens a link itself; what it is shows only afterwards.
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISLNK(mode):
        raise UnsafePathError("there is a link on the path")
    if not is_last and not stat.S_ISDIR(mode):
        raise MissingPathError("there is nothing at this path")
    if is_last and not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise UnsafePathError("the path leads to neither a file nor a folder")
