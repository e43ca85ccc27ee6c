"""Keeps the engine's decisions in force: report, be told, carry out; notice when it falls silent.

A report goes out every 10 s, and at once when somebody joins or leaves or the engine has news, so that a
right that was taken back is gone within a second. While the engine is silent what was decided holds, for
a time that the operator sets; after that everybody is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from hub.desktop.connections import Connections
from hub.desktop.ends import engine_silent
from hub.desktop.engine import EngineClient, EngineSilentError

log = logging.getLogger(__name__)

_EVERY_S = 10.0
_AGAIN_S = 1.0
"""Pause after a question that the engine did not answer."""

_ASK_S = 1.5
"""How long who asks waits for the answer."""

_GATHER_S = 0.05
"""Changes that come within this time go into one report: a class joins together."""


class Reporter:
    """Reports connections and carries out decisions; ``grace_s`` is how long silence is borne."""

    def __init__(self, engine: EngineClient, connections: Connections, *, grace_s: float) -> None:
        self._engine, self._connections, self._grace_s = engine, connections, grace_s
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._position = ""
        self._answered_at = time.monotonic()
        self._is_silent = False

    def wake(self) -> None:
        """Report now."""
        self._news.set()

    async def ask(self) -> None:
        """Report, and carry out what is answered; return without it when that takes long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASK_S):
                await self._report()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self._news.clear()
            pause = _EVERY_S if await self._report() else _AGAIN_S
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(_GATHER_S if not self._is_silent else _AGAIN_S)

    async def listen(self) -> None:
        """Wait for news of the engine until cancelled."""
        while True:
            asked = self._position
            try:
                position = await self._engine.news(asked)
            except EngineSilentError:
                await asyncio.sleep(_AGAIN_S)
                continue
            if position != asked:
                self._position = position
                self.wake()
            else:
                await asyncio.sleep(_GATHER_S)

    async def _report(self) -> bool:
        async with self._turn:  # an answer from before must not come after one from now
            return await self._report_now()

    async def _report_now(self) -> bool:
        told = self._connections.report()
        try:
            answer = await self._engine.report(told)
        except EngineSilentError as error:
            self._endure(error)
            return False
        if self._is_silent:
            log.info("The engine answers again")
        self._is_silent = False
        self._answered_at = time.monotonic()
        self._position = answer.position
        self._connections.decide(told, answer.decisions)
        return True

    def _endure(self, error: EngineSilentError) -> None:
        if not self._is_silent:
            log.warning("The engine does not answer (%s); connections stay for %g s", error, self._grace_s)
        self._is_silent = True
        if time.monotonic() - self._answered_at > self._grace_s and len(self._connections):
            log.error("The engine was silent for too long: all connections end")
            self._connections.end(engine_silent())
