"""Requests to the identity provider, with three kinds of failure told apart.

No answer (the provider may be restarting) and a refusal (a token has ended) mean different things
to a person who is signed in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

_MAX_BODY = 1 << 20
_TRANSIENT = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class ProviderUnavailableError(Exception):
    """No answer that means anything; ask again."""


class ProviderRefusedError(Exception):
    """The provider said no. ``code`` is its OAuth error code, or empty."""

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status
        super().__init__(f"the provider refused with {status} {code}".rstrip())


class Wire:
    """HTTP client of one client registration.

    Parameters
    ----------
    client_id, client_secret
        Sent with every form, by HTTP basic authentication.
    timeout_s
        Patience with one request, in seconds.
    """

    def __init__(self, client_id: str, client_secret: str, timeout_s: float) -> None:
        # RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._client = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        self._timeout_s = timeout_s
        self._http = AsyncHTTPClient(force_instance=True, max_clients=50, max_body_size=_MAX_BODY)

    async def get(self, url: str, *, bearer: str | None = None) -> dict[str, Any]:
        """Fetch a JSON object.

        Raises
        ------
        ProviderUnavailableError
            If there is no such answer.
        ProviderRefusedError
            If the provider says no.
        """
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return _object(await self._fetch(url, "GET", headers, None))

    async def post(self, url: str, form: Mapping[str, str]) -> HTTPResponse:
        """Post a form as the client; raises as `get` does."""
        return await self._fetch(url, "POST", self._client, urlencode(form))

    async def post_for_object(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Post a form as the client and read a JSON object; raises as `get` does."""
        return _object(await self.post(url, form))

    async def _fetch(
        self, url: str, method: str, headers: Mapping[str, str], body: str | None
    ) -> HTTPResponse:
        request = HTTPRequest(
            url,
            method=method,
            headers={"Accept": "application/json", **headers},
            body=body,
            connect_timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            follow_redirects=False,
        )
        try:
            return await self._http.fetch(request)
        except HTTPClientError as error:
            if 400 <= error.code < 500 and error.code not in _TRANSIENT:
                raise ProviderRefusedError(_error_code(error.response), error.code) from error
            raise ProviderUnavailableError(f"{url} answered {error.code}") from error
        except (OSError, ValueError) as error:
            raise ProviderUnavailableError(f"{url}: {error}") from error


def _object(response: HTTPResponse) -> dict[str, Any]:
    try:
        document = json.loads(response.body)
    except ValueError as error:
        raise ProviderUnavailableError(f"{response.request.url} did not answer with JSON") from error
    if not isinstance(document, dict):
        raise ProviderUnavailableError(f"{response.request.url} did not answer with a JSON object")
    return document


def _error_code(response: HTTPResponse | None) -> str:
    try:
        document = json.loads(response.body) if response is not None else {}
    except ValueError:
        return ""
    code = document.get("error", "") if isinstance(document, dict) else ""
    return code[:60] if isinstance(code, str) and code.isprintable() else ""
