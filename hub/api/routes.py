"""All addresses of the service.

Below the prefix the proxy brings people and programs; ``/internal`` stands beside it, so the
proxy never routes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.api import desktops, internal, internal_desktop, launches, sessions, workstations
from hub.api.auth import CallbackHandler, HealthHandler
from hub.api.base import NotFoundHandler
from hub.api.openapi import OpenApiHandler
from hub.desktop.models import DESKTOP_PATTERN
from hub.pages.routes import page_routes

if TYPE_CHECKING:
    from hub.app import App

_LAUNCH = r"(?P<launch_id>[0-9a-f]{16})"
_DESKTOP = rf"/desktops/(?P<desktop>{DESKTOP_PATTERN})"
_ITEM = r"(?P<item>[0-9a-f]{16})"

_DESKTOPS: tuple[tuple[str, Any], ...] = (
    (_DESKTOP, desktops.OneDesktopHandler),
    (f"{_DESKTOP}/events", desktops.DesktopEventsHandler),
    (f"{_DESKTOP}/tickets", desktops.TicketsHandler),
    (f"{_DESKTOP}/members", desktops.MembersHandler),
    (f"{_DESKTOP}/members/(?P<username>[^/]{{1,64}})", desktops.OneMemberHandler),
    (f"{_DESKTOP}/suggestions", desktops.SuggestionsHandler),
    (f"{_DESKTOP}/requests", desktops.RequestsHandler),
    (f"{_DESKTOP}/requests/{_ITEM}", desktops.OneRequestHandler),
    (f"{_DESKTOP}/invitations", desktops.InvitationsHandler),
    (f"{_DESKTOP}/invitations/{_ITEM}", desktops.OneInvitationHandler),
    (f"{_DESKTOP}/control", desktops.ControlHandler),
    (f"{_DESKTOP}/policy", desktops.PolicyHandler),
    (f"{_DESKTOP}/end", desktops.EndHandler),
    (f"{_DESKTOP}/thumbnail", desktops.ThumbnailHandler),
    (f"{_DESKTOP}/audit", desktops.AuditHandler),
    ("/invitations", desktops.AcceptHandler),
    ("/workstations", workstations.WorkstationsHandler),
)


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
        *((f"{api}{path}", handler, parts) for path, handler in _DESKTOPS),
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
        ("/internal/desktop/redeem", internal_desktop.RedeemHandler, parts),
        ("/internal/desktop/report", internal_desktop.ConnectionsHandler, parts),
        ("/internal/desktop/news", internal_desktop.NewsHandler, parts),
        *page_routes(app),
        (r".*", NotFoundHandler, parts),
    ]
