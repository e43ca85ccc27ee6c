"""What the tunnel asks the engine: admit a ticket, decide on connections, tell of news.

Every answer of the engine is validated; no answer, and one that does not fit, are the same to the
tunnel: `EngineSilentError`.
"""

from __future__ import annotations

import json
import logging
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from hub.desktop.models import Admission, RedeemBody, ReportAnswer, ReportBody

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

NEWS_WAIT_S = 25.0
"""How long the engine may keep a question for news open."""

_MOST_CALLS = 200
"""Tickets that are redeemed at once: a class comes together, and none must wait for a slot here."""


class EngineSilentError(Exception):
    """The engine did not answer, or not in its own words: nothing is known."""


class TicketRefusedError(Exception):
    """The engine did not take a ticket; it does not say which of the causes it was."""


class _News(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    position: str


class EngineClient:
    """Talks to the engine at ``url`` (the service's own, with its prefix), proved by ``secret``."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = f"{url.rstrip('/')}/internal/desktop"
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        self._client = AsyncHTTPClient(force_instance=True, max_clients=_MOST_CALLS)

    async def redeem(self, ticket: str, username: str) -> Admission:
        """Admit one connection.

        Raises
        ------
        TicketRefusedError
            If the ticket is unknown, used, too old or somebody else's, or the desktop is not open to them.
        EngineSilentError
            If nobody says; the ticket may be used up.
        """
        try:
            body = RedeemBody(ticket=ticket, username=username)
        except ValidationError as error:
            raise TicketRefusedError from error
        response = await self._call("POST", "/redeem", body, timeout_s=10)
        if 400 <= response.code < 500 and _code(response) == "ticket_refused":
            raise TicketRefusedError
        return _read(response, Admission)

    async def report(self, body: ReportBody) -> ReportAnswer:
        """Tell all connections; decisions on them.

        Raises
        ------
        EngineSilentError
            If nobody says.
        """
        return _read(await self._call("POST", "/report", body, timeout_s=10), ReportAnswer)

    async def news(self, position: str) -> str:
        """Wait until something changed since ``position`` or the wait is over; the position now.

        Raises
        ------
        EngineSilentError
            If nobody says.
        """
        path = f"/news?position={quote(position, safe='')}"
        return _read(await self._call("GET", path, None, timeout_s=NEWS_WAIT_S + 10), _News).position

    def close(self) -> None:
        """Release connections; questions under way are given up."""
        self._client.close()

    async def _call(self, method: str, path: str, body: BaseModel | None, *, timeout_s: float) -> HTTPResponse:
        request = HTTPRequest(
            self._url + path,
            method=method,
            headers=self._headers,
            body=None if body is None else body.model_dump_json(),
            connect_timeout=3,
            request_timeout=timeout_s,
        )
        try:
            return await self._client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:  # the second: a time-out, or a connection cut off
            raise EngineSilentError(f"{method} {path.partition('?')[0]}: {error}") from error


def _read(response: HTTPResponse, model: type[M]) -> M:
    if response.code != 200:
        raise EngineSilentError(f"the engine answered {response.code}")
    try:
        return model.model_validate_json(response.body)
    except ValidationError as error:
        raise EngineSilentError(f"the engine's answer does not fit: {error.errors()[0]['msg']}") from error


def _code(response: HTTPResponse) -> str:
    try:
        return str(json.loads(response.body)["code"])
    except (ValueError, KeyError, TypeError):
        return ""
