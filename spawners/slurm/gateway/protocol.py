"""What goes over the gateway's socket: one JSON line asks, one JSON line answers.

``{"user": "maja"}`` is answered by ``{"token": "…", "expires_at": 1790000000}`` or by
``{"code": "not_listed", "text": "…"}``. A connection may ask several times, one after the other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_REQUEST = 512
"""Longest request in bytes, line end included; a name has 32."""

MAX_ANSWER = 4096
"""Longest answer in bytes; a token has some 200."""


class Code(StrEnum):
    """Why there is no token."""

    INVALID_REQUEST = "invalid_request"
    PEER_NOT_ALLOWED = "peer_not_allowed"
    INVALID_NAME = "invalid_name"
    UNKNOWN_USER = "unknown_user"
    SYSTEM_ACCOUNT = "system_account"
    NOT_LISTED = "not_listed"
    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    DIRECTORY_UNAVAILABLE = "directory_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"


ABOUT_THE_USER = frozenset({Code.INVALID_NAME, Code.UNKNOWN_USER, Code.SYSTEM_ACCOUNT, Code.NOT_LISTED})
"""Codes that say that this user gets none; the others say nothing of the user."""


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Request(_Closed):
    """A token is asked for."""

    user: Annotated[str, Field(max_length=64)]


class Minted(_Closed):
    """A token. ``expires_at`` counts seconds since 1970, as its claim does."""

    token: str = Field(repr=False, max_length=2048)
    expires_at: int


class Refused(_Closed):
    """No token."""

    code: str = Field(max_length=64)
    text: str = Field(max_length=500)


ANSWER: TypeAdapter[Minted | Refused] = TypeAdapter(Minted | Refused)
"""Reads an answer."""
