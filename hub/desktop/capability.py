"""What opens the relay in a session's server, for one thing and once: a capability signed by the tunnel.

``base64url(payload) . base64url(Ed25519 signature over the first part)``, both without padding. The
payload is JSON: ``launch`` (launch id), ``do`` (what for), ``exp`` (Unix time, at most 30 s ahead) and
``nonce`` (16 hexadecimal digits, taken once). The session has the public half of the key in its
environment, so it can check and nobody in it can sign.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

Deed = Literal["rfb", "screens", "keyboard", "files"]

_LIFE_S = 30
"""The longest that the other side takes; clocks of nodes may be some seconds apart, so some less is left."""

_SKEW_S = 10


class KeyFileError(Exception):
    """The file of the key cannot be used: names it and the cause."""


def make_key(path: Path) -> None:
    """Make a key, if there is none, that only this account may read.

    Two processes that do so at once end up with the same key.

    Raises
    ------
    KeyFileError
        If the folder is not there or not writable.
    """
    if path.exists():
        return
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # of mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)
        except FileExistsError:
            pass  # another process was faster
        finally:
            Path(name).unlink()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file that only its owner may read.

    Raises
    ------
    KeyFileError
        If it cannot be read, others may read it, or it is no Ed25519 key.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"{path}: others may read this key; run chmod 600 on it")
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not an Ed25519 key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: not an Ed25519 key")
    return key


def public_text(path: Path) -> str:
    """Public half of the key in a file, made if missing: base64 of its 32 bytes, for the sessions."""
    make_key(path)
    raw = load_key(path).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def sign(key: Ed25519PrivateKey, launch_id: str, do: Deed) -> str:
    """A fresh capability for one thing at one session."""
    payload = {
        "launch": launch_id,
        "do": do,
        "exp": int(time.time()) + _LIFE_S - _SKEW_S,
        "nonce": secrets.token_hex(8),
    }
    first = _encode(json.dumps(payload, separators=(",", ":")).encode())
    return f"{first}.{_encode(key.sign(first.encode()))}"


def is_signed_by(text: str, public: str) -> bool:
    """Whether a capability carries the signature of a key, given as `public_text`; no more is checked."""
    first, _, second = text.partition(".")
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(_decode(second), first.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def payload_of(text: str) -> dict[str, object]:
    """What a capability says; its signature is not checked."""
    payload: dict[str, object] = json.loads(_decode(text.partition(".")[0]))
    return payload


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
