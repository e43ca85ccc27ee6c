"""Pages of desktops: the desktop itself, and the invitation by link.

Both are shells without a fact about any desktop: the page asks the API, which answers the same for an
unknown desktop and for one that is not shown to the person. So does what is seen here.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from hub.api.base import CONTENT_SECURITY_POLICY
from hub.desktop.settings import SERVICE_PREFIX
from hub.pages.base import PageHandler
from hub.pages.sessionviews import DesktopPageView
from hub.problems import Problem, RequestError


def desktop_policy(public_url: str) -> str:
    """The content security policy of the desktop's page.

    It allows one thing more than that of other pages: the WebSocket of our own host by its scheme, which
    some browsers (Safari before 15.4) do not count as ``'self'``. Pictures and cursors of the desktop are
    decoded without addresses, or are ``data:`` as icons may be; the library brings no style and no script.
    """
    parts = urlsplit(public_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return CONTENT_SECURITY_POLICY.replace(
        "connect-src 'self'", f"connect-src 'self' {scheme}://{parts.netloc}"
    )


class DesktopHandler(PageHandler):
    """Base of the pages of desktops."""

    async def prepare(self) -> None:
        """Refuse where there are no desktops.

        Raises
        ------
        RequestError
            ``no_desktops`` (404).
        """
        await super().prepare()
        if self.app.settings.desktop is None:
            raise RequestError(
                Problem(
                    "no_desktops",
                    404,
                    "No desktops here",
                    "This site offers no desktops.",
                    "Your sessions are on the home page.",
                )
            )


class DesktopPage(DesktopHandler):
    """``/desktops/{desktop}``"""

    async def get(self, desktop: str) -> None:
        """The page, whatever is there."""
        self.set_header("Content-Security-Policy", desktop_policy(self.app.public_url))
        self.show("desktop.html", page=desktop_view(desktop))


class InvitationPage(DesktopHandler):
    """``/invitations``: the token stays in the browser until it is accepted there."""

    def refuse_stranger(self) -> None:
        """Let the page keep the token in its tab, then lead to the login: on that way it would be lost."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        login = self.get_login_url()
        self.finish(self.app.renderer.render("invitation.html", viewer=None, xsrf="", login=login))

    async def get(self) -> None:
        """Who comes in, and a button."""
        self.show("invitation.html")


def desktop_view(desktop: str) -> DesktopPageView:
    """What the page is given."""
    return DesktopPageView(
        desktop=desktop, launch="" if desktop.startswith("ws-") else desktop, service=SERVICE_PREFIX
    )
