"""HTTP with slurmrestd: a token per request, bounded time and answers, nothing of either in a text."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.netutil import Resolver

from spawners.slurm.parse import NotUnderstoodError
from spawners.slurm.rest.wire import ENVELOPE, Envelope, failures, numbers, read, said
from spawners.slurm.transport import SlurmUnavailableError, Tokens

MOST_ANSWER = 256 * 1024 * 1024
"""A node is about 3 KiB of JSON, a job up to 15 KiB."""

_UNIX = "unix:"
_AUTHENTICATION = frozenset({1007})
"""ESLURM_PROTOCOL_AUTHENTICATION_ERROR"""

_MAYBE_AUTHENTICATION = frozenset({-1, 7000})
"""What 0.0.38 and slurmdbd's part say for a token too: SLURM_ERROR, ESLURM_DB_CONNECTION."""

_DOUBT_S = 60.0
"""A token is renewed on suspicion once in this time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer; ``envelope`` is read only where it is an error or small."""

    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == 200

    def envelope(self) -> Envelope:
        """Errors, warnings and what a submission answers.

        Raises
        ------
        SlurmUnavailableError
            If it is not of slurmrestd.
        """
        try:
            return read(ENVELOPE, self.body)
        except NotUnderstoodError as e:
            raise SlurmUnavailableError(f"slurmrestd answered {self.status} with something else.") from e

    def is_about_token(self, *, certainly: bool) -> bool:
        """Whether the token was not accepted, or (not ``certainly``) whether that is possible."""
        if self.status in (401, 403, 511):
            return True
        if self.is_ok:
            return False
        try:
            found = numbers(self.envelope().get("errors") or ())
        except SlurmUnavailableError:
            return False
        return bool(found & _AUTHENTICATION) or (not certainly and bool(found & _MAYBE_AUTHENTICATION))


class RestClient:
    """Requests as one user or another; the token is renewed once when it is not accepted."""

    def __init__(self, url: str, tokens: Tokens, timeout_s: float) -> None:
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._doubted: dict[str, float] = {}
        options: dict[str, Any] = {
            "max_clients": 20,
            "max_body_size": MOST_ANSWER,
            "max_buffer_size": MOST_ANSWER,
        }
        self._base = url.rstrip("/")
        if url.startswith(_UNIX):
            self._base = "http://slurmrestd"
            options["resolver"] = _UnixResolver(path=url.removeprefix(_UNIX))
        self._http = AsyncHTTPClient(force_instance=True, **options)

    async def get(self, path: str, user: str, query: Sequence[tuple[str, str]] = ()) -> Answer:
        """Ask as a user. An answer that may be about the token is asked again with a new one."""
        address = f"{path}?{urlencode(query)}" if query else path
        answer = await self._send("GET", address, user, None)
        if answer.is_about_token(certainly=True) or (
            answer.is_about_token(certainly=False) and self._may_doubt(user)
        ):
            self._tokens.forget(user)
            answer = await self._send("GET", address, user, None)
        return answer

    async def change(self, method: str, path: str, user: str, body: dict[str, Any] | None = None) -> Answer:
        """Change something as a user: sent again only if the first was certainly not accepted."""
        answer = await self._send(method, path, user, body)
        if answer.is_about_token(certainly=True):
            self._tokens.forget(user)
            answer = await self._send(method, path, user, body)
        return answer

    def _may_doubt(self, user: str) -> bool:
        """Whether a token may be renewed on suspicion: while a daemon is down every answer looks like it."""
        now = time.monotonic()
        if now - self._doubted.get(user, -_DOUBT_S) < _DOUBT_S:
            return False
        self._doubted[user] = now
        return True

    async def _send(self, method: str, path: str, user: str, body: dict[str, Any] | None) -> Answer:
        headers = {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": await self._tokens.token(user)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = HTTPRequest(
            f"{self._base}{path}",
            method=method,
            headers=headers,
            body=None if body is None else json.dumps(body),
            connect_timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            follow_redirects=False,
            decompress_response=False,
            allow_nonstandard_methods=True,
        )
        try:
            response = await self._http.fetch(request, raise_error=False)
        except (HTTPClientError, OSError, ValueError) as e:
            raise SlurmUnavailableError(f"slurmrestd does not answer: {_reason(e)}") from None
        if response.code == 599:
            raise SlurmUnavailableError(f"slurmrestd does not answer: {_reason(response.error)}") from None
        return Answer(response.code, response.body or b"")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def refused(answer: Answer) -> str:
    """Slurm's words in an answer that is an error."""
    envelope = answer.envelope()
    return said(failures(envelope), envelope.get("job_submit_user_msg")) or f"HTTP {answer.status}"


class _UnixResolver(Resolver):
    """Every name is the socket."""

    def initialize(self, path: str) -> None:
        self._path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self._path)]


def _reason(error: BaseException | None) -> str:
    # The words of an exception may hold the address; a class and an error number say enough.
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, HTTPClientError):
        return error.message
    return type(error).__name__
