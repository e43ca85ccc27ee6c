"""Calls of the relay in a session's server: screens, keyboard, files.

Each call has a capability of its own. Bodies are streamed: a file of any size passes with a chunk of
it in memory.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpcore  # noqa: F401  # httpx loads it with the first client, when a loop runs already
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.desktop.capability import Deed, sign
from hub.desktop.models import SessionTarget
from hub.desktop.relay import PATH

_MOST_ANSWER = 4 * 1024 * 1024
"""Longest JSON answer in bytes; the list of a large folder is the longest."""

_TIMEOUT = httpx.Timeout(60, connect=5)
"""Seconds; 60 of silence in the middle of a file, on storage that is slow to wake."""

_MOST_CALLS = httpx.Limits(max_connections=200, max_keepalive_connections=20)


TLS = ssl.create_default_context()
"""Loaded with the module: it takes long, and httpx would load one for each client while a loop runs."""


class RelaySilentError(Exception):
    """The session's server does not answer."""


@dataclass(frozen=True, slots=True)
class RelayAnswer:
    """An answer of the relay: status and JSON body."""

    status: int
    body: dict[str, Any]


class RelayClient:
    """Calls relays with capabilities signed by ``key``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, limits=_MOST_CALLS, verify=TLS, trust_env=False)

    async def post(
        self, target: SessionTarget, what: Literal["screens", "keyboard"], body: bytes
    ) -> RelayAnswer:
        """Set screens or keyboard; ``body`` is JSON that has been validated.

        Raises
        ------
        RelaySilentError
            If there is no answer.
        """
        async with self._request("POST", target, what, what, body=body) as response:
            return await _answer(response)

    async def list_files(self, target: SessionTarget, path: str) -> RelayAnswer:
        """List a folder; an empty path is the top.

        Raises
        ------
        RelaySilentError
            If there is no answer.
        """
        async with self._request("GET", target, "files", "files", path=path) as response:
            return await _answer(response)

    @asynccontextmanager
    async def read_file(self, target: SessionTarget, path: str) -> AsyncIterator[httpx.Response]:
        """Open a file; its body is to be read by ``aiter_bytes``.

        Raises
        ------
        RelaySilentError
            If there is no answer.
        """
        async with self._request("GET", target, "files", "file", path=path) as response:
            yield response

    async def write_file(self, target: SessionTarget, path: str, chunks: AsyncIterator[bytes]) -> RelayAnswer:
        """Write a new file from chunks.

        Raises
        ------
        RelaySilentError
            If there is no answer.
        """
        async with self._request("PUT", target, "files", "file", path=path, body=chunks) as response:
            return await _answer(response)

    async def aclose(self) -> None:
        """Release connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        target: SessionTarget,
        do: Deed,
        name: str,
        *,
        path: str | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        request = self._client.build_request(
            method,
            f"{target.url.rstrip('/')}/{PATH}/{name}",
            params=None if path is None else {"path": path},
            content=body,
            headers={
                "Authorization": f"Capability {sign(self._key, target.launch_id, do)}",
                "Content-Type": "application/json" if isinstance(body, bytes) else "application/octet-stream",
                "Accept-Encoding": "identity",
            },
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise RelaySilentError(f"{method} {name}: {type(error).__name__}") from error
        try:
            yield response
        except httpx.HTTPError as error:
            raise RelaySilentError(f"{method} {name}: {type(error).__name__}") from error
        finally:
            await response.aclose()


async def _answer(response: httpx.Response) -> RelayAnswer:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_ANSWER:
            raise RelaySilentError("an answer without end")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return RelayAnswer(response.status_code, found if isinstance(found, dict) else {})
