"""What lets the tunnel into the handlers of the desktop: one capability for one thing, once, within seconds.

``base64url(payload JSON) "." base64url(signature)``, Ed25519 (RFC 8032) over the first part. The payload
is exactly ``launch`` (this session's launch id), ``do`` (what may be done), ``exp`` (seconds since the
epoch, at most `MOST_AHEAD_S` ahead) and ``nonce`` (16 hexadecimal digits, good once). The session has the
public key alone: what it knows opens no other session, nor itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable
from typing import Any

MOST_AHEAD_S = 30
_SCHEME = "Capability "
_MOST_LETTERS = 1024
_NONCE = re.compile(r"[0-9a-f]{16}")
_KEYS = {"launch", "do", "exp", "nonce"}


class RefusedError(Exception):
    """The capability opens nothing here; the text is for the log, not for whoever sent it."""


class Verifier:
    """Checks capabilities for one session.

    Parameters
    ----------
    public
        Base64 of the 32 bytes of the tunnel's public key; empty if there is no tunnel: nothing is let in.
    launch_id
        The session's launch.
    clock
        Seconds since the epoch.
    """

    def __init__(self, public: str, launch_id: str, clock: Callable[[], float] = time.time) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        raw = base64.b64decode(public) if public else b""
        self._key = Ed25519PublicKey.from_public_bytes(raw) if raw else None
        self._launch_id = launch_id
        self._clock = clock
        self._used: dict[str, float] = {}

    def check(self, header: str | None, do: str) -> None:
        """Accept the value of an Authorization header for ``do``, once.

        Raises
        ------
        RefusedError
            If it is not exactly that.
        """
        if not header or not header.startswith(_SCHEME) or len(header) > _MOST_LETTERS:
            raise RefusedError("no capability")
        payload = self._signed(header[len(_SCHEME) :])
        if not isinstance(payload, dict) or set(payload) != _KEYS:
            raise RefusedError("another payload")
        now, expires, nonce = self._clock(), payload["exp"], payload["nonce"]
        if not self._launch_id or payload["launch"] != self._launch_id:
            raise RefusedError("for another launch")
        if payload["do"] != do:
            raise RefusedError("for something else")
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            raise RefusedError("no time")
        if not now <= expires <= now + MOST_AHEAD_S:
            raise RefusedError("expired, or good for too long")
        if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
            raise RefusedError("no nonce")
        # Only what was signed gets here, and none is kept for longer than it lives.
        self._used = {used: until for used, until in self._used.items() if until >= now}
        if nonce in self._used:
            raise RefusedError("used before")
        self._used[nonce] = expires

    def _signed(self, text: str) -> Any:
        from cryptography.exceptions import InvalidSignature

        if self._key is None:
            raise RefusedError("there is no key")
        first, _, second = text.partition(".")
        try:
            self._key.verify(_decoded(second), first.encode("ascii"))
            return json.loads(_decoded(first))
        except (InvalidSignature, ValueError, RecursionError) as error:
            raise RefusedError("not signed by the tunnel") from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
