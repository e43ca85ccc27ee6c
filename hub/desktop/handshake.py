"""Handshake with guacd: what is wanted, what it asks for, and the answers by name.

guacd lists the names of the parameters that it takes (``args``); values are given in its order, so that
every version of guacd gets what it knows. Protocol versions are negotiated from 1.0.0 to 1.5.0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hub.desktop.codec import MAX_INSTRUCTION, CodecError, Instruction, decode, encode, end_of_complete
from hub.desktop.models import Closed
from hub.desktop.status import Status

DEADLINE_S = 10.0

Version = tuple[int, int, int]
OLDEST: Version = (1, 0, 0)
NEWEST: Version = (1, 5, 0)

RESTRICTIONS = frozenset({"read-only", "disable-copy", "disable-paste"})
"""Parameters that take something away: a guacd that does not know one that is set is not used."""

TIMEZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z0-9_+-]{1,32}){0,2}$"


class ClientFacts(Closed):
    """What a browser says of itself."""

    width: int = Field(default=1600, ge=200, le=8192, description="Width of the window [px].")
    height: int = Field(default=900, ge=200, le=8192, description="Height of the window [px].")
    dpi: int = Field(default=96, ge=48, le=480, description="Resolution [px/inch].")
    timezone: Annotated[str, StringConstraints(pattern=TIMEZONE_PATTERN)] | None = Field(
        default=None, description="Name of the time zone, such as Europe/Paris."
    )
    image: tuple[Literal["image/png", "image/jpeg", "image/webp"], ...] = Field(
        default=("image/png", "image/jpeg"), max_length=3, description="Image types that it shows."
    )
    audio: tuple[Literal["audio/L8", "audio/L16"], ...] = Field(
        default=(), max_length=2, description="Sound types that it plays."
    )


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that guacd has accepted. ``id`` opens it to others, so it is a secret.

    The desktop behind it may still refuse: it is there with the first ``sync``. ``rest`` was read beyond.
    """

    id: str
    version: Version
    rest: bytes = b""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Connected(version={self.version})"


class HandshakeError(Exception):
    """guacd did not connect; ``status`` says why."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text)
        self.status = status


async def handshake(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    select: str,
    values: Mapping[str, str],
    client: ClientFacts,
    name: str = "",
    needs: frozenset[str] = frozenset(),
    deadline_s: float = DEADLINE_S,
) -> Connected:
    """Open a connection, or join one.

    Parameters
    ----------
    reader, writer
        A fresh connection to guacd. It stays open on errors: the caller closes it.
    select
        Protocol (``vnc``, ``rdp``, ``ssh``), or the id of a connection to join.
    values
        Parameters by name. Those that guacd does not know are left out, but for `RESTRICTIONS`.
    client
        What the browser says of itself.
    name
        Name of the person, for guacd's own messages to others in the connection.
    needs
        Parameters that guacd must know, whatever their values: what was fixed or added with them matters.
    deadline_s
        Time for all of it [s].

    Raises
    ------
    HandshakeError
        With the status for the browser.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await _Talk(reader, writer).open(select, values, client, name, needs)
    except TimeoutError as error:
        raise HandshakeError(Status.UPSTREAM_TIMEOUT, "guacd does not answer") from error
    except CodecError as error:
        raise HandshakeError(Status.UPSTREAM_ERROR, f"guacd does not speak its protocol: {error}") from error
    except ConnectionError as error:
        raise HandshakeError(_when_closed(select), "guacd closed the connection") from error


def version_of(args: Sequence[str]) -> Version:
    """Version in a list of parameters: the first entry, or none in guacd before 1.1.0."""
    found = re.fullmatch(r"VERSION_([0-9]{1,4})_([0-9]{1,4})_([0-9]{1,4})", args[0]) if args else None
    return OLDEST if found is None else (int(found[1]), int(found[2]), int(found[3]))


def answers(
    args: Sequence[str],
    values: Mapping[str, str],
    client: ClientFacts,
    name: str,
    needs: frozenset[str] = frozenset(),
) -> str:
    """Return the instructions that answer ``args``.

    Raises
    ------
    HandshakeError
        If guacd does not know a restriction that is set, or what is needed.
    """
    unknown = sorted(
        one for one in (RESTRICTIONS | needs) - set(args) if one in needs or values.get(one) == "true"
    )
    if unknown:
        raise HandshakeError(Status.UNSUPPORTED, f"this guacd cannot do {', '.join(unknown)}")
    version = min(version_of(args), NEWEST)
    said = [
        encode("size", str(client.width), str(client.height), str(client.dpi)),
        encode("audio", *client.audio),
        encode("video"),
        encode("image", *client.image),
    ]
    if client.timezone is not None and version >= (1, 1, 0):
        said.append(encode("timezone", client.timezone))
    if name and version >= (1, 5, 0):
        said.append(encode("name", name))
    given = [values.get(one, "") for one in args]
    if version > OLDEST:
        given[0] = "VERSION_{}_{}_{}".format(*version)
    return "".join([*said, encode("connect", *given)])


class _Talk:
    """One handshake, instruction by instruction."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = b""
        self._read: list[Instruction] = []

    async def open(
        self,
        select: str,
        values: Mapping[str, str],
        client: ClientFacts,
        name: str,
        needs: frozenset[str],
    ) -> Connected:
        """Do it."""
        await self._write(encode("select", select))
        args = await self._expect("args", select)
        await self._write(answers(args, values, client, name, needs))
        ready = await self._expect("ready", select)
        if len(ready) != 1 or not re.fullmatch(r"\$[0-9a-f-]{36}", ready[0]):
            raise CodecError("ready without an id")
        rest = "".join(encode(*one) for one in self._read).encode() + self._buffer
        return Connected(ready[0], min(version_of(args), NEWEST), rest)

    async def _write(self, text: str) -> None:
        self._writer.write(text.encode())
        await self._writer.drain()

    async def _expect(self, opcode: str, select: str) -> Instruction:
        """Arguments of the next instruction that says something, which must be this one."""
        while True:
            got, *arguments = await self._next(select)
            if got == opcode:
                return tuple(arguments)
            if got == "error":
                raise HandshakeError(error_status(arguments), "guacd refused the connection")
            if got == "required":
                raise HandshakeError(Status.CLIENT_UNAUTHORIZED, "the desktop asks for a password")
            if got == "disconnect":
                raise HandshakeError(_when_closed(select), "guacd closed the connection")
            if got != "nop":
                raise CodecError(f"{opcode} expected")

    async def _next(self, select: str) -> Instruction:
        while not self._read:
            data = await self._reader.read(MAX_INSTRUCTION)
            if not data:
                raise HandshakeError(_when_closed(select), "guacd closed the connection")
            self._buffer += data
            end = end_of_complete(self._buffer)
            self._read = decode(self._buffer[:end].decode())
            self._buffer = self._buffer[end:]
        return self._read.pop(0)


def error_status(arguments: Sequence[str]) -> Status:
    """Status in the arguments of guacd's ``error``."""
    code = arguments[1] if len(arguments) > 1 else ""
    return Status.of(int(code)) if re.fullmatch(r"[0-9]{1,5}", code) else Status.UPSTREAM_ERROR


def _when_closed(select: str) -> Status:
    """guacd closes without a word when there is no connection of that id to join."""
    return Status.RESOURCE_NOT_FOUND if select.startswith("$") else Status.UPSTREAM_ERROR
