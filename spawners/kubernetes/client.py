"""Requests to one API server: what is asked, how long it is waited for, what a failure means.

Where the server is and who we are to it is read by ``kubernetes_asyncio``, as in KubeSpawner. Requests
are made here: its models cost most of a hub's CPU time where there are thousands of pods, and its client
reads certificates on the event loop. Every request is repeated for a while where the server does not answer
or asks to wait (429, 5xx): all of ours may be, since names are ours to give. A token never appears in a
text or log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config

from spawners.kubernetes.settings import KubernetesClusterSettings

log = logging.getLogger(__name__)

_PATCH = "application/strategic-merge-patch+json"

_CONNECT_S = 5.0
_ANSWER_S = 10.0
_PAUSE_S = 0.2
_PAUSE_MOST_S = 2.0
_ERROR_BYTES = 65536
_LINE_BYTES = 4 * 1024 * 1024
"""Longest line of a watch; an object has 1.5 MiB at most (etcd's limit of a request)."""

_CONNECTIONS = 100
_RIGHTS_S = 5.0
"""So long a server is asked again that says that we may not: one that has just started does not know yet."""

_LOAD_AGAIN_S = 10.0
"""Least time between two looks at the kubeconfig after the server refused its token."""

_OLD_MOST = 6
"""Connections of before that are kept: for a minute at least, longer than any watch reads from one."""

_AGAIN = frozenset({429, 500, 502, 503, 504})

Json = dict[str, Any]


class KubernetesRefusedError(Exception):
    """The API server said no: HTTP status, its word for it, its sentence and the details.

    What stands before it and says no by itself (a balancer's 404 while no server is behind it) is no
    answer. ``is_of_rights``: the service may not ask. A server that has just been started says so too.
    """

    def __init__(self, status: int, reason: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message or reason or f"HTTP {status}")
        self.status = status
        self.reason = reason
        self.details = details
        self.is_of_rights = status == 401 or (status == 403 and "cannot" in message and 'User "' in message)


class KubernetesUnavailableError(Exception):
    """No answer, or one that says nothing: what was asked for may have happened or not.

    ``retry_after_s`` is how long the server asks to wait, 0 where it did not.
    """

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class KubernetesClient:
    """One cluster's API server. Connections are made when they are needed."""

    def __init__(self, settings: KubernetesClusterSettings) -> None:
        self.namespace = settings.namespace
        self._settings = settings
        self._to: _Connection | None = None
        self._loading = asyncio.Lock()
        self._loaded = 0.0
        self._old: list[_Connection] = []

    # --- requests -----------------------------------------------------------------------------

    def path(self, kind: str, name: str = "", part: str = "") -> str:
        """Path of objects of a kind of the sessions' namespace, of one, or of a part of it."""
        parts = ["/api/v1/namespaces", quote(self.namespace), kind, quote(name, safe=""), part]
        return "/".join(each for each in parts if each)

    async def get(self, path: str, query: Mapping[str, object] | None = None, *, wait_s: float = 15) -> Json:
        """An object or a list."""
        return await self._json("GET", path, query=query, wait_s=wait_s)

    async def create(self, path: str, body: Json, *, wait_s: float = 15) -> Json:
        """Make an object; 409 where it is there already."""
        return await self._json("POST", path, body=body, wait_s=wait_s)

    async def patch(self, path: str, body: Json, *, wait_s: float = 15) -> Json:
        """Change an object (strategic merge patch: of a list, only the named items change)."""
        return await self._json("PATCH", path, body=body, content_type=_PATCH, wait_s=wait_s)

    async def delete(self, path: str, options: Json | None = None, *, wait_s: float = 15) -> Json:
        """Remove an object; its last state, or a Status."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **(options or {})}
        return await self._json("DELETE", path, body=body, wait_s=wait_s)

    async def text(self, path: str, query: Mapping[str, object] | None = None, *, most: int) -> str:
        """A plain answer, cut after ``most`` bytes; asked for once."""
        async with self._answer("GET", path, query=query) as response:
            return (await _read(response, most)).decode(errors="replace")

    @asynccontextmanager
    async def lines(
        self, path: str, query: Mapping[str, object], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """An answer that comes in lines, as a watch's does; none may take longer than ``silence_s``.

        A line that is too long counts as no answer.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=silence_s)
        async with self._answer("GET", path, query=query, limits=timeout) as response:
            yield _lines(response)

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        wait_s: float,
    ) -> Json:
        """Ask until there is an answer, for ``wait_s`` seconds."""
        until, pause = time.monotonic() + wait_s, _PAUSE_S
        refused_until = float("inf")
        while True:
            try:
                left = max(until - time.monotonic(), 1.0)
                timeout = aiohttp.ClientTimeout(total=min(_ANSWER_S, left), sock_connect=_CONNECT_S)
                async with self._answer(
                    method, path, query=query, body=body, content_type=content_type, limits=timeout
                ) as response:
                    found = json.loads(await response.read())
                    return found if isinstance(found, dict) else {}
            except KubernetesUnavailableError as error:
                wait = max(pause, error.retry_after_s)
                if time.monotonic() + wait >= until:
                    raise
            except KubernetesRefusedError as error:
                refused_until = min(refused_until, time.monotonic() + _RIGHTS_S)
                if not error.is_of_rights or time.monotonic() + pause >= min(refused_until, until):
                    raise
                wait = pause
            except ValueError as error:
                raise KubernetesUnavailableError("The answer is no JSON.") from error
            await asyncio.sleep(wait)
            pause = min(pause * 2, _PAUSE_MOST_S)

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer to one request.

        Raises
        ------
        KubernetesRefusedError, KubernetesUnavailableError
            What the server said, or that it said nothing.
        """
        try:
            response = await self._send(method, path, query, body, content_type, limits)
            if response.status == 401:
                async with response:
                    refused = await _refusal(response)
                if not await self._load_again():
                    raise refused
                response = await self._send(method, path, query, body, content_type, limits)
            async with response:
                if response.status >= 400:
                    raise await _refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesUnavailableError(str(error) or "It does not answer in time.") from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: Json | None,
        content_type: str,
        limits: aiohttp.ClientTimeout | None,
    ) -> aiohttp.ClientResponse:
        to = await self._connection()
        headers = {"Accept": "application/json", "Content-Type": content_type, **await to.authorization()}
        return await to.session.request(
            method,
            to.configuration.host + path,
            params={key: str(value) for key, value in (query or {}).items()},
            data=None if body is None else json.dumps(body),
            headers=headers,
            timeout=limits or aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=_CONNECT_S),
            proxy=to.configuration.proxy,
            server_hostname=to.configuration.tls_server_name,
        )

    # --- the connection -----------------------------------------------------------------------

    async def _connection(self) -> _Connection:
        if self._to is None:
            async with self._loading:
                if self._to is None:
                    self._to = await self._load()
        return self._to

    async def _load(self) -> _Connection:
        try:
            # In a thread: files are read, a plugin may be run.
            configuration, context = await asyncio.to_thread(_configuration, self._settings)
        except (ConfigException, OSError, ValueError) as error:
            raise KubernetesUnavailableError(f"The access to the cluster cannot be read: {error}") from error
        self._loaded = time.monotonic()
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=context)
        session = aiohttp.ClientSession(connector=connector, trust_env=True, read_bufsize=_LINE_BYTES // 2)
        return _Connection(configuration, session)

    async def _load_again(self) -> bool:
        """Read the kubeconfig anew: its token may have been renewed; False where that was just done."""
        async with self._loading:
            if time.monotonic() - self._loaded < _LOAD_AGAIN_S:
                return False
            before, self._to = self._to, await self._load()
            if before is not None:
                self._old.append(before)  # a watch may still be reading from it
            while len(self._old) > _OLD_MOST:
                await self._old.pop(0).session.close()
            return True

    async def aclose(self) -> None:
        """Release connections."""
        to, self._to = self._to, None
        for each in [*self._old, to]:
            if each is not None:
                await each.session.close()
        self._old.clear()


@dataclass(frozen=True, slots=True)
class _Connection:
    """A server, and who we are to it."""

    configuration: Configuration
    session: aiohttp.ClientSession

    async def authorization(self) -> dict[str, str]:
        """Header of the token as it is now; none where a certificate says who we are."""
        found = (await self.configuration.auth_settings()).get("BearerToken")
        return {found["key"]: found["value"]} if found else {}


def _configuration(settings: KubernetesClusterSettings) -> tuple[Configuration, ssl.SSLContext]:
    """How to reach the server. Blocking."""
    # Not the class's own call: that copies what another caller has set as default.
    made: Configuration = type.__call__(Configuration)
    if settings.kubeconfig is None:
        load_incluster_config(made)
    else:
        asyncio.run(
            load_kube_config(
                config_file=str(settings.kubeconfig),
                context=settings.context,
                client_configuration=made,
                persist_config=False,
            )
        )
    context = ssl.create_default_context(cafile=made.ssl_ca_cert)
    if made.cert_file:
        context.load_cert_chain(made.cert_file, keyfile=made.key_file)
    if not made.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return made, context


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        while line := await response.content.readline():
            yield line
    except (LineTooLong, ValueError) as error:
        raise KubernetesUnavailableError("A line of the answer is too long.") from error


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The answer's first bytes; one call of `read` gives no more than has arrived."""
    found = bytearray()
    while len(found) < most and (chunk := await response.content.read(most - len(found))):
        found += chunk
    return bytes(found)


async def _refusal(response: aiohttp.ClientResponse) -> Exception:
    """What an answer says that is not good; its text is bounded and on one line."""
    said: Any = {}
    raw = await _read(response, _ERROR_BYTES)
    with suppress(ValueError):
        said = json.loads(raw)
    said = said if isinstance(said, dict) else {}
    message = " ".join(str(said.get("message", "")).split())[:2000]
    reason, details = str(said.get("reason", "")), said.get("details")
    # Several pods at once race for the count of a quota; who comes second is asked to come again.
    is_race = response.status == 409 and reason == "Conflict" and "resourcequota" in message
    if response.status in _AGAIN or is_race:
        text = message or f"HTTP {response.status} {response.reason}"
        return KubernetesUnavailableError(text, _seconds(response.headers.get("Retry-After", "")))
    if said.get("kind") != "Status":
        return KubernetesUnavailableError(f"HTTP {response.status}, and not by the API server itself")
    details = details if isinstance(details, dict) else {}
    return KubernetesRefusedError(response.status, reason, message, details)


def _seconds(text: str) -> float:
    return min(float(text), 60.0) if text.isdecimal() else 0.0
