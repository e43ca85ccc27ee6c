"""The page after signing out."""

from __future__ import annotations

from hub.api.base import BaseHandler


class SignedOutPage(BaseHandler):
    """``/signed-out``: for nobody in particular."""

    def get(self) -> None:
        """Say so, with a way back in."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.app.renderer.render("signed_out.html", viewer=None, xsrf="", login_url="/hub/login"))
