"""Signing in to the service by the hub; and whether the service is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyterhub.services.auth import HubOAuthCallbackHandler

from hub.api.base import BaseHandler
from hub.launch.news import utcnow

if TYPE_CHECKING:
    from hub.app import App


class CallbackHandler(HubOAuthCallbackHandler, BaseHandler):
    """The hub sends a browser back here with a code."""

    def initialize(self, app: App) -> None:
        """Keep the application's parts and the hub's authentication."""
        BaseHandler.initialize(self, app)
        self.hub_auth = app.hub_auth


class HealthHandler(BaseHandler):
    """For probes: whether the database answers."""

    async def get(self) -> None:
        """200 with the time, or a 500."""
        await self.app.db.run(lambda s: s.connection().exec_driver_sql("SELECT 1").scalar())
        self.finish({"status": "ok", "at": utcnow().isoformat()})
