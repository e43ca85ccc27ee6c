"""Status codes and what carries them."""

from __future__ import annotations

import pytest

from hub.desktop.status import Status


@pytest.mark.parametrize(
    ("code", "name", "http", "websocket", "reason"),
    [
        (0x0000, "SUCCESS", 200, 1000, "0"),
        (0x0204, "RESOURCE_NOT_FOUND", 404, 1002, "516"),
        (0x0208, "UPSTREAM_UNAVAILABLE", 502, 1011, "520"),
        (0x0303, "CLIENT_FORBIDDEN", 403, 1008, "771"),
        (0x0308, "CLIENT_TIMEOUT", 408, 1002, "776"),
        (0x031D, "CLIENT_TOO_MANY", 429, 1008, "797"),
    ],
)
def test_a_code_has_its_line_of_the_table(code, name, http, websocket, reason):
    status = Status.of(code)
    assert (status.name, status.http, status.websocket, status.reason) == (name, http, websocket, reason)


def test_an_unknown_code_is_a_server_error():
    assert Status.of(4711) is Status.SERVER_ERROR
