"""Tokens for slurmrestd (Slurm's ``auth/jwt``): what ``scontrol token`` prints, made from the key.

A token is a JSON Web Token (RFC 7519) signed by HS256 with the claims ``sun`` (Slurm user name),
``iat`` and ``exp`` [s since 1970]. Source: slurm ``src/plugins/auth/jwt``, Slurm's jwt.html.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import OctKey


def make_key(path: Path) -> None:
    """Make a key of 32 random bytes, if there is none; readable by its owner only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))


def mint(key: bytes, username: str, lifespan_s: int) -> str:
    """Token for one user, valid from now for ``lifespan_s`` seconds."""
    now = int(time.time())
    claims = {"exp": now + lifespan_s, "iat": now, "sun": username}
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(key))
