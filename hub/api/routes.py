"""All addresses of the service.

Below the prefix the proxy brings people and programs; ``/internal`` stands beside it, so the
proxy never routes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.api import internal, launches, sessions
from hub.api.auth import CallbackHandler, HealthHandler
from hub.api.base import NotFoundHandler
from hub.api.openapi import OpenApiHandler
from hub.pages.routes import page_routes

if TYPE_CHECKING:
    from hub.app import App

_LAUNCH = r"(?P<launch_id>[0-9a-f]{16})"


def routes(app: App) -> list[Any]:
    """Handlers with their patterns."""
    parts: dict[str, Any] = {"app": app}
    api = f"{app.prefix}/api/v1"
    return [
        (f"{app.prefix}/oauth_callback", CallbackHandler, parts),
        (f"{app.prefix}/health", HealthHandler, parts),
        (f"{api}/launches", launches.LaunchesHandler, parts),
        (f"{api}/launches/{_LAUNCH}", launches.OneLaunchHandler, parts),
        (f"{api}/launches/{_LAUNCH}/extend", launches.ExtendHandler, parts),
        (f"{api}/launches/{_LAUNCH}/jobs", launches.JobsHandler, parts),
        (f"{api}/launches/{_LAUNCH}/events", launches.LaunchEventsHandler, parts),
        (f"{api}/openapi.json", OpenApiHandler, parts),
        ("/internal/persons", internal.PersonsHandler, parts),
        ("/internal/plans", internal.PlansHandler, parts),
        (f"/internal/launches/{_LAUNCH}/start", internal.StartHandler, parts),
        (f"/internal/launches/{_LAUNCH}/events", internal.ProgressHandler, parts),
        (f"/internal/launches/{_LAUNCH}/specification", sessions.SpecificationHandler, parts),
        (f"/internal/launches/{_LAUNCH}/deadline", sessions.DeadlineHandler, parts),
        (f"/internal/launches/{_LAUNCH}/log", sessions.LogHandler, parts),
        ("/internal/stops", internal.StopsHandler, parts),
        ("/internal/sessions", internal.SessionsHandler, parts),
        (f"/internal/reports/{_LAUNCH}", internal.ReportHandler, parts),
        *page_routes(app),
        (r".*", NotFoundHandler, parts),
    ]
