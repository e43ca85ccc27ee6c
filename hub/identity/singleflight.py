"""One piece of work per key at a time; who asks meanwhile gets the same result.

A refresh token is good for one use, so two requests of one person must never refresh at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs work by key, never twice at once."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Result of the work that runs for ``key``; ``work`` is started if none does.

        A caller that is cancelled does not cancel the work: others may wait for it.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._start(work))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    @staticmethod
    async def _start(work: Callable[[], Awaitable[T]]) -> T:
        return await work()
