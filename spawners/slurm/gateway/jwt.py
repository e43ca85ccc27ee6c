"""JSON Web Tokens as Slurm reads them, and the key that signs them.

HS256 (RFC 7515, 7518 section 3.2) over the claims ``exp``, ``iat`` and ``sun``, the Slurm user's
name: slurm.schedmd.com/jwt.html.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import stat
from pathlib import Path

_SHORTEST_KEY = 32
"""RFC 7518: a key for HS256 has 256 bits or more."""

_LONGEST_KEY = 4096


class KeyFileError(Exception):
    """The key cannot be used; the text names the file and what to do."""


def mint(key: bytes, user: str, *, issued_at: int, lifetime_s: int) -> str:
    """Token for one Slurm user; ``issued_at`` counts seconds since 1970."""
    header = _part({"alg": "HS256", "typ": "JWT"})
    claims = _part({"exp": issued_at + lifetime_s, "iat": issued_at, "sun": user})
    signed = b".".join((header, claims))
    signature = hmac.new(key, signed, hashlib.sha256).digest()
    return b".".join((signed, _base64url(signature))).decode("ascii")


def _part(content: dict[str, str | int]) -> bytes:
    return _base64url(json.dumps(content, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def read_key(path: Path) -> bytes:
    """Key of a file that belongs to this process's user and that nobody else can read.

    Every byte counts, as for slurmctld: a line end at its end is part of the key.

    Raises
    ------
    KeyFileError
        If it cannot be read, is open to others, belongs to another or is too short.
    """
    try:
        # Opened first, looked at then: what is checked is what is read.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check(path, os.fstat(descriptor))
            key = os.read(descriptor, _LONGEST_KEY + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise KeyFileError(f"{path}: a key has {_SHORTEST_KEY} to {_LONGEST_KEY} bytes")
    return key


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{path}: not a file")
    if found.st_uid != os.geteuid():
        raise KeyFileError(f"{path}: belongs to uid {found.st_uid}; chown it to the gateway's user")
    if stat.S_IMODE(found.st_mode) & ~0o600:
        raise KeyFileError(f"{path}: must be for its owner only; run chmod 0600 on it")
