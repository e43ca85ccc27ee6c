"""Connections that are open: windows of people at desktops, what they may do, when they last did."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from hub.desktop.ends import ConnectionEnd
from hub.desktop.frames import Browser
from hub.desktop.models import Admission, ConnectionState, Decision, ReportBody, Role
from hub.desktop.pump import Pump
from hub.desktop.rooms import Entered, Room
from hub.desktop.status import Status

MOST_OF_A_PERSON = 8
"""Windows that one person has open at once, at all desktops together."""


class Window(Browser, Protocol):
    """The browser's side: what `Pump` uses of it, and its end before there is a pump."""

    def refuse(self, status: Status, text: str) -> None:
        """Tell why in band and in the close frame, and close."""
        ...


class Connection:
    """One admitted window."""

    def __init__(self, admission: Admission, window: Window) -> None:
        self.admission = admission
        self.decision = admission.decision
        self._window = window
        self._pump: Pump | None = None
        self.display: object = None
        self._input_at: float | None = None
        self._ended = False

    @property
    def id(self) -> str:
        """Its id, the engine's."""
        return self.admission.connection

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return not self._ended and self.decision.may_stay

    @property
    def may_steer(self) -> bool:
        """Whether it may set screens and keyboard: whoever holds control."""
        return self.is_live and self.decision.has_control and self.decision.role is not Role.VIEWER

    @property
    def may_transfer(self) -> bool:
        """Whether it may bring in and take out files."""
        return self.is_live and self.decision.may_transfer and self.decision.role is not Role.VIEWER

    def state(self) -> ConnectionState:
        """What the engine is told."""
        last = None
        if self._input_at is not None:
            last = datetime.now(UTC) - timedelta(seconds=time.monotonic() - self._input_at)
        return ConnectionState(connection=self.id, last_input=last)

    def decide(self, decision: Decision) -> None:
        """Change what it may do, at once."""
        if self._ended:
            return
        self.decision = decision
        if not decision.may_stay:
            self._ended = True
        if self._pump is not None:
            self._pump.decide(decision)
        elif not decision.may_stay:
            self._window.refuse(Status.of(decision.status), decision.text)

    def end(self, end: ConnectionEnd) -> None:
        """Close it from our side."""
        if self._ended:
            return
        self._ended = True
        if self._pump is not None:
            self._pump.end(end.status, end.text)
        else:
            self._window.refuse(end.status, end.text)

    def begin(self, entered: Entered, room: Room) -> Pump:
        """Take up its connection to guacd; the caller runs the pump.

        Raises
        ------
        ConnectionEnd
            If it was ended meanwhile.
        """
        if self._ended:
            entered.writer.close()
            raise ConnectionEnd(Status.of(self.decision.status), self.decision.text)

        def had_input() -> None:
            self._input_at = time.monotonic()
            room.note_input()

        self.display = entered.display
        self._pump = Pump(
            self._window,
            entered.reader,
            entered.writer,
            decision=self.decision,
            rest=entered.rest,
            greets=False,
            on_input=had_input,
            on_connected=room.note_shown,
        )
        return self._pump


class Connections:
    """All connections of this process; ``life`` is new with every process."""

    def __init__(self) -> None:
        self.life = secrets.token_hex(8)
        self._by_id: dict[str, Connection] = {}
        self._places: dict[str, int] = {}
        self._left = asyncio.Event()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        """Those that are open now; others may come and go meanwhile."""
        return iter(list(self._by_id.values()))

    @contextmanager
    def place(self, username: str) -> Iterator[None]:
        """Take one of a person's places.

        Raises
        ------
        ConnectionEnd
            If all are taken.
        """
        if self._places.get(username, 0) >= MOST_OF_A_PERSON:
            raise ConnectionEnd(
                Status.CLIENT_TOO_MANY, f"You have {MOST_OF_A_PERSON} desktop windows open; close one first."
            )
        self._places[username] = self._places.get(username, 0) + 1
        try:
            yield
        finally:
            self._places[username] -= 1
            if self._places[username] == 0:
                del self._places[username]

    @contextmanager
    def open(self, connection: Connection, on_change: Callable[[], None]) -> Iterator[None]:
        """Count a connection in, as long as the context lasts; ``on_change`` hears of both ends."""
        self._by_id[connection.id] = connection
        on_change()
        try:
            yield
        finally:
            del self._by_id[connection.id]
            self._left.set()
            on_change()

    def of(self, username: str, desktop: str) -> list[Connection]:
        """A person's own at one desktop."""
        return [
            one
            for one in self._by_id.values()
            if one.admission.username == username and one.admission.desktop == desktop and one.is_live
        ]

    def report(self) -> ReportBody:
        """What the engine is told."""
        return ReportBody(tunnel=self.life, connections=tuple(one.state() for one in self._by_id.values()))

    def decide(self, told: ReportBody, decisions: dict[str, Decision]) -> None:
        """Carry out decisions on what was told; one that the engine does not name may not stay."""
        for state in told.connections:
            connection = self._by_id.get(state.connection)
            if connection is not None:
                connection.decide(decisions.get(state.connection, _UNKNOWN))

    async def all_gone(self) -> None:
        """Wait until none is open."""
        while self._by_id:
            self._left.clear()
            await self._left.wait()

    def end(self, end: ConnectionEnd, *, display: object = None) -> None:
        """End all, or all that see one display."""
        for connection in self:
            if display is None or connection.display is display:
                connection.end(end)


_UNKNOWN = Decision(may_stay=False, status=Status.CLIENT_FORBIDDEN, text="You are no longer invited here.")
