"""One window's way: a place, a ticket, its desktop, and the pump for as long as all agree."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.desktop.connections import Connection, Connections, Window
from hub.desktop.ends import ConnectionEnd, desktop_silent, engine_silent, guacd_gone, session_ended
from hub.desktop.engine import EngineClient, EngineSilentError, TicketRefusedError
from hub.desktop.handshake import ClientFacts
from hub.desktop.models import Admission, SessionTarget
from hub.desktop.pump import Pump
from hub.desktop.relay import SessionDisplay
from hub.desktop.reporting import Reporter
from hub.desktop.rooms import Entered, Room, Rooms
from hub.desktop.settings import WorkstationSettings
from hub.desktop.status import Status
from hub.desktop.targets import CarryEnd, Target
from hub.desktop.workstations import Workstation

log = logging.getLogger(__name__)

_ENTER_S = 30.0
_CHECK_S = 1.0
_STALLED_S = 10.0
"""A browser that takes nothing for this long is cut off: guacd shows nothing new to the others meanwhile."""

_SIGNED_IN_S = 60.0


class TunnelWindow(Window, Protocol):
    """What `Tunnel` uses of the handler."""

    username: str
    pump: Pump | None

    @property
    def ticket(self) -> str: ...
    @property
    def facts(self) -> ClientFacts: ...
    def stalled_s(self) -> float:
        """For how long the browser has taken nothing, in seconds."""
        ...

    def abort(self) -> None:
        """Cut the connection."""

    async def is_signed_in(self) -> bool:
        """Whether the person is still signed in."""
        ...


class Tunnel:
    """Serves windows."""

    def __init__(
        self,
        engine: EngineClient,
        connections: Connections,
        rooms: Rooms,
        reporter: Reporter,
        key: Ed25519PrivateKey,
        workstations: Mapping[str, WorkstationSettings],
    ) -> None:
        self._engine, self._connections, self._rooms, self._reporter = engine, connections, rooms, reporter
        self._key, self._workstations = key, workstations
        self._windows: dict[TunnelWindow, Connection] = {}

    async def serve(self, window: TunnelWindow) -> None:
        """Serve one window until it ends; never raises but when cancelled."""
        try:
            with self._connections.place(window.username):
                connection = Connection(await self._admit(window), window)
                with self._connections.open(connection, self._reporter.wake):
                    await self._run(window, connection)
        except ConnectionEnd as end:
            log.info("A window of %s ends: %s", window.username or "nobody", end.status.name)
            window.refuse(end.status, end.text)
        except Exception:
            log.exception("A window failed")
            window.refuse(Status.SERVER_ERROR, "The tunnel met a fault; it is in its log.")

    async def _admit(self, window: TunnelWindow) -> Admission:
        if not window.username:
            raise ConnectionEnd(Status.CLIENT_UNAUTHORIZED, "Sign in to see this desktop.")
        try:
            admission = await self._engine.redeem(window.ticket, window.username)
        except TicketRefusedError as error:
            raise ConnectionEnd(
                Status.CLIENT_UNAUTHORIZED, "This ticket is not valid any more; open the desktop again."
            ) from error
        except EngineSilentError as error:
            log.warning("Nobody admits: %s", error)
            raise engine_silent() from error
        decision = admission.decision
        if not decision.may_stay:
            raise ConnectionEnd(Status.of(decision.status), decision.text)
        return admission

    async def _run(self, window: TunnelWindow, connection: Connection) -> None:
        admission = connection.admission
        with self._rooms.held(admission.desktop, self._target(admission)) as room:
            window.pump = pump = connection.begin(await self._enter(room, window, connection), room)
            self._windows[window] = connection
            try:
                ended = await pump.run()
            finally:
                del self._windows[window]
        log.info("A window of %s ended: %s", window.username, ended.status.name)

    async def _enter(self, room: Room, window: TunnelWindow, connection: Connection) -> Entered:
        try:
            async with asyncio.timeout(_ENTER_S):
                return await room.enter(window.facts, connection.decision, connection.admission.display_name)
        except TimeoutError as error:
            raise desktop_silent() from error

    def _target(self, admission: Admission) -> Target:
        target = admission.target
        if isinstance(target, SessionTarget):
            return SessionDisplay(target, self._key)
        settings = self._workstations.get(target.name)
        if settings is None:
            raise ConnectionEnd(Status.RESOURCE_NOT_FOUND, "This workstation is not set up here.")
        return Workstation(settings)

    async def desktop_ended(self, display: object, end: CarryEnd) -> None:
        """A display is gone: who sees it hears why before guacd would tell them less, or nothing.

        A way that was cut may be that of a session that ended: the engine may know.
        """
        if end is CarryEnd.CUT:
            await self._reporter.ask()
        self._connections.end(_ENDS[end](), display=display)
        self._reporter.wake()

    async def watch(self) -> None:
        """Cut off browsers that take nothing, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_S)
            for window, connection in list(self._windows.items()):
                if window.stalled_s() > _STALLED_S:
                    log.warning("A browser of %s takes nothing; it is cut off", window.username)
                    connection.end(ConnectionEnd(Status.CLIENT_TIMEOUT, "Your connection is too slow."))
                    window.abort()

    async def check_sign_ins(self) -> None:
        """End windows of people who signed out, until cancelled."""
        while True:
            await asyncio.sleep(_SIGNED_IN_S)
            for window, connection in list(self._windows.items()):
                try:
                    if await window.is_signed_in():
                        continue
                except Exception as error:  # the hub is away: what it said last holds
                    log.warning("The hub does not say who is signed in: %s", error)
                    break
                connection.end(ConnectionEnd(Status.CLIENT_UNAUTHORIZED, "You have signed out."))


_ENDS = {CarryEnd.OVER: session_ended, CarryEnd.CUT: desktop_silent, CarryEnd.GUACD: guacd_gone}
