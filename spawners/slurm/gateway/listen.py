"""The gateway's socket: made for one process at a time, open to its group only, removed at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spawners.slurm.gateway.settings import GatewayConfigError, GatewaySettings

_MODE = 0o660
_BACKLOG = 64


@contextmanager
def listening(settings: GatewaySettings) -> Iterator[socket.socket]:
    """Listening socket at the path of the settings; one that a killed gateway left is replaced.

    Raises
    ------
    GatewayConfigError
        If another gateway has it, something else lies there, or the folder or group is not as needed.
    """
    path = settings.socket
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise GatewayConfigError(f"socket: {path.parent} cannot be used: {error.strerror}") from error
    try:
        _hold(lock, path)
        listener = _bind(path, settings.socket_group)
        try:
            yield listener
        finally:
            listener.close()
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _hold(lock: int, path: Path) -> None:
    """Hold the lock, which the system releases with the process, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise GatewayConfigError(f"socket: another gateway listens on {path}") from error


def _bind(path: Path, group: str | None) -> socket.socket:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise GatewayConfigError(f"socket: {path} is there and is no socket")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)  # nobody else connects before its group is set
    try:
        listener.bind(str(path))
        if group is not None:
            shutil.chown(path, group=group)
        path.chmod(_MODE)
        listener.listen(_BACKLOG)
    except (OSError, LookupError) as error:
        listener.close()
        raise GatewayConfigError(f"socket: {path}: {error}") from error
    finally:
        os.umask(before)
    return listener
