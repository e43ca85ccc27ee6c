"""Workstations of the operator's settings: machines with a screen of their own, reached by TCP."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from pathlib import Path

from hub.desktop.settings import WorkstationSettings
from hub.desktop.targets import Carrier, CarryEnd, TargetRefusedError, TargetSilentError

_CONNECT_S = 5.0
_CHUNK = 64 * 1024


class Workstation:
    """A machine of the operator's settings, by TCP."""

    def __init__(self, settings: WorkstationSettings) -> None:
        self._settings = settings
        self.protocol: str = settings.protocol
        self.values: Mapping[str, str] = _VALUES[settings.protocol](settings)

    async def open(self) -> Carrier:
        """Connect to it, and read what opens it."""
        try:
            secrets = await asyncio.to_thread(_secrets, self._settings)
        except OSError as error:
            raise TargetRefusedError(f"{error.filename}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
        except OSError as error:  # a time-out is one
            raise TargetSilentError(f"{self._settings.host} does not answer") from error
        return _Tcp(reader, writer, secrets)


class _Tcp:
    """A way by TCP."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, values: Mapping[str, str]) -> None:
        self._reader, self._writer, self.values = reader, writer, values

    async def carry(self, reader: StreamReader, writer: StreamWriter) -> CarryEnd:
        """Carry both ways."""
        there = asyncio.create_task(_copy(reader, self._writer))
        back = asyncio.create_task(_copy(self._reader, writer))
        try:
            done, _ = await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            return CarryEnd.CUT if back in done else CarryEnd.GUACD
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def tell_input(self) -> None:
        """Nobody ends a workstation as idle."""

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        return


def _secrets(settings: WorkstationSettings) -> dict[str, str]:
    found = {}
    if settings.password_file is not None:
        found["password"] = _read(settings.password_file)
    if settings.private_key_file is not None:
        found["private-key"] = settings.private_key_file.read_text(encoding="utf-8")
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip("\r\n")


def _vnc(_: WorkstationSettings) -> dict[str, str]:
    return {"color-depth": "24", "clipboard-encoding": "UTF-8", "disable-display-resize": "true"}


def _rdp(settings: WorkstationSettings) -> dict[str, str]:
    # The certificate cannot carry the name of a one-shot join. With a fingerprint it is checked by that; a
    # guacd that knows no fingerprints (before 1.6.0) then refuses, which is right.
    certificate = {"ignore-cert": "true"} if settings.host_key is None else {}
    return {
        "username": settings.username,
        "color-depth": "24",
        "resize-method": "display-update",
        "server-layout": RDP_LAYOUTS.get(settings.keyboard, "failsafe"),
        "enable-font-smoothing": "true",
        "cert-fingerprints": settings.host_key or "",
        **certificate,
    }


def _ssh(settings: WorkstationSettings) -> dict[str, str]:
    return {
        "username": settings.username,
        "host-key": settings.host_key or "",
        "terminal-type": "xterm-256color",
    }


RDP_LAYOUTS = {
    "us": "en-us-qwerty",
    "gb": "en-gb-qwerty",
    "de": "de-de-qwertz",
    "ch": "de-ch-qwertz",
    "fr": "fr-fr-azerty",
    "be": "fr-be-azerty",
    "it": "it-it-qwerty",
    "es": "es-es-qwerty",
    "pt": "pt-br-qwerty",
    "se": "sv-se-qwerty",
    "dk": "da-dk-qwerty",
    "no": "no-no-qwerty",
    "hu": "hu-hu-qwertz",
    "jp": "ja-jp-qwerty",
    "tr": "tr-tr-qwerty",
}
"""guacd's names of layouts (``rdp/keymaps``); one it lacks is typed as Unicode."""

_VALUES = {"vnc": _vnc, "rdp": _rdp, "ssh": _ssh}
