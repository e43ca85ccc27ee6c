"""Rooms: what the tunnel holds of each desktop that somebody is at.

A room is one connection of guacd that all its windows join, each with the rights of its person. The tunnel
itself makes that connection, waits until the desktop is drawn, and leaves once a window shows it: so
nobody's rights are those of the whole room (guacd takes clipboard and cursor from whoever was first), a
join never meets a display that is not there yet, and a desktop that refuses is told before anybody waits.
guacd counts a window only some time after its ``ready``, and ends the connection when the last that it
counts has left; so the tunnel stays until the window's first ``sync``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from hub.desktop.ends import ConnectionEnd, desktop_silent, guacd_gone
from hub.desktop.handshake import ClientFacts, Connected, HandshakeError, handshake
from hub.desktop.models import Decision, Role
from hub.desktop.ports import GuacdPort, GuacdSupply, JoinPoint
from hub.desktop.status import Status
from hub.desktop.targets import Carrier, CarryEnd, Target, TargetRefusedError, TargetSilentError
from hub.desktop.waiting import stay, until_drawn

log = logging.getLogger(__name__)

_MAKE_S = 20.0
"""Time to make a room in all: opening the way, guacd's handshake and the first picture."""

_ASK_AGAIN_S = (0.3, 0.7, 1.5, 2.5)
"""A session's server that does not answer is asked again after these pauses: its node may be busy."""

MOST_HANDSHAKES = 16
"""Handshakes with guacd at once: it starts a process for each."""

_INPUT_EVERY_S = 10.0

OnEnd = Callable[[object, CarryEnd], Awaitable[None]]
"""Hears which display ended, and how."""

Keep = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
"""Starts work in the background, and keeps it until it is done."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A window's own connection to guacd, joined to the room."""

    reader: StreamReader
    writer: StreamWriter
    rest: bytes
    display: object
    """What it shows: the same for all that end together."""


class Room:
    """One desktop.

    ``on_end`` hears how the way to a display ended, before guacd hears of it. When it is guacd that let go,
    nobody is left; or guacd failed, and then says nothing to those who are.
    """

    def __init__(
        self,
        target: Target,
        guacds: GuacdSupply,
        *,
        on_end: OnEnd,
        keep: Keep,
        slots: asyncio.Semaphore,
    ) -> None:
        self._target, self._guacds = target, guacds
        self._guacd: GuacdPort | None = None
        self._on_end, self._keep, self._slots = on_end, keep, slots
        self._turn = asyncio.Lock()
        self._display: _Display | None = None
        self._told_input = float("-inf")

    async def enter(self, facts: ClientFacts, decision: Decision, name: str) -> Entered:
        """Join the room, made if it is not there: one at a time, so that two at once make one room.

        Raises
        ------
        ConnectionEnd
            With what to tell the person.
        """
        async with self._turn:
            if self._display is not None and not self._display.is_over:
                try:
                    return await self._join(self._display, facts, decision, name)
                except HandshakeError as error:
                    if error.status is not Status.RESOURCE_NOT_FOUND:
                        raise _end_of(error) from error
            display = await self._make(facts)
            try:
                return await self._join(display, facts, decision, name)
            except HandshakeError as error:
                raise _end_of(error) from error

    async def aclose(self) -> None:
        """Give back its guacd, when nobody is left."""
        guacd, self._guacd = self._guacd, None
        if guacd is not None:
            await self._guacds.release(guacd)

    def note_shown(self) -> None:
        """A window shows the desktop."""
        if self._display is not None:
            self._display.is_shown.set()

    def note_input(self) -> None:
        """Somebody used mouse or keys: the session hears of it, at most every 10 s."""
        now = time.monotonic()
        if self._display is None or now - self._told_input < _INPUT_EVERY_S:
            return
        self._told_input = now
        self._keep(self._display.carrier.tell_input())

    async def _join(self, display: _Display, facts: ClientFacts, decision: Decision, name: str) -> Entered:
        values = restrictions(decision)
        reader, writer, joined = await self._shake(display.id, values, facts, name)
        return Entered(reader, writer, joined.rest, display)

    async def _shake(
        self,
        select: str,
        values: Mapping[str, str],
        facts: ClientFacts,
        name: str = "",
        needs: frozenset[str] = frozenset(),
    ) -> tuple[StreamReader, StreamWriter, Connected]:
        """A connection to guacd with its handshake done; not too many at once."""
        async with self._slots:
            try:
                reader, writer = await (await self._own_guacd()).connect()
            except OSError as error:
                raise guacd_gone() from error
            try:
                done = await handshake(
                    reader, writer, select=select, values=values, client=facts, name=name, needs=needs
                )
            except BaseException:
                writer.close()
                raise
            return reader, writer, done

    async def _own_guacd(self) -> GuacdPort:
        if self._guacd is None:
            self._guacd = await self._guacds.lease()
        return self._guacd

    async def _make(self, facts: ClientFacts) -> _Display:
        """Make the connection that windows join, and stay in it until one has."""
        try:
            async with asyncio.timeout(_MAKE_S):
                carrier = await self._open()
                try:
                    display, reader, writer = await self._draw(carrier, facts)
                except BaseException:
                    carrier.close()
                    raise
        except TimeoutError as error:
            raise desktop_silent() from error
        self._display = display
        self._keep(stay(reader, writer, display.is_shown))
        return display

    async def _open(self) -> Carrier:
        for pause in (*_ASK_AGAIN_S, None):
            try:
                return await self._target.open()
            except TargetRefusedError as error:
                log.warning("A desktop refuses: %s", error)
                raise ConnectionEnd(Status.RESOURCE_NOT_FOUND, "There is no desktop here.") from error
            except TargetSilentError as error:
                if pause is None:
                    log.info("A desktop does not answer: %s", error)
                    raise desktop_silent() from error
                await asyncio.sleep(pause)
        raise AssertionError

    async def _draw(
        self, carrier: Carrier, facts: ClientFacts
    ) -> tuple[_Display, StreamReader, StreamWriter]:
        try:
            join = await (await self._own_guacd()).join()
        except OSError as error:
            raise guacd_gone() from error
        display = _Display(carrier)
        carrying = self._keep(self._carry(display, join))
        try:
            where = {"hostname": join.host, "port": str(join.port)}
            values = {**self._target.values, **carrier.values, **where}
            target = self._target
            reader, writer, connected = await self._shake(target.protocol, values, facts, needs=target.needs)
            try:
                await until_drawn(reader, connected.rest, carrying)
            except BaseException:
                writer.close()
                raise
        except BaseException as error:
            carrying.cancel()
            join.close()  # the task may not have begun
            if isinstance(error, HandshakeError):
                log.info("A desktop is not shown: %s", error)
                raise _end_of(error) from error
            raise
        display.id = connected.id
        return display, reader, writer

    async def _carry(self, display: _Display, join: JoinPoint) -> None:
        """Carry the desktop's own protocol for as long as guacd wants it."""
        writer: StreamWriter | None = None
        try:
            reader, writer = await join.accept()
            end = await display.carrier.carry(reader, writer)
            display.is_over = True
            await self._on_end(display, end)
        except OSError:
            log.info("guacd did not come to a join")
        finally:
            display.is_over = True
            join.close()
            display.carrier.close()
            if writer is not None:
                writer.close()


class _Display:
    """A connection of guacd that shows the desktop. ``id`` opens it, so it is a secret."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.id = ""
        self.is_over = False
        self.is_shown = asyncio.Event()


class Rooms:
    """The rooms by desktop; one that nobody is in is forgotten."""

    def __init__(self, guacds: GuacdSupply, on_end: OnEnd) -> None:
        self._guacds, self._on_end = guacds, on_end
        self._rooms: dict[str, Room] = {}
        self._inside: dict[Room, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MOST_HANDSHAKES)

    @contextmanager
    def held(self, desktop: str, target: Target) -> Iterator[Room]:
        """Hold the room of a desktop, as long as one window is in it or on its way."""
        room = self._rooms.get(desktop)
        if room is None:
            room = Room(
                target,
                self._guacds,
                on_end=self._on_end,
                keep=self._keep,
                slots=self._slots,
            )
            self._rooms[desktop] = room
        self._inside[room] = self._inside.get(room, 0) + 1
        try:
            yield room
        finally:
            self._inside[room] -= 1
            if self._inside[room] == 0:
                del self._inside[room], self._rooms[desktop]
                self._keep(room.aclose())

    async def aclose(self) -> None:
        """End what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def restrictions(decision: Decision) -> dict[str, str]:
    """Parameters of one window's join: guacd's own lock behind the filter's."""
    is_viewer = decision.role is Role.VIEWER
    return {
        "read-only": "true" if is_viewer else "",
        "disable-copy": "true" if not decision.may_copy else "",
        "disable-paste": "true" if is_viewer else "",
    }


_TEXTS = {
    Status.UPSTREAM_TIMEOUT: "The desktop does not answer; trying again.",
    Status.UPSTREAM_NOT_FOUND: "The desktop does not answer; trying again.",
    Status.UPSTREAM_UNAVAILABLE: "The desktop does not answer; trying again.",
    Status.CLIENT_UNAUTHORIZED: "The desktop did not accept its password; tell the staff.",
    Status.UNSUPPORTED: "This site's guacd cannot show that desktop; tell the staff.",
}


def _end_of(error: HandshakeError) -> ConnectionEnd:
    return ConnectionEnd(
        error.status, _TEXTS.get(error.status, "The desktop could not be shown; trying again.")
    )
