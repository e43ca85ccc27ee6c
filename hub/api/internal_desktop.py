"""What the tunnel asks the service; the proxy never routes here, and every call proves itself."""

from __future__ import annotations

import hmac

from hub.api.base import BaseHandler
from hub.api.internal import bearer
from hub.desktop.models import RedeemBody, ReportBody
from hub.problems import Problem, RequestError
from hub.sharing.service import Sharing

_NEWS_WAIT_S = 25.0


class TunnelHandler(BaseHandler):
    """A handler for the tunnel."""

    sharing: Sharing

    def check_xsrf_cookie(self) -> None:
        """No cookie is looked at here."""

    def prepare(self) -> None:
        """Check the tunnel's secret.

        Raises
        ------
        RequestError
            401, for a wrong and for a missing secret, and where there are no desktops.
        """
        secret, sharing = self.app.desktop_secret, self.app.sharing
        if not secret or sharing is None or not hmac.compare_digest(bearer(self).encode(), secret.encode()):
            raise RequestError(Problem("wrong_secret", 401, "Not accepted", "This path is for the tunnel."))
        self.sharing = sharing


class RedeemHandler(TunnelHandler):
    """``POST /internal/desktop/redeem``"""

    async def post(self) -> None:
        """Use a ticket up."""
        self.write_model(await self.sharing.doors.redeem(self.read_model(RedeemBody)))


class ConnectionsHandler(TunnelHandler):
    """``POST /internal/desktop/report``"""

    async def post(self) -> None:
        """Keep what is connected, and decide on it."""
        self.write_model(await self.sharing.doors.report(self.read_model(ReportBody)))


class NewsHandler(TunnelHandler):
    """``GET /internal/desktop/news?position=``"""

    async def get(self) -> None:
        """Answer once decisions may have changed."""
        position = self.get_query_argument("position", "")[:40]
        self.finish({"position": await self.sharing.bell.wait(position, _NEWS_WAIT_S)})
