"""Addresses of the pages; what each answers is in `hub.pages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.desktop.models import DESKTOP_PATTERN
from hub.pages import allocations, desktops, home, newsession, streams, usagepage
from hub.static.collect import static_folder

if TYPE_CHECKING:
    from hub.app import App

_LAUNCH = r"(?P<launch_id>[0-9a-f]{16})"
_DESKTOP = rf"(?P<desktop>{DESKTOP_PATTERN})"
_KEY = r"(?P<key>[^/]{1,120})"


def page_routes(app: App) -> list[Any]:
    """Handlers with their patterns."""
    pages = {
        "/": home.HomePage,
        "/new": newsession.NewPage,
        "/launch": newsession.LaunchLinkPage,
        f"/launches/{_LAUNCH}": home.ProgressPage,
        f"/desktops/{_DESKTOP}": desktops.DesktopPage,
        "/invitations": desktops.InvitationPage,
        "/data": newsession.DataPage,
        "/templates": newsession.TemplatesPage,
        "/usage": usagepage.UsagePage,
        "/operate": usagepage.OperatePage,
        r"/sessions\.csv": home.SessionsCsv,
        r"/usage\.csv": usagepage.UsageCsv,
        r"/operate\.csv": usagepage.OperateCsv,
        r"/parts/(?P<name>sessions|recent|meters)": home.HomePart,
        "/parts/data": newsession.DataPart,
        "/parts/form": newsession.FormPart,
        "/parts/summary": newsession.SummaryPart,
        "/parts/places": newsession.PlacesPart,
        f"/parts/launches/{_LAUNCH}": home.ProgressPart,
        f"/parts/allocations/{_KEY}": allocations.AllocationPart,
        "/launches": newsession.StartLaunch,
        f"/launches/{_LAUNCH}/stop": home.StopLaunch,
        f"/launches/{_LAUNCH}/extend": home.ExtendLaunch,
        f"/launches/{_LAUNCH}/relaunch": home.RelaunchLaunch,
        f"/launches/{_LAUNCH}/dismiss": home.DismissLaunch,
        f"/operate/allocations/{_KEY}": allocations.ChangeAllocation,
        "/events": streams.HomeEvents,
        f"/launches/{_LAUNCH}/events": streams.LaunchPageEvents,
    }
    static = {"path": str(static_folder())}
    return [
        *((f"{app.prefix}{path}", handler, {"app": app}) for path, handler in pages.items()),
        (f"{app.prefix}/static/(.*)", streams.StaticFiles, static),
    ]
