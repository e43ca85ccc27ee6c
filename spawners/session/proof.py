"""How a session proves to the engine that it is the one that was started.

Both sides derive the secret from the session's own token and its launch id (HMAC-SHA256, RFC 2104),
so that a batch job carries no other secret than its token. Standard library only: nodes run it too.
"""

from __future__ import annotations

import hashlib
import hmac

TOKEN_VARIABLE = "JUPYTERHUB_API_TOKEN"  # noqa: S105 - the name of a variable
"""Where JupyterHub puts a session's own token."""


def session_secret(token: str, launch_id: str) -> str:
    """Secret (64 hexadecimal digits) that only this start's session and the engine can make."""
    return hmac.new(token.encode(), f"panhub-session:{launch_id}".encode(), hashlib.sha256).hexdigest()
