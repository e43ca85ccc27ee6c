"""Status codes of the Guacamole protocol, each with its HTTP and WebSocket code (`GuacamoleStatus.java`).

A tunnel that closes says why by the decimal code as the close frame's reason: browsers read that first.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Status(IntEnum):
    """One status: its value is the protocol's code, ``http`` and ``websocket`` what carries it there."""

    SUCCESS = 0x0000, 200, 1000
    UNSUPPORTED = 0x0100, 501, 1011
    SERVER_ERROR = 0x0200, 500, 1011
    SERVER_BUSY = 0x0201, 503, 1008
    UPSTREAM_TIMEOUT = 0x0202, 504, 1011
    UPSTREAM_ERROR = 0x0203, 502, 1011
    RESOURCE_NOT_FOUND = 0x0204, 404, 1002
    RESOURCE_CONFLICT = 0x0205, 409, 1008
    RESOURCE_CLOSED = 0x0206, 404, 1002
    UPSTREAM_NOT_FOUND = 0x0207, 502, 1011
    UPSTREAM_UNAVAILABLE = 0x0208, 502, 1011
    SESSION_CONFLICT = 0x0209, 409, 1008
    SESSION_TIMEOUT = 0x020A, 408, 1002
    SESSION_CLOSED = 0x020B, 404, 1002
    CLIENT_BAD_REQUEST = 0x0300, 400, 1002
    CLIENT_UNAUTHORIZED = 0x0301, 403, 1008
    CLIENT_FORBIDDEN = 0x0303, 403, 1008
    CLIENT_TIMEOUT = 0x0308, 408, 1002
    CLIENT_OVERRUN = 0x030D, 413, 1009
    CLIENT_BAD_TYPE = 0x030F, 415, 1003
    CLIENT_TOO_MANY = 0x031D, 429, 1008

    http: int
    websocket: int

    def __new__(cls, code: int, http: int, websocket: int) -> Self:
        """Make a member from a line of the table."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.http = http
        member.websocket = websocket
        return member

    @property
    def reason(self) -> str:
        """The close frame's reason."""
        return str(int(self))

    @classmethod
    def of(cls, code: int) -> Status:
        """Return the status of a code from outside; one that is not in the table is a server error."""
        return next((status for status in cls if status == code), cls.SERVER_ERROR)
