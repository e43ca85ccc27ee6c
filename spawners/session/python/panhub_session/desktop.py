"""Handlers of a session's desktop, below ``<base>/panhub/desktop/``: for the tunnel, and nobody else.

They take a capability (`panhub_session.capability`) in the Authorization header. Cookies and tokens of the
hub open none of them, and a capability opens nothing else of this server. So they are not jupyter_server's
handlers but Tornado's own, and are marked as doing without its authentication.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado import web
from tornado.iostream import StreamClosedError

from panhub_session.capability import RefusedError, Verifier
from panhub_session.places import NewFile, Places, read_places
from panhub_session.places import RefusedError as FileRefusedError
from panhub_session.screens import (
    InvalidError,
    Size,
    keyboard_command,
    read_layout,
    read_screens,
    run,
    screen_commands,
)

log = logging.getLogger("panhub_session")

_MOST_JSON = 4096
_DISPLAY_LOOKS, _DISPLAY_PAUSE_S = 600, 0.1
_CHUNK = 256 * 1024
_MOST_FILE = 1 << 40
"""The tunnel knows the site's limit, and asks in the person's name; this is the largest a site can set."""


class Desk:
    """The session's desktop as the supervisor beside this server keeps it; see ``desktop.py`` there.

    ``folder`` is None in a session without a desktop.
    """

    def __init__(self, folder: Path | None, verifier: Verifier, places: Places, size: Size) -> None:
        self.folder = folder
        self.verifier = verifier
        self.places = places
        self.size = size
        self.first = size
        self.setting = asyncio.Lock()
        self.connections = 0

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Desk:
        """What ``start.py`` and the engine put into the server's environment."""
        folder = environment.get("PANHUB_DESKTOP_FOLDER")
        verifier = Verifier(
            environment.get("PANHUB_DESKTOP_KEY", ""), environment.get("PANHUB_LAUNCH_ID", "")
        )
        places = read_places(json.loads(environment.get("PANHUB_DESKTOP_PLACES", "[]")))
        width, _, height = environment.get("PANHUB_DESKTOP_SIZE", "1600x900").partition("x")
        return cls(Path(folder) if folder else None, verifier, Places(places), Size(int(width), int(height)))

    def is_up(self) -> bool:
        """Whether there is a display now. Blocking."""
        return self.folder is not None and (self.folder / "display").exists()

    def variables(self) -> dict[str, str]:
        """Environment of a program that speaks to the display.

        Raises
        ------
        OSError
            If there is none now.
        """
        assert self.folder is not None
        display = (self.folder / "display").read_text(encoding="ascii")
        path = os.environ.get("PATH", os.defpath)
        return {"DISPLAY": display, "XAUTHORITY": str(self.folder / "Xauthority"), "PATH": path}


async def lend_display(desk: Desk, environment: MutableMapping[str, str]) -> None:
    """Let what kernels and terminals of JupyterLab draw appear on the desktop, once it is there."""
    for _ in range(_DISPLAY_LOOKS):
        if await asyncio.to_thread(desk.is_up):
            found = await asyncio.to_thread(desk.variables)
            environment.update({name: found[name] for name in ("DISPLAY", "XAUTHORITY")})
            return
        await asyncio.sleep(_DISPLAY_PAUSE_S)


def check(handler: web.RequestHandler, desk: Desk, do: str) -> None:
    """Let in who has a capability for this, where there is a desktop.

    Raises
    ------
    web.HTTPError
        403, the same for every reason; 404 in a session without a desktop.
    """
    try:
        desk.verifier.check(handler.request.headers.get("Authorization"), do)
    except RefusedError as error:
        log.warning("A request to the desktop was refused: %s", error)
        raise web.HTTPError(403, reason="Forbidden") from error
    if desk.folder is None:
        raise web.HTTPError(404, "This session has no desktop.", reason="Not Found")


class CapabilityHandler(web.RequestHandler):
    """Base: lets in by a capability, answers JSON."""

    do = ""

    def initialize(self, desk: Desk) -> None:
        """Take the session's desktop."""
        self.desk = desk

    def check_xsrf_cookie(self) -> None:
        """No cookie gives a right here, so none can be abused."""

    def set_default_headers(self) -> None:
        """Nothing here is for a browser."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def prepare(self) -> None:
        """Check before anything is read."""
        check(self, self.desk, self.do)

    def json_body(self) -> Any:
        """Body of the request.

        Raises
        ------
        web.HTTPError
            If it is none of ours.
        """
        try:
            return json.loads(self.request.body[:_MOST_JSON])
        except (ValueError, RecursionError) as error:
            raise web.HTTPError(400, "The request is not valid.", reason="Bad Request") from error

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in JSON what is wrong."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        # Tornado keeps the words ready for formatting.
        said = (error.log_message or "").replace("%%", "%") if isinstance(error, web.HTTPError) else ""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"detail": said or "The session cannot do that now."}))


class ScreensHandler(CapabilityHandler):
    """``POST screens``: one or two screens of these sizes."""

    do = "screens"

    @allow_unauthenticated  # by a capability
    async def post(self) -> None:
        """Set them."""
        try:
            screens = read_screens(self.json_body())
        except InvalidError as error:
            raise web.HTTPError(400, str(error), reason="Bad Request") from error
        desk = self.desk
        async with desk.setting:
            variables = await _variables(desk)
            for command, must in screen_commands(screens, desk.first):
                if not await run(command, variables) and must:
                    raise web.HTTPError(409, "The screens could not be set.", reason="Conflict")
            desk.first = screens[0]
            desk.size = Size(sum(one.width for one in screens), max(one.height for one in screens))
        self.finish({"screens": [one._asdict() for one in screens]})


class KeyboardHandler(CapabilityHandler):
    """``POST keyboard``: a layout of the closed list."""

    do = "keyboard"

    @allow_unauthenticated  # by a capability
    async def post(self) -> None:
        """Set it."""
        body = self.json_body()
        try:
            layout, variant = read_layout(body)
        except InvalidError as error:
            raise web.HTTPError(400, str(error), reason="Bad Request") from error
        async with self.desk.setting:
            if not await run(keyboard_command(layout, variant), await _variables(self.desk)):
                raise web.HTTPError(409, "The layout could not be set.", reason="Conflict")
        self.finish({"layout": body["layout"]})


async def _variables(desk: Desk) -> dict[str, str]:
    try:
        return await asyncio.to_thread(desk.variables)
    except OSError as error:
        raise web.HTTPError(503, "The desktop is starting.", reason="Service Unavailable") from error


class FilesHandler(CapabilityHandler):
    """``GET files?path=``: what is in a folder."""

    do = "files"

    @allow_unauthenticated  # by a capability
    async def get(self) -> None:
        """List it."""
        path = self.get_query_argument("path", "", strip=False)
        self.finish(dict(await _blocking(lambda: self.desk.places.listing(path))))


@web.stream_request_body
class FileHandler(CapabilityHandler):
    """``GET`` and ``PUT file?path=``: one file, with a chunk of it in memory."""

    do = "files"

    def initialize(self, desk: Desk) -> None:
        """Take the session's desktop."""
        super().initialize(desk)
        self._new: NewFile | None = None
        self._held = bytearray()

    async def prepare(self) -> None:
        """Check, and make the file that is brought."""
        await super().prepare()
        if self.request.method != "PUT":
            return
        connection: Any = self.request.connection
        connection.set_max_body_size(_MOST_FILE)
        path = self.get_query_argument("path", "", strip=False)
        self._new = await _blocking(lambda: self.desk.places.new_file(path))

    async def data_received(self, chunk: bytes) -> None:
        """Take a part; the next is read when this is written."""
        self._held += chunk
        if len(self._held) >= _CHUNK:
            await self._write()

    async def _write(self) -> None:
        held, self._held, new = bytes(self._held), bytearray(), self._new
        if new is not None:
            await _blocking(lambda: new.write(held))

    @allow_unauthenticated  # by a capability
    async def put(self) -> None:
        """Say under which name it was kept."""
        await self._write()
        new, self._new = self._new, None
        if new is None:
            raise web.HTTPError(400, "There is no file.", reason="Bad Request")
        self.set_status(201)
        self.finish(dict(await _blocking(new.keep)))

    @allow_unauthenticated  # by a capability
    async def get(self) -> None:
        """Stream it."""
        path = self.get_query_argument("path", "", strip=False)
        descriptor, size = await _blocking(lambda: self.desk.places.open_file(path))
        try:
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", "attachment")
            self.set_header("Content-Length", str(size))
            left = size
            while left > 0:
                wanted = min(left, _CHUNK)
                chunk = await asyncio.to_thread(os.read, descriptor, wanted)
                if not chunk:  # it was cut while it was read: a whole answer would be a lie
                    connection: Any = self.request.connection
                    connection.stream.close()
                    return
                left -= len(chunk)
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            return
        finally:
            os.close(descriptor)
        self.finish()

    def on_finish(self) -> None:
        """Leave nothing half written after a refusal."""
        self._drop()

    def on_connection_close(self) -> None:
        """Nor when the other side went away."""
        self._drop()
        super().on_connection_close()

    def _drop(self) -> None:
        new, self._new = self._new, None
        if new is not None:
            asyncio.get_running_loop().run_in_executor(None, new.drop)


async def _blocking(work: Callable[[], Any]) -> Any:
    """Run what blocks in a thread; refusals become answers."""
    try:
        return await asyncio.to_thread(work)
    except FileRefusedError as error:
        raise web.HTTPError(error.status, str(error), reason="Refused") from error


def handlers(desk: Desk) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """Names below ``panhub/desktop/`` and what answers to them."""
    from panhub_session.rfb import RfbHandler

    return [
        (name, kind, {"desk": desk})
        for name, kind in (
            ("rfb", RfbHandler),
            ("screens", ScreensHandler),
            ("keyboard", KeyboardHandler),
            ("files", FilesHandler),
            ("file", FileHandler),
        )
    ]
