"""A few words to the API server, by whoever starts the cluster. Blocking."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx

from hub.demo.kubernetes.errors import KubernetesDemoError


class Api:
    """The API of a server as one user sees it: bodies and answers are the API's own JSON."""

    def __init__(self, server: str, ca: Path, token: str) -> None:
        # The environment's proxies are for the world outside.
        self._client = httpx.Client(
            base_url=server,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(ca)),
            timeout=30.0,
            trust_env=False,
        )

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """Answer to a request.

        Raises
        ------
        KubernetesDemoError
            If the API server does not answer or refuses; its message is in the text.
        """
        answer = self._answer(method, path, body, content_type)
        found: dict[str, Any] = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        return found

    def text(self, path: str) -> str:
        """Answer that is text, such as a pod's log. Raises as `request` does."""
        return self._answer("GET", path, None, "application/json").text

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make or change an object by server-side apply; ``path`` ends with its name."""
        named = {**body, "metadata": {**body.get("metadata", {}), "name": path.rpartition("/")[2]}}
        query = "?fieldManager=panhub-demo&force=true"
        return self.request("PATCH", path + query, named, content_type="application/apply-patch+yaml")

    def answers(self, path: str) -> bool:
        """Whether the path answers without an error."""
        try:
            return self._client.get(path, timeout=5.0).is_success
        except httpx.HTTPError:
            return False

    def _answer(self, method: str, path: str, body: object, content_type: str) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body, headers={"Content-Type": content_type})
        except httpx.HTTPError as error:
            raise KubernetesDemoError(f"The API server does not answer: {error}") from error
        if answer.is_success:
            return answer
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError):
            message = answer.text
        raise KubernetesDemoError(f"{method} {path}: {answer.status_code} {message}")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
