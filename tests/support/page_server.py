"""Shows every page and state with its sample data: ``python -m tests.support.page_server [PORT]``.

For looking at pages and for the browser tests of their looks; there is no engine behind it. The
pages come with their content security policy, so that whatever breaks it breaks here.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from hub.pages.desktops import desktop_policy, desktop_view
from hub.pages.render import CONTENT_SECURITY_POLICY, Renderer
from hub.static.collect import collect
from tests.support.samples.base import VIEWER, XSRF
from tests.support.samples.desktop import Desk, SampleApi, SampleHost, SampleTunnel
from tests.support.samples.pages import PAGES, PARTS

PREFIX = "/services/panhub"
ROOT = Path(__file__).parents[2]
_PART_OF_PATH = {
    "data": "data",
    "form": "form",
    "summary": "summary",
    "places": "places",
    "sessions": "sessions",
    "recent": "recent",
    "meters": "meters",
}


class PageHandler(RequestHandler):
    """One sample page by name; without a name, the list of all."""

    def initialize(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        # As if the browser had signed in to the desktops' service.
        self.set_cookie("panhub-desktop-xsrf", "2|1:0|sample", path=PREFIX)

    def get(self, name: str = "") -> None:
        if not name:
            self.finish("".join(f'<p><a href="{PREFIX}/{page}">{page}</a></p>' for page in PAGES))
            return
        self._show(PAGES.get(name))

    def _show(self, sample: tuple[str, dict[str, Any]] | None) -> None:
        if sample is None:
            raise HTTPError(404)
        self.finish(self.renderer.render(sample[0], **sample[1]))


class PartHandler(PageHandler):
    """One sample fragment."""

    def get(self, name: str = "") -> None:
        kind = name.split("/")[0]
        sample = {"launches": "progress-ready", "allocations": "allocation"}.get(
            kind, _PART_OF_PATH.get(kind, "")
        )
        if sample == "places" and self.get_argument("place", "") == "local":
            sample = "places-local"
        self._show(PARTS.get(sample))

    def post(self, name: str) -> None:
        if name.startswith("allocations"):
            self._show(PARTS["allocation-preview"])
        else:
            self._show(PARTS["summary-refused" if self.get_argument("size", "") == "l" else "summary"])

    def check_xsrf_cookie(self) -> None:
        """Samples have no session to check."""


class DesktopHandler(PageHandler):
    """The page of any desktop, with its own policy."""

    def get(self, name: str = "") -> None:
        self.set_header("Content-Security-Policy", desktop_policy(f"http://{self.request.host}"))
        page = desktop_view(name)
        self.finish(self.renderer.render("desktop.html", viewer=VIEWER, xsrf=XSRF, page=page))


class EventHandler(RequestHandler):
    """A stream on which nothing happens."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.write(": nothing happens\n\n")
        await self.flush()
        self._is_open = True
        while self._is_open:
            await asyncio.sleep(0.2)

    def on_connection_close(self) -> None:
        """The page went away."""
        self._is_open = False


def make_app(static: Path) -> Application:
    """The sample application; gathers the static files into ``static``."""
    renderer = Renderer(
        PREFIX, collect(ROOT / "node_modules", static), "PaNHub", support="help@facility.example"
    )
    arguments = {"renderer": renderer}
    desk = {"desk": Desk()}
    return Application(
        [
            (PREFIX + r"/static/(.*)", StaticFileHandler, {"path": str(static)}),
            (PREFIX + r"/parts/(.*)", PartHandler, arguments),
            (PREFIX + r"/(?:launches/[^/]*/)?events", EventHandler),
            (PREFIX + r"/api/v1/desktops/([0-9a-f]+)(?:/(.*))?", SampleApi, desk),
            (r"/services/desktop/tunnel", SampleTunnel, desk),
            (r"/services/desktop/(.*)", SampleHost, desk),
            (PREFIX + r"/desktops/([0-9a-f]{16})", DesktopHandler, arguments),
            (PREFIX + r"/(.*)", PageHandler, arguments),
        ]
    )


async def main() -> None:
    """Serve on the loopback interface until interrupted; port 0 takes a free one."""
    parser = argparse.ArgumentParser(description="Show every page with sample data.")
    parser.add_argument("port", type=int, nargs="?", default=8090)
    parser.add_argument("--static", type=Path, default=ROOT / "build" / "page-samples-static")
    arguments = parser.parse_args()
    sockets = bind_sockets(arguments.port, "127.0.0.1")
    HTTPServer(make_app(arguments.static)).add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}{PREFIX}/", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
