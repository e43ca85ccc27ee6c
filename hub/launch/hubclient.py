"""The hub's REST API, as far as the service needs it: start, list, share and remove servers.

The service's token has just the scopes for that (``list:users, read:servers, start:servers,
delete:servers``; with desktops ``shares`` and ``access:servers``). A 5xx or no answer means *unknown*:
the caller looks again later.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

log = logging.getLogger(__name__)


class HubAnswer(StrEnum):
    """What came of a call."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HubReply:
    """Answer of the hub; ``text`` is its own message, for the log."""

    answer: HubAnswer
    status: int
    text: str = ""


_MOST_CALLS = 1000
"""The hub answers a start after up to 10 s (its ``slow_spawn_timeout``): a class of 300 comes at once."""

_PAGE = 200
"""Most people that the hub lists in one answer (its ``api_page_max_limit``)."""


class HubClient:
    """Talks to one hub."""

    def __init__(self, api_url: str, token: str) -> None:
        self._api_url = api_url.rstrip("/")
        self._token = token
        self._client = AsyncHTTPClient(force_instance=True, max_clients=_MOST_CALLS)

    async def start_server(
        self, username: str, server_name: str, display_name: str, options: dict[str, Any]
    ) -> HubReply:
        """Ask for a named server with explicit options.

        The hub answers when the spawn is done or slow; a refusal is a 4xx.
        """
        body: dict[str, Any] = {"user_options": options}
        if name := _one_line(display_name):
            body["display_name"] = name
        reply = await self._call("POST", self._server(username, server_name), body)
        return _read(reply, done={201, 202})

    async def active_servers(self, username: str) -> frozenset[str] | None:
        """Names of a person's servers that run or are about to; None if the hub does not say."""
        reply = await self._call("GET", f"/users/{quote(username, safe='')}", None)
        if reply is None or reply.code != 200:
            return None
        return frozenset(json.loads(reply.body)["servers"])

    async def last_activities(self) -> dict[tuple[str, str], datetime] | None:
        """Last use of all servers that are ready, by person and server name; None if the hub does not say.

        The hub answers in pages of 200 people.
        """
        found: dict[tuple[str, str], datetime] = {}
        offset: int | None = 0
        while offset is not None:
            path = f"/users?state=ready&limit={_PAGE}&offset={offset}"
            reply = await self._call("GET", path, None, accept="application/jupyterhub-pagination+json")
            if reply is None or reply.code != 200:
                return None
            page = json.loads(reply.body)
            for user in page["items"]:
                for server in user.get("servers", {}).values():
                    if server["ready"] and server["last_activity"]:
                        last = datetime.fromisoformat(server["last_activity"])
                        found[user["name"], server["name"]] = last
            following = page["_pagination"]["next"]
            offset = following["offset"] if following else None
        return found

    async def remove_server(self, username: str, server_name: str, *, only_idle: bool = False) -> HubReply:
        """Stop and remove a named server. One that the hub does not know is done.

        With ``only_idle`` one that is being started or looked for is left alone.
        """
        body = {"remove": True, "only_idle": only_idle}
        reply = await self._call("DELETE", self._server(username, server_name), body)
        # 202: the hub is stopping it; the record goes with a later call.
        return _read(reply, done={204, 404})

    async def share_server(self, owner: str, server_name: str, username: str) -> HubReply:
        """Let a person into somebody else's server. A server that the hub does not have yet is refused."""
        reply = await self._call("POST", self._shares(owner, server_name), {"user": username})
        return _read(reply, done={200, 201})

    async def unshare_server(self, owner: str, server_name: str, username: str) -> HubReply:
        """Take that back. A server that the hub does not have (any more) is shared with nobody."""
        reply = await self._call("PATCH", self._shares(owner, server_name), {"user": username})
        return _read(reply, done={200, 204, 404})

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _server(self, username: str, server_name: str) -> str:
        return f"/users/{quote(username, safe='')}/servers/{quote(server_name, safe='')}"

    def _shares(self, owner: str, server_name: str) -> str:
        return f"/shares/{quote(owner, safe='')}/{quote(server_name, safe='')}"

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None, *, accept: str = "application/json"
    ) -> HTTPResponse | None:
        request = HTTPRequest(
            self._api_url + path,
            method=method,
            headers={
                "Authorization": f"token {self._token}",
                "Content-Type": "application/json",
                "Accept": accept,
            },
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            connect_timeout=5,
            request_timeout=30,
        )
        try:
            return await self._client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:  # the second: a time-out, or a connection cut off
            log.warning("The hub does not answer %s %s: %s", method, path, error)
            return None


def _one_line(name: str) -> str:
    """A display name that the hub takes: printable characters, single spaces between words."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def _read(reply: HTTPResponse | None, *, done: set[int]) -> HubReply:
    if reply is None or reply.code == 599:
        return HubReply(HubAnswer.UNKNOWN, 599)
    text = reply.body[:500].decode("utf-8", "replace") if reply.body else ""
    if reply.code in done:
        return HubReply(HubAnswer.DONE, reply.code, text)
    if 400 <= reply.code < 500:
        return HubReply(HubAnswer.REFUSED, reply.code, text)
    return HubReply(HubAnswer.UNKNOWN, reply.code, text)
