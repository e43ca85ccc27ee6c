"""What the tunnel asks the engine: admit a ticket, decide on connections, tell of news.

Every answer of the engine is validated; no answer, and one that does not fit, are the same to the
tunnel: `EngineSilentError`.
"""

from __future__ import annotations

import json
import logging
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from hub.desktop.client import TLS
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
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
        limits = httpx.Limits(max_connections=_MOST_CALLS, max_keepalive_connections=20)
        self._client = httpx.AsyncClient(headers=headers, limits=limits, verify=TLS, trust_env=False)

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
        if response.is_client_error and _code(response) == "ticket_refused":
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

    async def aclose(self) -> None:
        """Release connections."""
        await self._client.aclose()

    async def _call(
        self, method: str, path: str, body: BaseModel | None, *, timeout_s: float
    ) -> httpx.Response:
        try:
            return await self._client.request(
                method,
                self._url + path,
                content=None if body is None else body.model_dump_json(),
                timeout=httpx.Timeout(timeout_s, connect=3),
            )
        except httpx.HTTPError as error:
            where = path.partition("?")[0]
            raise EngineSilentError(f"{method} {where}: {error or type(error).__name__}") from error


def _read(response: httpx.Response, model: type[M]) -> M:
    if response.status_code != 200:
        raise EngineSilentError(f"the engine answered {response.status_code}")
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise EngineSilentError(f"the engine's answer does not fit: {error.errors()[0]['msg']}") from error


def _code(response: httpx.Response) -> str:
    try:
        return str(json.loads(response.content)["code"])
    except (ValueError, KeyError, TypeError):
        return ""
