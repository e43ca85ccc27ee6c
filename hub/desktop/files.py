"""What people with a desktop open do beside its picture: screens, keyboard layout, files.

All of it is passed to the relay in the session's server with a fresh capability, and each right is that of
a window that is open now: who was sent away, or lost control, has none. Files leave as attachments that no
browser shows or runs on this origin.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from hub.desktop.client import RelayAnswer, RelaySilentError
from hub.desktop.connections import Connection
from hub.desktop.models import SessionTarget
from hub.desktop.web import DesktopHandler, desktop_silent, not_here
from hub.problems import Problem, RequestError

_MOST_PATH = 4096
_CHUNK = 256 * 1024
_PASSED_ON = {400, 404, 409, 413, 415, 422, 507}
"""Refusals of the relay that are the person's to mend; others are a fault between it and us."""

_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\"\\/]")


class ScreenBody(BaseModel):
    """One screen [pixels]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=640, le=7680, strict=True)
    height: int = Field(ge=480, le=4320, strict=True)


class ScreensBody(BaseModel):
    """Screens from left to right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    screens: tuple[ScreenBody, ...] = Field(min_length=1, max_length=2)


class KeyboardBody(BaseModel):
    """A layout by its name in X; the relay has the list of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,8}$")]


class OpenDesktopHandler(DesktopHandler):
    """Base: the person's window at the desktop that gives a right, and where its session is."""

    def steering(self, desktop: str) -> SessionTarget:
        """Session of a window of the person that holds control.

        Raises
        ------
        RequestError
            If there is none.
        """
        return self._session([one for one in self._own(desktop) if one.may_steer])

    def transferring(self, desktop: str) -> tuple[SessionTarget, Connection]:
        """Session of a window of the person that may transfer files, and the window.

        Raises
        ------
        RequestError
            If there is none.
        """
        able = [one for one in self._own(desktop) if one.may_transfer]
        return self._session(able), able[0]

    def _own(self, desktop: str) -> list[Connection]:
        return self.parts.connections.of(self.username, desktop)

    @staticmethod
    def _session(able: list[Connection]) -> SessionTarget:
        if not able or not isinstance(able[0].admission.target, SessionTarget):
            raise not_here()
        return able[0].admission.target

    def path_argument(self) -> str:
        """Path of the query; the relay says what it is worth.

        Raises
        ------
        RequestError
            If it is too long.
        """
        path: str = self.get_query_argument("path", "", strip=False)
        if len(path) > _MOST_PATH:
            raise _bad_path()
        return path

    def pass_on(self, answer: RelayAnswer) -> None:
        """Answer with what the relay said.

        Raises
        ------
        RequestError
            With its words, if it refused.
        """
        if answer.status not in {200, 201}:
            raise refused(answer)
        self.set_status(answer.status)
        self.finish(answer.body)


class ScreensHandler(OpenDesktopHandler):
    """``POST …/screens``: the holder sets one or two screens."""

    async def post(self, desktop: str) -> None:
        """Set them; answers the sizes that are set."""
        target = self.steering(desktop)
        body = self.read_model(ScreensBody)
        with _answered():
            answer = await self.parts.relays.post(target, "screens", body.model_dump_json().encode())
            self.pass_on(answer)


class KeyboardHandler(OpenDesktopHandler):
    """``POST …/keyboard``: the holder sets the layout."""

    async def post(self, desktop: str) -> None:
        """Set it."""
        target = self.steering(desktop)
        body = self.read_model(KeyboardBody)
        with _answered():
            self.pass_on(await self.parts.relays.post(target, "keyboard", body.model_dump_json().encode()))


class FilesHandler(OpenDesktopHandler):
    """``GET …/files?path=``: what is in a folder."""

    async def get(self, desktop: str) -> None:
        """List it."""
        target, _ = self.transferring(desktop)
        with _answered():
            self.pass_on(await self.parts.relays.list_files(target, self.path_argument()))


@stream_request_body
class FileHandler(OpenDesktopHandler):
    """``GET`` and ``PUT …/file?path=``: take one out, bring one in."""

    def initialize(self, app: Any) -> None:
        """Keep the application's parts."""
        super().initialize(app)
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._writing: asyncio.Task[RelayAnswer] | None = None

    async def prepare(self) -> None:
        """Find out who asks, and how long it will be.

        Raises
        ------
        RequestError
            401 for nobody, 413 for a file that is too large.
        """
        await super().prepare()
        if self.request.method != "PUT":
            return
        length = self.request.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > self.parts.max_upload:
            raise _too_large(self.parts.max_upload)
        connection: Any = self.request.connection
        connection.set_max_body_size(self.parts.max_upload)
        self._writing = asyncio.create_task(self._write(*self.path_args))

    async def data_received(self, chunk: bytes) -> None:  # type: ignore[override]  # Tornado takes both
        """Take a part of the file, once the relay has taken the one before."""
        await self._hand_on(chunk)

    async def put(self, _desktop: str) -> None:
        """Answer once the relay has it all."""
        await self._hand_on(None)
        if self._writing is not None:
            with _answered():
                self.pass_on(await self._writing)

    def on_connection_close(self) -> None:
        """The browser went away in the middle: so does what was written."""
        super().on_connection_close()
        if self._writing is not None:
            self._writing.cancel()

    async def _hand_on(self, chunk: bytes | None) -> None:
        if self._writing is None:
            return  # refused: the rest of it is read and dropped
        putting = asyncio.ensure_future(self._chunks.put(chunk))
        await asyncio.wait((putting, self._writing), return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def _write(self, desktop: str) -> RelayAnswer:
        target, window = self.transferring(desktop)

        async def chunks() -> AsyncIterator[bytes]:
            while (chunk := await self._chunks.get()) is not None:
                if not window.may_transfer:
                    raise not_here()
                yield chunk

        return await self.parts.relays.write_file(target, self.path_argument(), chunks())

    async def get(self, desktop: str) -> None:
        """Stream a file as an attachment, as long as the right to it lasts."""
        target, window = self.transferring(desktop)
        path = self.path_argument()
        with _answered():
            async with self.parts.relays.read_file(target, path) as response:
                if response.status_code != 200:
                    raise refused(RelayAnswer(response.status_code, {}))
                self._head(path, response.headers.get("Content-Length", ""))
                try:
                    async for chunk in response.aiter_bytes(_CHUNK):
                        if not window.may_transfer:
                            self._cut()
                            return
                        self.write(chunk)
                        await self.flush()
                except StreamClosedError:
                    return
        self.finish()

    def _cut(self) -> None:
        """End in the middle: a proper end would look like the file's."""
        connection: Any = self.request.connection
        connection.stream.close()

    def _head(self, path: str, length: str) -> None:
        name = _NO_NAME.sub("_", path.rstrip("/").rpartition("/")[2]) or "file"
        plain = name.encode("ascii", "replace").decode().replace("?", "_")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header(
            "Content-Disposition",
            f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        )
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        if length.isdigit():
            self.set_header("Content-Length", length)


class _answered:  # noqa: N801  # reads as what it is in a with
    """A relay that does not answer is a problem of its own."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Translate.

        Raises
        ------
        RequestError
            ``desktop_silent``.
        """
        if isinstance(error, RelaySilentError):
            raise desktop_silent() from error


def refused(answer: RelayAnswer) -> RequestError:
    """What the relay refused, in its words if it has any."""
    if answer.status not in _PASSED_ON:
        return desktop_silent()
    said = answer.body.get("detail") or answer.body.get("message") or ""
    text = said[:300] if isinstance(said, str) and said else "The session did not take that."
    return RequestError(Problem("desktop_refused", answer.status, "Refused", text, "Choose another."))


def _bad_path() -> RequestError:
    return RequestError(Problem("invalid_request", 400, "The request is not valid", "path is too long."))


def _too_large(limit: int) -> RequestError:
    text = f"Files up to {limit // 2**20} MiB can be brought in."
    return RequestError(
        Problem("file_too_large", 413, "Too large", text, "Copy it to the storage otherwise.")
    )
