"""guacd as the tunnel has it: connections to it, and one-shot ways from it to what it shows.

``kind: sandbox``: guacd runs in a container of ours (`hub.desktop.guacdsandbox`) and is started again when it
dies; it can reach nothing but what `Guacd.join` opens for it, and nobody but us can reach it. ``kind:
address``: guacd that the operator runs beside the tunnel; joins are then ports of this machine's loopback.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from types import TracebackType
from typing import Any, Self

from hub.desktop.guacdsandbox import LOOPBACK, PORT, GuacdError, Sandbox, start_sandbox
from hub.desktop.settings import AddressedGuacd, SandboxedGuacd

__all__ = ["Guacd", "GuacdError", "Join", "Streams"]

_log = logging.getLogger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_BUFFER = 64 * 1024
_REACH_S = 10.0
_JOIN_S = 15.0
"""guacd comes to a join right after its handshake; a busy machine takes some seconds."""

_AGAIN_S = 0.05
_RESTART_FIRST_S, _RESTART_MOST_S = 0.2, 10.0
_LIVED_S = 30.0
"""A guacd that lived this long died of something new: it is started again at once."""


class Join:
    """A one-shot way from guacd to the tunnel: it listens until one connection came, then never again.

    ``host`` and ``port`` are the address as guacd sees it.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.host, self.port = listener.getsockname()[:2]

    async def accept_socket(self, deadline_s: float = _JOIN_S) -> socket.socket:
        """Return guacd's connection, non-blocking, and close the way; also when none came in time.

        Raises
        ------
        TimeoutError
            If guacd did not connect in time.
        """
        try:
            async with asyncio.timeout(deadline_s):
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        finally:
            self.close()
        return _tuned(connection)

    async def accept(self, deadline_s: float = _JOIN_S) -> Streams:
        """Do what `accept_socket` does, and return streams."""
        return await _streams(await self.accept_socket(deadline_s))

    def close(self) -> None:
        """Close the way if it is still open."""
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Guacd:
    """The guacd of a tunnel; see the module."""

    def __init__(self, settings: SandboxedGuacd | AddressedGuacd) -> None:
        self._settings = settings
        self._sandbox: Sandbox | None = None
        self._is_up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def sandbox(self) -> Sandbox | None:
        """The running sandbox; None while there is none, and for guacd of an address."""
        return self._sandbox

    async def start(self) -> None:
        """Start guacd and return when it answers. guacd of an address is only tried.

        Raises
        ------
        GuacdError
            If it does not answer.
        """
        if isinstance(self._settings, SandboxedGuacd):
            self._sandbox = await start_sandbox(self._settings.root)
            self._keeper = asyncio.create_task(self._keep(self._settings))
        self._is_up.set()
        (await self.connect_socket()).close()

    async def aclose(self) -> None:
        """End guacd and its connections. guacd of an address is left alone."""
        self._is_up.clear()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            await sandbox.aclose()

    async def connect_socket(self) -> socket.socket:
        """Return a connection to guacd, non-blocking. Waits while guacd is started again.

        Raises
        ------
        GuacdError
            If guacd does not answer within 10 s.
        """
        try:
            async with asyncio.timeout(_REACH_S):
                while True:
                    await self._is_up.wait()
                    try:
                        return await self._try_to_connect()
                    except OSError:
                        await asyncio.sleep(_AGAIN_S)
        except TimeoutError as error:
            raise GuacdError("guacd does not answer.") from error

    async def connect(self) -> Streams:
        """Do what `connect_socket` does, and return streams."""
        return await _streams(await self.connect_socket())

    async def join(self) -> Join:
        """Open a one-shot way for guacd to reach the tunnel. Who calls accepts or closes it.

        Raises
        ------
        GuacdError
            If guacd is not there.
        """
        listener = await self._make_socket()
        try:
            listener.bind((LOOPBACK, 0))
            listener.listen(1)
        except OSError as error:
            listener.close()
            raise GuacdError(f"No way for guacd can be opened: {error}") from error
        return Join(listener)

    async def _make_socket(self) -> socket.socket:
        if isinstance(self._settings, SandboxedGuacd):
            if self._sandbox is None:
                raise GuacdError("guacd is being started again.")
            return await self._sandbox.make_socket()
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    async def _try_to_connect(self) -> socket.socket:
        if isinstance(self._settings, SandboxedGuacd):
            return await _connected(await self._make_socket(), (LOOPBACK, PORT))
        loop, why = asyncio.get_running_loop(), OSError("no address")
        found = await loop.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            made = socket.socket(family, kind, protocol)
            made.setblocking(False)
            try:
                return await _connected(made, address)
            except OSError as error:
                why = error
        raise why

    async def _keep(self, settings: SandboxedGuacd) -> None:
        """Start guacd again whenever it ends."""
        loop = asyncio.get_running_loop()
        pause, began = _RESTART_FIRST_S, loop.time()
        while True:
            if self._sandbox is not None:
                code = await self._sandbox.wait()
                self._is_up.clear()
                ended, self._sandbox = self._sandbox, None
                try:
                    await ended.aclose()
                except TimeoutError:
                    _log.warning("What is left of guacd does not end")
                _log.warning("guacd ended with code %s; it is started again", code)
                if loop.time() - began > _LIVED_S:
                    pause = _RESTART_FIRST_S
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RESTART_MOST_S)
            try:
                self._sandbox = await start_sandbox(settings.root)
            except Exception:
                _log.exception("guacd cannot be started again; the next try is in %.1f s", pause)
                continue
            began = loop.time()
            self._is_up.set()


async def _connected(made: socket.socket, address: tuple[Any, ...]) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return _tuned(made)


def _tuned(connection: socket.socket) -> socket.socket:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


async def _streams(connection: socket.socket) -> Streams:
    try:
        return await asyncio.open_connection(sock=connection, limit=_BUFFER)
    except BaseException:
        connection.close()
        raise
