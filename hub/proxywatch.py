"""Does the proxy still know its routes? A configurable-http-proxy that was started again knows none.

JupyterHub restores the routes of a proxy that it started itself; of one that is supervised beside
it, it looks at the routes every five minutes only. Until then nobody would reach a session that runs.

When a session was last used is for its own server to say: the proxy counts whatever goes through it, so
that a tab which is only open would look like use.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import url_path_join
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

_LOOK_S = 1.0
_TIMEOUT_S = 5.0


class WatchedProxy(ConfigurableHTTPProxy):  # type: ignore[misc, unused-ignore]
    """The external proxy, asked every second for one route that only the hub could have told it."""

    _watching: asyncio.Task[None] | None = None

    async def check_routes(self, *args: Any, **kwargs: Any) -> None:
        """Compare all routes, as the hub does once it is up; from then on look after the proxy."""
        await super().check_routes(*args, **kwargs)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="proxy-watch")

    async def get_all_routes(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """All routes, without the activity that the proxy saw on them."""
        routes: dict[str, Any] = await super().get_all_routes(*args, **kwargs)
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes

    async def _watch(self) -> None:
        client = AsyncHTTPClient(force_instance=True)
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                if await self._has_forgotten(client):
                    self.log.warning("The proxy has lost its routes; telling it all of them")
                    await self.check_routes(self.app.users, self.app._service_map)
            except Exception:
                self.log.exception("Fault in the watch of the proxy; it goes on")

    async def _has_forgotten(self, client: AsyncHTTPClient) -> bool:
        """Whether the proxy answers, but does not know where a service is."""
        spec = next((s.proxy_spec for s in self.app._service_map.values() if s.server is not None), None)
        if spec is None:
            return False
        try:
            reply = await client.fetch(
                url_path_join(self.api_url, "api/routes", self._routespec_to_chp_path(spec)),
                headers={"Authorization": f"token {self.auth_token}"},
                raise_error=False,
                connect_timeout=_TIMEOUT_S,
                request_timeout=_TIMEOUT_S,
            )
        except (OSError, HTTPClientError):
            return False  # it is down: nothing can be told to it
        return bool(reply.code == 404)
