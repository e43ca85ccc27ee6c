"""Which guacd shows which desktop? One of its own for each room.

guacd has a process for each connection, and all of them inherit the socket on which it listens: a desktop
that takes over its process (CVE-2023-43826) could accept connections meant for others, with their passwords.
So in a sandbox every room has a guacd of its own, and nothing is shared. One is kept ready, so that nobody
waits for its start. guacd of an address is one for all: the operator keeps it apart, or does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

from hub.desktop.guacd import Guacd, GuacdError
from hub.desktop.ports import GuacdPort
from hub.desktop.settings import AddressedGuacd, SandboxedGuacd

_log = logging.getLogger(__name__)


class Guacds:
    """The guacds of a tunnel's process."""

    def __init__(self, settings: SandboxedGuacd | AddressedGuacd) -> None:
        self._settings = settings
        self._shared: Guacd | None = None
        self._spares: deque[asyncio.Task[Guacd]] = deque()
        self._leased: set[Guacd] = set()

    async def start(self) -> None:
        """Return when there is one that answers.

        Raises
        ------
        GuacdError
            If it does not.
        """
        if isinstance(self._settings, AddressedGuacd):
            self._shared = await self._new()
        else:
            await self._keep_one_ready()

    async def lease(self) -> Guacd:
        """Return a guacd for one room; `release` it.

        Raises
        ------
        GuacdError
            If none can be started.
        """
        if self._shared is not None:
            return self._shared
        spare = self._spares.popleft() if self._spares else None
        if not self._spares:
            self._keep_one_ready()
        guacd = await self._ready(spare) or await self._new()
        self._leased.add(guacd)
        return guacd

    async def release(self, guacd: GuacdPort) -> None:
        """End the guacd of a room that nobody is in any more."""
        if isinstance(guacd, Guacd) and guacd in self._leased:
            await guacd.aclose()
            self._leased.discard(guacd)

    async def aclose(self) -> None:
        """End all."""
        while self._spares:
            spare = self._spares.popleft()
            spare.cancel()
            with contextlib.suppress(asyncio.CancelledError, GuacdError):
                self._leased.add(await spare)
        leased, self._leased = self._leased, set()
        await asyncio.gather(*(guacd.aclose() for guacd in leased))

    def _keep_one_ready(self) -> asyncio.Task[Guacd]:
        spare = asyncio.create_task(self._new())
        spare.add_done_callback(_look_at)
        self._spares.append(spare)
        return spare

    async def _ready(self, spare: asyncio.Task[Guacd] | None) -> Guacd | None:
        """Take the one that was kept ready, if its start went well."""
        if spare is None:
            return None
        try:
            return await asyncio.shield(spare)
        except GuacdError:
            return None
        except asyncio.CancelledError:
            # Who leases gave up; the start goes on, for the next room.
            self._spares.appendleft(spare)
            raise

    async def _new(self) -> Guacd:
        guacd = Guacd(self._settings)
        try:
            await guacd.start()
        except BaseException:
            await guacd.aclose()
            raise
        return guacd


def _look_at(spare: asyncio.Task[Guacd]) -> None:
    if not spare.cancelled() and (error := spare.exception()) is not None:
        _log.warning("No guacd can be kept ready: %s", error)
