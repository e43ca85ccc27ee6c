"""An HTTP server that reads no body longer than it wants, and says so.

Tornado closes the connection of a request that is too long, without a word. This one reads such
a body to its end without keeping it (up to a bound, after which it closes too) and answers 413
with problem details.
"""

from __future__ import annotations

import json
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    ResponseStartLine,
)

from hub.problems import Problem

_DISCARD_FACTOR = 256
"""Bodies up to this many times the limit are read and dropped, so that their sender reads the answer."""

_CHUNK = 64 * 1024


class BoundedServer(HTTPServer):
    """`HTTPServer` with a limit on bodies that answers 413."""

    def initialize(self, *args: Any, max_body: int, **kwargs: Any) -> None:  # type: ignore[override]
        """Take the limit in bytes; everything else is `HTTPServer`'s."""
        self._max_body = max_body
        kwargs |= {"max_body_size": max_body * _DISCARD_FACTOR, "chunk_size": _CHUNK}
        super().initialize(*args, **kwargs)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """Put the limit in front of the application."""
        delegate = super().start_request(server_conn, request_conn)
        return _Limited(delegate, request_conn, self._max_body)


class _Limited(HTTPMessageDelegate):
    """Passes a request on while it is short; once it is not, drops the rest and answers 413."""

    def __init__(self, delegate: HTTPMessageDelegate, connection: HTTP1Connection, limit: int) -> None:
        self._delegate = delegate
        self._connection = connection
        self._limit = limit
        self._seen = 0
        self._is_over = False

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        length = headers.get("Content-Length", "0")
        self._is_over = length.isdigit() and int(length) > self._limit
        if self._is_over:
            return None
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        self._seen += len(chunk)
        if not self._is_over and self._seen > self._limit:
            # A chunked body that grew too long: the application never sees its end.
            self._is_over = True
            self._delegate.on_connection_close()
        return None if self._is_over else self._delegate.data_received(chunk)

    def finish(self) -> None:
        if self._is_over:
            self._refuse()
        else:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        if not self._is_over:
            self._delegate.on_connection_close()

    def _refuse(self) -> None:
        problem = Problem(
            "body_too_large",
            413,
            "Too large",
            f"The request's body is longer than {self._limit // 1024} KiB.",
            "Send only what the API's description names.",
        )
        body = json.dumps(problem.to_json()).encode()
        headers = HTTPHeaders(
            {
                "Content-Type": "application/problem+json",
                "Content-Length": str(len(body)),
                "X-PanHub-Code": problem.code,
                "Connection": "close",
            }
        )
        self._connection.write_headers(ResponseStartLine("HTTP/1.1", 413, problem.title), headers, body)
        self._connection.finish()
