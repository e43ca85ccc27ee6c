"""Workstations of the operator's settings: machines with a screen of their own, reached by TCP.

The tunnel opens the connection and carries its bytes to guacd's one-shot join, so guacd never has the
machine's address. What opens the machine is read here, from files, and goes to guacd alone.

Who a machine is: RDP and SSH are checked by the operator's ``host_key``, by guacd, which sees the certificate
or key inside the carried stream. The join's address is in the place of the machine's name, so a certificate's
name never fits: without a fingerprint nothing of it can be checked, hence ``trust_network``. VNC has nothing
to check and no encryption, so it is for the instrument's own network (``docs/how-to/workstations.md``).

Never set, so off in every guacd: recording, drives, printing, file transfer (sftp), sound, wake-on-LAN.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from pathlib import Path

from hub.desktop.settings import WorkstationSettings
from hub.desktop.targets import Carrier, CarryEnd, TargetRefusedError, TargetSilentError

_CONNECT_S = 5.0
_CHUNK = 64 * 1024
_MOST_SECRET = 64 * 1024

_JOIN_HOST = "127.0.0.1"
"""What guacd takes for the machine's name: the address of every join (`hub.desktop.guacd`)."""

_WIDE = {"width": "3840", "height": "1080"}
"""Two screens side by side, as one desktop."""

FIXED_SSH = frozenset({"recording-write-existing"})
"""First in guacd 1.6.0, which has the fix of CVE-2024-35164: a server's console codes run code in guacd."""

FINGERPRINTS = frozenset({"cert-fingerprints"})
"""First in guacd 1.6.0; an older one would refuse every certificate, without saying why."""


class Workstation:
    """A machine of the operator's settings, by TCP; a `hub.desktop.targets.Target`."""

    def __init__(self, settings: WorkstationSettings) -> None:
        self._settings = settings
        self.protocol: str = settings.protocol
        self.values: Mapping[str, str] = workstation_values(settings)
        self.needs = workstation_needs(settings)

    async def open(self) -> Carrier:
        """Connect to it, and read what opens it."""
        try:
            secrets = await asyncio.to_thread(read_secrets, self._settings)
        except (OSError, ValueError) as error:
            raise TargetRefusedError(f"what opens {self._settings.title} cannot be read: {error}") from error
        return _Tcp(*await open_stream(self._settings), secrets)


def workstation_values(settings: WorkstationSettings) -> dict[str, str]:
    """Parameters for guacd by name, without secrets and address."""
    return _VALUES[settings.protocol](settings)


def workstation_needs(settings: WorkstationSettings) -> frozenset[str]:
    """Parameters without which a guacd is too old for this machine."""
    if settings.protocol == "ssh" and not settings.trust_ssh_server:
        return FIXED_SSH
    if settings.protocol == "rdp" and settings.host_key is not None:
        return FINGERPRINTS
    return frozenset()


async def open_stream(settings: WorkstationSettings) -> tuple[StreamReader, StreamWriter]:
    """Open the connection to the machine.

    Raises
    ------
    TargetSilentError
        If it does not answer.
    """
    try:
        async with asyncio.timeout(_CONNECT_S):
            return await asyncio.open_connection(settings.host, settings.port)
    except OSError as error:  # a time-out is one
        raise TargetSilentError(f"{settings.title} does not answer at its address") from error


def read_secrets(settings: WorkstationSettings) -> dict[str, str]:
    """What opens the machine, by guacd's names. Blocking.

    Raises
    ------
    OSError
        If a file cannot be read.
    ValueError
        If it is no text, or too long for one.
    """
    found = {}
    if settings.password_file is not None:
        found["password"] = _read(settings.password_file).strip("\r\n")
    if settings.private_key_file is not None:
        found["private-key"] = _read(settings.private_key_file)
    return found


def _read(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(_MOST_SECRET + 1)
    if len(text) > _MOST_SECRET:
        raise ValueError(f"{path} is too long")
    return text


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


def _vnc(_: WorkstationSettings) -> dict[str, str]:
    # Its screen belongs to who sits before it: no window here makes it larger or smaller.
    return {
        "color-depth": "24",
        "clipboard-encoding": "UTF-8",
        "disable-display-resize": "true",
        "cursor": "remote",
    }


def _rdp(settings: WorkstationSettings) -> dict[str, str]:
    if settings.host_key is None:
        identity = {"ignore-cert": "true"}
    else:
        # FreeRDP compares in lower case, by the name of the hash.
        identity = {"cert-fingerprints": f"sha256:{settings.host_key.removeprefix('sha256:').lower()}"}
    size = _WIDE if settings.screens > 1 else {"resize-method": "display-update"}
    return {
        "username": settings.username,
        "security": settings.security,
        "color-depth": "24",
        "server-layout": RDP_LAYOUTS.get(settings.keyboard, "failsafe"),
        "enable-font-smoothing": "true",
        "disable-audio": "true",
        **size,
        **identity,
    }


def _ssh(settings: WorkstationSettings) -> dict[str, str]:
    known = {"host-key": f"{_JOIN_HOST} {settings.host_key}"} if settings.host_key is not None else {}
    return {"username": settings.username, "terminal-type": "xterm-256color", **known}


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
